/*
 * Tells a described job from a raw one, and finds members of an object.
 *
 * A described job is a JSON object with a string member `class`; every other
 * payload is a raw job, or the envelope in which one is remembered. The scanner reads the payload once, allocates nothing
 * and does not recurse. It is strict: what RFC 8259 does not allow is not
 * JSON, and neither is invalid UTF-8, a lone surrogate escape, a zero byte in
 * a key or nesting deeper than SCAN_MAX_DEPTH. Numbers may have any length.
 *
 * The members are given as ranges of the payload's own bytes: a string with
 * its quotes, a number as it was written. Keys are compared after their
 * escapes are resolved. When a key is there more than once, the last one wins.
 *
 *     struct scan_result job;
 *     if (scan_job(payload, len, &job) == SCAN_DESCRIBED)
 *         status = scan_string_decode(job.class, &name);
 *
 * Context: any thread, does not suspend.
 */
#ifndef WORKER_SCAN_H
#define WORKER_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct coro_buf;

/* How deep arrays and objects may be nested; the job's object is the first. */
#define SCAN_MAX_DEPTH 512

/* What scan_job() finds. */
#define SCAN_DESCRIBED 0 /* an object with a string `class` */
#define SCAN_RAW       1 /* anything else */
#define SCAN_ENVELOPE  2 /* an object with an object `corq` and no such class */

/* A value as it stands in the payload; `at` is NULL when there is none. */
struct scan_range {
    const char *at;
    size_t len;
};

struct scan_result {
    struct scan_range class;     /* of a described job, always a string */
    struct scan_range args;      /* these may be any kind of value */
    struct scan_range first_arg; /* of args, when that is an array with any */
    struct scan_range jid;
    struct scan_range retry;
    struct scan_range queue;
    struct scan_range corq; /* of an envelope, always an object */
};

/* A member to look for, and its value when there is one. */
struct scan_wanted {
    const char *name;
    struct scan_range value;
};

/**
 * Looks at the payload of @len bytes at @bytes.
 *
 * @ret  its ranges point into @bytes; untouched when the payload is raw.
 *
 * Returns SCAN_DESCRIBED (which is 0), SCAN_RAW or SCAN_ENVELOPE.
 */
int scan_job(const char *bytes, size_t len, struct scan_result *ret);

/**
 * Finds top-level members of the object of @len bytes at @bytes, in one pass.
 *
 * @wanted, @nwanted  which ones, by name; each value is set to where it is in
 *                    @bytes, to none where there is no such member.
 *
 * Returns 0, or 1 when the bytes are no JSON object, and then has found none.
 */
int scan_find(const char *bytes, size_t len, struct scan_wanted *wanted,
              size_t nwanted);

/**
 * Reads a time stamp: a number of seconds since 1970, whole, decimal or with
 * an exponent, and from 1e11 on one of milliseconds; or a string that holds
 * such a number.
 *
 * @range  from a scan; it has been found valid already, or is absent.
 *
 * Returns microseconds, what is less being cut off; -1 when @range is absent,
 * something else, has a minus sign or is more than an int64_t holds.
 */
int64_t scan_time_us(struct scan_range range);

/**
 * Appends to @out the text that a string of a job stands for, in UTF-8 and
 * without quotes. It may hold zero bytes.
 *
 * @range  from a scan_result; it has been found valid already.
 *
 * Returns 0, or
 *   -EINVAL     @range is absent or not a string;
 *   -ENOMEM     or -EMSGSIZE: @out could not take it.
 *   After a failure @out is as it was.
 */
int scan_string_decode(struct scan_range range, struct coro_buf *out);

#endif
