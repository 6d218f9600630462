/*
 * Changes members of a JSON object without writing the rest anew.
 *
 *     const struct splice_member members[] = {
 *         {.name = "retry_count", .value = "3", .value_len = 1},
 *         {.name = "at", .value = NULL},
 *     };
 *     status = splice(payload, len, members, 2, &out);
 *
 * Every byte that belongs to another member stays as it is: numbers of any
 * length, the order of keys, white space, members that nobody knows. A job
 * that is passed on a hundred times is never rounded, sorted or normalised.
 *
 * What is JSON is for the scanner alone to say. A library would recurse, could
 * not read every number, and Jansson writes beyond its buffers when it has no
 * memory; so it is asked in the tests, where its answer has to be the same.
 */
#ifndef WORKER_SPLICE_H
#define WORKER_SPLICE_H

#include <stddef.h>

struct coro_buf;

/* More members than this are not changed in one call. */
#define SPLICE_MAX_MEMBERS 16

struct splice_member {
    const char *name;  /* not escaped, valid UTF-8 */
    const char *value; /* JSON text; NULL removes the member */
    size_t value_len;
};

/**
 * Appends to @out the object of @len bytes at @bytes with @members changed. A
 * member that is there gets its new value where it stands: the last one, when
 * it is there more than once, and the others go, so that every reader sees the
 * same. One that is not there is added before the closing brace, in the order
 * of @members.
 *
 * @members, @nmembers  their names are distinct; at most SPLICE_MAX_MEMBERS.
 *
 * Returns 0, or
 *   -EINVAL    the bytes are no JSON object;
 *   -ENOMEM    or -EMSGSIZE: @out could not take it, and is marked failed.
 *   After a failure @out holds what it held before.
 *
 * Context: any thread, does not suspend.
 */
int splice(const char *bytes, size_t len, const struct splice_member *members,
           size_t nmembers, struct coro_buf *out);

#endif
