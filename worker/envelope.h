/*
 * The record in which a raw payload is remembered: retried, set aside, to be
 * run later.
 *
 *     {"jid":"<24 hex>","corq":{"key":"<queue key>","payload":"<text>"},
 *      "retry":5,"retry_count":1,"failed_at":1725490519.123450,
 *      "retried_at":1725490534.567800,"error_class":"…","error_message":"…"}
 *
 * (on one line). The payload comes back byte for byte: one that is not valid
 * UTF-8, or that holds a zero byte, which many readers of JSON choke on, is
 * kept as base64 in `payload64` in place of `payload`; so is such a key, in
 * `key64`. Other programs may add members, and write it in another way.
 *
 * Context of every function: any thread, does not suspend.
 */
#ifndef WORKER_ENVELOPE_H
#define WORKER_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/scan.h"

struct coro_buf;

/* Errors are cut to so many characters. */
#define ENVELOPE_MAX_CLASS   200
#define ENVELOPE_MAX_MESSAGE 10000

/* Everything is borrowed for the call; `jid` is valid UTF-8. */
struct envelope {
    const char *jid;
    const char *key;
    size_t key_len;
    const char *payload;
    size_t payload_len;
    int64_t retry;             /* how often at most; -1 leaves this out, */
    int64_t retry_count;       /* and so it does with this */
    int64_t failed_at_us;      /* and with these, in */
    int64_t retried_at_us;     /* microseconds since 1970 */
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

/**
 * Reads back the queue's key alone, from the object @corq of an envelope, or
 * of a job that carries one with only a key. Returns as envelope_read().
 */
int envelope_read_key(struct scan_range corq, struct coro_buf *key);

/**
 * Appends the member in which an envelope has bytes: "name":"text", or
 * "name64":"base64" when they are no text. Whether it could is told by @out
 * being marked failed.
 */
void envelope_append_bytes(struct coro_buf *out, const char *name,
                           const char *bytes, size_t len);

/**
 * Appends @text as a JSON string, with U+FFFD for what is not valid UTF-8, cut
 * to @max_chars characters. Whether it could is told by @out being marked
 * failed.
 */
void envelope_append_scrubbed(struct coro_buf *out, const char *text,
                              size_t max_chars);

/** Whether bytes are such that a JSON string can hold them: valid UTF-8 without
 *  a zero byte. */
bool envelope_is_text(const char *bytes, size_t len);

#endif
