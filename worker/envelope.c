#include "worker/envelope.h"

#include <errno.h>
#include <string.h>

#include "coro/base/base64.h"
#include "coro/base/buf.h"
#include "coro/base/utf8.h"

bool envelope_is_text(const char *bytes, size_t len)
{
    if (len == 0)
        return true;
    return !memchr(bytes, '\0', len) && coro_utf8_is_valid(bytes, len);
}

void envelope_append_bytes(struct coro_buf *out, const char *name,
                           const char *bytes, size_t len)
{
    coro_buf_append_char(out, '"');
    coro_buf_append_string(out, name);
    if (envelope_is_text(bytes, len)) {
        coro_buf_append_string(out, "\":");
        coro_buf_append_json_string(out, bytes, len);
        return;
    }
    coro_buf_append_string(out, "64\":\"");
    coro_base64_encode(out, bytes, len);
    coro_buf_append_char(out, '"');
}

void envelope_append_scrubbed(struct coro_buf *out, const char *text,
                              size_t max_chars)
{
    struct coro_buf clean;
    coro_buf_init(&clean, CORO_BUF_NO_LIMIT);
    coro_utf8_append_scrubbed(&clean, text, strlen(text), max_chars);
    coro_buf_append_json_string(out, clean.data, clean.len);
    out->failed |= clean.failed;
    coro_buf_release(&clean);
}

static void write_name(struct coro_buf *out, const char *name)
{
    coro_buf_append_string(out, ",\"");
    coro_buf_append_string(out, name);
    coro_buf_append_string(out, "\":");
}

static void write_number(struct coro_buf *out, const char *name, int64_t value)
{
    if (value < 0)
        return;
    write_name(out, name);
    coro_buf_append_i64(out, value);
}

static void write_time(struct coro_buf *out, const char *name, int64_t us)
{
    if (us < 0)
        return;
    write_name(out, name);
    coro_buf_append_fixed(out, us, 6);
}

static void write_error(struct coro_buf *out, const char *name,
                        const char *text, size_t max_chars)
{
    if (!text)
        return;
    write_name(out, name);
    envelope_append_scrubbed(out, text, max_chars);
}

int envelope_write(struct coro_buf *out, const struct envelope *envelope)
{
    size_t before = out->len;
    bool had_failed = out->failed;
    out->failed = false;
    coro_buf_append_string(out, "{\"jid\":");
    coro_buf_append_json_string(out, envelope->jid, strlen(envelope->jid));
    coro_buf_append_string(out, ",\"corq\":{");
    envelope_append_bytes(out, "key", envelope->key, envelope->key_len);
    coro_buf_append_char(out, ',');
    envelope_append_bytes(out, "payload", envelope->payload,
                          envelope->payload_len);
    coro_buf_append_char(out, '}');
    write_number(out, "retry", envelope->retry);
    write_number(out, "retry_count", envelope->retry_count);
    write_time(out, "failed_at", envelope->failed_at_us);
    write_time(out, "retried_at", envelope->retried_at_us);
    write_error(out, "error_class", envelope->error_class, ENVELOPE_MAX_CLASS);
    write_error(out, "error_message", envelope->error_message,
                ENVELOPE_MAX_MESSAGE);
    coro_buf_append_char(out, '}');
    if (out->failed) {
        coro_buf_truncate(out, before);
        return -ENOMEM;
    }
    out->failed = had_failed;
    return 0;
}

/* Appends what the string @coded, which is base64, stands for. */
static int read_base64(struct scan_range coded, struct coro_buf *out)
{
    /* Some writers of JSON escape the slash. */
    struct coro_buf text;
    coro_buf_init(&text, coded.len);
    int status = scan_string_decode(coded, &text);
    if (status == 0)
        status = coro_base64_decode(out, text.data, text.len);
    coro_buf_release(&text);
    return status;
}

/* Appends the bytes that are in the one of both members that there is. */
static int read_bytes(struct scan_range text, struct scan_range coded,
                      struct coro_buf *out)
{
    if (text.at && !coded.at)
        return scan_string_decode(text, out);
    if (coded.at && !text.at)
        return read_base64(coded, out);
    return -EINVAL;
}

int envelope_read_key(struct scan_range corq, struct coro_buf *key)
{
    struct scan_wanted found[] = {{.name = "key"}, {.name = "key64"}};
    if (!corq.at || scan_find(corq.at, corq.len, found, 2) != 0)
        return -EINVAL;
    return read_bytes(found[0].value, found[1].value, key);
}

static int read_payload(struct scan_range corq, struct coro_buf *payload)
{
    struct scan_wanted found[] = {{.name = "payload"}, {.name = "payload64"}};
    if (scan_find(corq.at, corq.len, found, 2) != 0)
        return -EINVAL;
    return read_bytes(found[0].value, found[1].value, payload);
}

int envelope_read(const char *bytes, size_t len, struct coro_buf *key,
                  struct coro_buf *payload)
{
    struct scan_wanted corq = {.name = "corq"};
    if (scan_find(bytes, len, &corq, 1) != 0)
        return -EINVAL;
    size_t key_before = key->len;
    int status = envelope_read_key(corq.value, key);
    if (status < 0)
        return status;
    status = read_payload(corq.value, payload);
    if (status < 0)
        coro_buf_truncate(key, key_before);
    return status;
}
