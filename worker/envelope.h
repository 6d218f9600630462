/*
 * The record in which a raw payload is remembered: retried, set aside.
 *
 *     {"jid":"<24 hex>","corq":{"key":"<queue key>","payload":"<text>"},
 *      "retry_count":0,"failed_at":1725490519.123450,
 *      "error_class":"…","error_message":"…"}
 *
 * (on one line). The payload comes back byte for byte: one that is not valid
 * UTF-8, or that holds a zero byte, which many readers of JSON choke on, is
 * kept as base64 in `payload64` in place of `payload`; so is such a key, in
 * `key64`.
 *
 * Context of both functions: any thread, does not suspend.
 */
#ifndef WORKER_ENVELOPE_H
#define WORKER_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

struct coro_buf;

/* An error message is cut to this many characters. */
#define ENVELOPE_MAX_MESSAGE 10000

/* Everything is borrowed for the call; `jid` is valid UTF-8. */
struct envelope {
    const char *jid;
    const char *key;
    size_t key_len;
    const char *payload;
    size_t payload_len;
    int64_t retry_count;
    int64_t failed_at_us;      /* microseconds since 1970 */
    const char *error_class;   /* NULL leaves the member out; bytes that are */
    const char *error_message; /* not valid UTF-8 become U+FFFD in both */
};

/**
 * Appends the record to @out.
 *
 * Returns 0, or
 *   -ENOMEM   no memory, or the record would pass the limit of @out, which is
 *             then as it was, and marked failed.
 */
int envelope_write(struct coro_buf *out, const struct envelope *envelope);

/**
 * Reads a record back: appends the queue's key to @key, the payload to
 * @payload, exactly as they were given to envelope_write().
 *
 * Returns 0, or
 *   -EINVAL     the bytes are not such a record;
 *   -ENOMEM     or -EMSGSIZE: a buffer could not take it.
 *   After a failure both buffers are as they were.
 */
int envelope_read(const char *bytes, size_t len, struct coro_buf *key,
                  struct coro_buf *payload);

#endif
