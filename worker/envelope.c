#include "worker/envelope.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "coro/base/base64.h"
#include "coro/base/buf.h"
#include "coro/base/utf8.h"

static bool is_text(const char *bytes, size_t len)
{
    if (len == 0)
        return true;
    return !memchr(bytes, '\0', len) && coro_utf8_is_valid(bytes, len);
}

/* Writes "name":"text", or "name64":"base64" when the bytes are no text. */
static void write_bytes(struct coro_buf *out, const char *name,
                        const char *bytes, size_t len)
{
    coro_buf_append_char(out, '"');
    coro_buf_append_string(out, name);
    if (is_text(bytes, len)) {
        coro_buf_append_string(out, "\":");
        coro_buf_append_json_string(out, bytes, len);
        return;
    }
    coro_buf_append_string(out, "64\":\"");
    coro_base64_encode(out, bytes, len);
    coro_buf_append_char(out, '"');
}

/* Writes ,"name":"text" with the text made valid and cut. */
static void write_scrubbed(struct coro_buf *out, const char *name,
                           const char *text)
{
    if (!text)
        return;
    struct coro_buf clean;
    coro_buf_init(&clean, CORO_BUF_NO_LIMIT);
    coro_utf8_append_scrubbed(&clean, text, strlen(text), ENVELOPE_MAX_MESSAGE);
    coro_buf_append_string(out, ",\"");
    coro_buf_append_string(out, name);
    coro_buf_append_string(out, "\":");
    coro_buf_append_json_string(out, clean.data, clean.len);
    out->failed |= clean.failed;
    coro_buf_release(&clean);
}

int envelope_write(struct coro_buf *out, const struct envelope *envelope)
{
    size_t before = out->len;
    bool had_failed = out->failed;
    out->failed = false;
    coro_buf_append_string(out, "{\"jid\":");
    coro_buf_append_json_string(out, envelope->jid, strlen(envelope->jid));
    coro_buf_append_string(out, ",\"corq\":{");
    write_bytes(out, "key", envelope->key, envelope->key_len);
    coro_buf_append_char(out, ',');
    write_bytes(out, "payload", envelope->payload, envelope->payload_len);
    coro_buf_append_string(out, "},\"retry_count\":");
    coro_buf_append_i64(out, envelope->retry_count);
    coro_buf_append_string(out, ",\"failed_at\":");
    coro_buf_append_fixed(out, envelope->failed_at_us, 6);
    write_scrubbed(out, "error_class", envelope->error_class);
    write_scrubbed(out, "error_message", envelope->error_message);
    coro_buf_append_char(out, '}');
    if (out->failed) {
        coro_buf_truncate(out, before);
        return -ENOMEM;
    }
    out->failed = had_failed;
    return 0;
}

/* Appends the bytes of the member @name, or of @name64, of @object. */
static int read_bytes(const json_t *object, const char *name,
                      const char *name64, struct coro_buf *out)
{
    const json_t *text = json_object_get(object, name);
    const json_t *coded = json_object_get(object, name64);
    if (json_is_string(text) && !coded)
        return coro_buf_append(out, json_string_value(text),
                               json_string_length(text));
    if (json_is_string(coded) && !text)
        return coro_base64_decode(out, json_string_value(coded),
                                  json_string_length(coded));
    return -EINVAL;
}

int envelope_read(const char *bytes, size_t len, struct coro_buf *key,
                  struct coro_buf *payload)
{
    json_t *record = json_loadb(bytes, len, JSON_ALLOW_NUL, NULL);
    if (!record)
        return -EINVAL;
    const json_t *corq = json_object_get(record, "corq");
    size_t key_before = key->len;
    int status = read_bytes(corq, "key", "key64", key);
    if (status == 0) {
        status = read_bytes(corq, "payload", "payload64", payload);
        if (status < 0)
            coro_buf_truncate(key, key_before);
    }
    json_decref(record);
    return status;
}
