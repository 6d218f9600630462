#include "worker/record.h"

#include <errno.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/ensure.h"
#include "coro/base/random.h"
#include "coro/base/utf8.h"
#include "worker/envelope.h"
#include "worker/splice.h"

/* What the keys of queues that are shared with other programs begin with. */
#define SHARED     "queue:"
#define SHARED_LEN 6

/* --- reading -------------------------------------------------------------- */

/* The members that mean something to us. */
enum {
    CLASS,
    CORQ,
    JID,
    RETRY,
    RETRY_COUNT,
    RETRY_FOR,
    FAILED_AT,
    DEAD,
    QUEUE,
    RETRY_QUEUE,
    NFOUND
};

struct found {
    struct scan_wanted at[NFOUND];
};

static bool begins_with(struct scan_range range, char byte)
{
    return range.at && range.at[0] == byte;
}

static bool is_text(struct scan_range range)
{
    return begins_with(range, '"') && range.len > 2;
}

/* When there is no memory to find out, what is done next will have none. */
static bool is_envelope(const char *payload, size_t len)
{
    struct coro_buf key, inner;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&inner, CORO_BUF_NO_LIMIT);
    int status = envelope_read(payload, len, &key, &inner);
    coro_buf_release(&key);
    coro_buf_release(&inner);
    return status != -EINVAL;
}

static enum record_kind find_all(const char *payload, size_t len,
                                 struct found *ret)
{
    static const char *const names[NFOUND] = {
        [CLASS] = "class",
        [CORQ] = "corq",
        [JID] = "jid",
        [RETRY] = "retry",
        [RETRY_COUNT] = "retry_count",
        [RETRY_FOR] = "retry_for",
        [FAILED_AT] = "failed_at",
        [DEAD] = "dead",
        [QUEUE] = "queue",
        [RETRY_QUEUE] = "retry_queue",
    };
    for (size_t i = 0; i < NFOUND; i++)
        ret->at[i].name = names[i];
    if (scan_find(payload, len, ret->at, NFOUND) != 0)
        return RECORD_RAW;
    if (begins_with(ret->at[CLASS].value, '"'))
        return RECORD_DESCRIBED;
    if (begins_with(ret->at[CORQ].value, '{') && is_envelope(payload, len))
        return RECORD_ENVELOPE;
    return RECORD_RAW;
}

static bool is_word(struct scan_range range, const char *word)
{
    size_t len = strlen(word);
    return range.at && range.len == len && memcmp(range.at, word, len) == 0;
}

/* A whole number; one beyond an int64_t becomes the nearest. False when @range
 * is something else: with a point or an exponent it is no count. */
static bool read_integer(struct scan_range range, int64_t *ret_value)
{
    if (!range.at)
        return false;
    const char *at = range.at;
    const char *end = range.at + range.len;
    bool is_negative = *at == '-';
    at += is_negative;
    int64_t value = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value))
            value = INT64_MAX;
    }
    *ret_value = is_negative ? -value : value;
    return true;
}

static int64_t read_retry(struct scan_range range)
{
    int64_t limit;
    if (is_word(range, "false"))
        return RECORD_RETRY_NEVER;
    if (!read_integer(range, &limit))
        return RECORD_RETRY_DEFAULT;
    return limit < 0 ? 0 : limit;
}

static int64_t read_count(struct scan_range range)
{
    int64_t count;
    return read_integer(range, &count) && count >= 0 ? count : -1;
}

void record_read(const char *payload, size_t len, struct record *ret)
{
    struct found found;
    *ret = (struct record){.kind = find_all(payload, len, &found),
                           .retry = RECORD_RETRY_DEFAULT,
                           .retry_count = -1,
                           .failed_at_us = -1,
                           .retry_for_s = -1,
                           .keep_dead = true};
    if (ret->kind == RECORD_RAW)
        return;
    ret->retry = read_retry(found.at[RETRY].value);
    ret->retry_count = read_count(found.at[RETRY_COUNT].value);
    ret->failed_at_us = scan_time_us(found.at[FAILED_AT].value);
    ret->retry_for_s = read_count(found.at[RETRY_FOR].value);
    ret->keep_dead = !is_word(found.at[DEAD].value, "false");
    ret->has_jid = is_text(found.at[JID].value);
}

/* --- changing members ----------------------------------------------------- */

/* Members that are to be set. Their values stand one after the other in a
 * buffer that may move while it grows; one without any text is removed. */
struct edits {
    size_t nmembers;
    const char *names[SPLICE_MAX_MEMBERS];
    size_t starts[SPLICE_MAX_MEMBERS + 1];
    struct coro_buf text;
};

static void edits_init(struct edits *edits)
{
    edits->nmembers = 0;
    coro_buf_init(&edits->text, CORO_BUF_NO_LIMIT);
}

/* Begins the value of the member @name: what is appended to the result. */
static struct coro_buf *edit(struct edits *edits, const char *name)
{
    ensure(edits->nmembers < SPLICE_MAX_MEMBERS);
    edits->names[edits->nmembers] = name;
    edits->starts[edits->nmembers] = edits->text.len;
    edits->nmembers++;
    return &edits->text;
}

/* Appends the changed object to @out as splice() does, and ends @edits. */
static int edits_apply(struct edits *edits, const char *bytes, size_t len,
                       struct coro_buf *out)
{
    struct splice_member members[SPLICE_MAX_MEMBERS];
    edits->starts[edits->nmembers] = edits->text.len;
    for (size_t i = 0; i < edits->nmembers; i++) {
        size_t value_len = edits->starts[i + 1] - edits->starts[i];
        members[i] = (struct splice_member){
            .name = edits->names[i],
            .value = value_len ? edits->text.data + edits->starts[i] : NULL,
            .value_len = value_len,
        };
    }
    int status = -ENOMEM;
    if (!edits->text.failed)
        status = splice(bytes, len, members, edits->nmembers, out);
    coro_buf_release(&edits->text);
    return status;
}

/* --- failures ------------------------------------------------------------- */

static bool is_shared(const char *key, size_t key_len)
{
    return key_len >= SHARED_LEN && memcmp(key, SHARED, SHARED_LEN) == 0;
}

bool record_is_shared_key(const char *key, size_t len)
{
    return is_shared(key, len) && len > SHARED_LEN && !memchr(key, '\0', len) &&
           coro_utf8_is_valid(key, len);
}

bool record_is_shared(const struct record *record, const char *key, size_t len)
{
    return record->kind == RECORD_DESCRIBED && record_is_shared_key(key, len);
}

int record_make_jid(char jid[RECORD_JID_BYTES])
{
    return coro_random_hex(jid, RECORD_JID_BYTES / 2);
}

/* A count in the payload tells a later failure from the first, even one that
 * other programs have counted down below 0 again. */
static bool is_first(const struct found *found,
                     const struct record_failure *failure)
{
    int64_t count;
    return failure->retry_count <= 0 &&
           !read_integer(found->at[RETRY_COUNT].value, &count);
}

static void edit_failure(struct edits *edits, const struct found *found,
                         const struct record_failure *failure)
{
    if (!is_text(found->at[JID].value))
        coro_buf_append_json_string(edit(edits, "jid"), failure->jid,
                                    strlen(failure->jid));
    if (failure->retry_count >= 0)
        coro_buf_append_i64(edit(edits, "retry_count"), failure->retry_count);
    const char *time = is_first(found, failure) ? "failed_at" : "retried_at";
    coro_buf_append_fixed(edit(edits, time), failure->now_us, 6);
    envelope_append_scrubbed(edit(edits, "error_class"), failure->error_class,
                             ENVELOPE_MAX_CLASS);
    envelope_append_scrubbed(edit(edits, "error_message"),
                             failure->error_message, ENVELOPE_MAX_MESSAGE);
}

/* Notes where a described job is to go when it is due. */
static void edit_queue(struct edits *edits, const struct found *found,
                       const struct record_failure *failure)
{
    bool shared = is_shared(failure->key, failure->key_len);
    const char *name = shared ? failure->key + SHARED_LEN : NULL;
    size_t name_len = shared ? failure->key_len - SHARED_LEN : 0;
    struct scan_range retry_queue = found->at[RETRY_QUEUE].value;
    if (shared && is_text(retry_queue)) {
        coro_buf_append(edit(edits, "queue"), retry_queue.at, retry_queue.len);
    } else if (name_len > 0 && envelope_is_text(name, name_len)) {
        coro_buf_append_json_string(edit(edits, "queue"), name, name_len);
    } else {
        struct coro_buf *corq = edit(edits, "corq");
        coro_buf_append_char(corq, '{');
        envelope_append_bytes(corq, "key", failure->key, failure->key_len);
        coro_buf_append_char(corq, '}');
        return;
    }
    /* From another key's set, it would go there once more. */
    if (begins_with(found->at[CORQ].value, '{'))
        edit(edits, "corq");
}

static int write_raw(const char *payload, size_t len,
                     const struct record_failure *failure, struct coro_buf *out)
{
    bool first = failure->retry_count <= 0;
    return envelope_write(out,
                          &(struct envelope){
                              .jid = failure->jid,
                              .key = failure->key,
                              .key_len = failure->key_len,
                              .payload = payload,
                              .payload_len = len,
                              .retry = failure->retry,
                              .retry_count = failure->retry_count,
                              .failed_at_us = first ? failure->now_us : -1,
                              .retried_at_us = first ? -1 : failure->now_us,
                              .error_class = failure->error_class,
                              .error_message = failure->error_message,
                          });
}

int record_write_failure(const char *payload, size_t len,
                         const struct record_failure *failure,
                         struct coro_buf *out)
{
    struct found found;
    enum record_kind kind = find_all(payload, len, &found);
    if (kind == RECORD_RAW)
        return write_raw(payload, len, failure, out);
    struct edits edits;
    edits_init(&edits);
    edit_failure(&edits, &found, failure);
    if (kind == RECORD_DESCRIBED)
        edit_queue(&edits, &found, failure);
    return edits_apply(&edits, payload, len, out) < 0 ? -ENOMEM : 0;
}

/* --- what is due ---------------------------------------------------------- */

static int append_key(const struct found *found, struct coro_buf *key)
{
    int status = envelope_read_key(found->at[CORQ].value, key);
    if (status != -EINVAL)
        return status;
    size_t before = key->len;
    status = coro_buf_append(key, SHARED, SHARED_LEN);
    if (status == 0)
        status = is_text(found->at[QUEUE].value)
                     ? scan_string_decode(found->at[QUEUE].value, key)
                     : coro_buf_append_string(key, "default");
    if (status < 0)
        coro_buf_truncate(key, before);
    return status;
}

static int write_due_job(const char *bytes, size_t len,
                         const struct found *found, int64_t now_us,
                         struct coro_buf *key, struct coro_buf *out)
{
    size_t before = key->len;
    int status = append_key(found, key);
    if (status < 0)
        return status;
    if (is_shared(key->data + before, key->len - before)) {
        struct edits edits;
        edits_init(&edits);
        coro_buf_append_fixed(edit(&edits, "enqueued_at"), now_us, 6);
        status = edits_apply(&edits, bytes, len, out);
    } else {
        status = coro_buf_append(out, bytes, len);
    }
    if (status < 0)
        coro_buf_truncate(key, before);
    return status;
}

static int write_due_envelope(const char *bytes, size_t len,
                              const struct found *found, struct coro_buf *key,
                              struct coro_buf *out)
{
    bool was_only_scheduled =
        read_count(found->at[RETRY_COUNT].value) < 0 &&
        read_retry(found->at[RETRY].value) == RECORD_RETRY_DEFAULT;
    if (was_only_scheduled)
        return envelope_read(bytes, len, key, out);
    size_t before = key->len;
    int status = envelope_read_key(found->at[CORQ].value, key);
    if (status < 0)
        return status;
    status = coro_buf_append(out, bytes, len);
    if (status < 0)
        coro_buf_truncate(key, before);
    return status;
}

int record_write_due(const char *bytes, size_t len, int64_t now_us,
                     struct coro_buf *key, struct coro_buf *out)
{
    struct found found;
    switch (find_all(bytes, len, &found)) {
    case RECORD_DESCRIBED:
        return write_due_job(bytes, len, &found, now_us, key, out);
    case RECORD_ENVELOPE:
        return write_due_envelope(bytes, len, &found, key, out);
    case RECORD_RAW:
        break;
    }
    return -EINVAL;
}

int record_write_scheduled(const char *payload, size_t len, const char *key,
                           size_t key_len, const char *jid, int64_t retry,
                           struct coro_buf *out)
{
    return envelope_write(out, &(struct envelope){
                                   .jid = jid,
                                   .key = key,
                                   .key_len = key_len,
                                   .payload = payload,
                                   .payload_len = len,
                                   .retry = retry,
                                   .retry_count = -1,
                                   .failed_at_us = -1,
                                   .retried_at_us = -1,
                               });
}
