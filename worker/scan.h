/*
 * Tells a described job from a raw one, and finds its members.
 *
 * A described job is a JSON object with a string member `class`; every other
 * payload is a raw job. The scanner reads the payload once, allocates nothing
 * and does not recurse. It is strict: what RFC 8259 does not allow is not
 * JSON, and neither is invalid UTF-8, a lone surrogate escape, a zero byte in
 * a key or nesting deeper than SCAN_MAX_DEPTH. Numbers may have any length.
 *
 * The members are given as ranges of the payload's own bytes: a string with
 * its quotes, a number as it was written. Keys are compared after their
 * escapes are resolved. When a key is there more than once, the last one wins.
 *
 *     struct scan_result job;
 *     if (scan_job(payload, len, &job) == 0)
 *         status = scan_string_decode(job.class, &name);
 *
 * Context: any thread, does not suspend.
 */
#ifndef WORKER_SCAN_H
#define WORKER_SCAN_H

#include <stddef.h>

struct coro_buf;

/* How deep arrays and objects may be nested; the job's object is the first. */
#define SCAN_MAX_DEPTH 512

/* A value as it stands in the payload; `at` is NULL when there is none. */
struct scan_range {
    const char *at;
    size_t len;
};

struct scan_result {
    struct scan_range class;     /* always a string */
    struct scan_range args;      /* these may be any kind of value */
    struct scan_range first_arg; /* of args, when that is an array with any */
    struct scan_range jid;
    struct scan_range retry;
    struct scan_range queue;
};

/**
 * Looks at the payload of @len bytes at @bytes.
 *
 * @ret  its ranges point into @bytes; untouched unless 0 is returned.
 *
 * Returns 0 for a described job, 1 for a raw one.
 */
int scan_job(const char *bytes, size_t len, struct scan_result *ret);

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
