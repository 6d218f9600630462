/*
 * Base64 as RFC 4648 section 4 defines it: with padding, without line breaks.
 *
 * Context of both functions: any thread, does not suspend.
 */
#ifndef CORO_BASE_BASE64_H
#define CORO_BASE_BASE64_H

#include <stddef.h>

struct coro_buf;

/**
 * Appends the base64 text of the @len bytes at @bytes.
 *
 * Returns 0, -ENOMEM or -EMSGSIZE; @out is then as it was, and marked failed.
 */
int coro_base64_encode(struct coro_buf *out, const void *bytes, size_t len);

/**
 * Appends the bytes that @text stands for. Only what the encoder writes is
 * taken: every group complete, no white space, the unused bits zero.
 *
 * Returns 0, -EINVAL when @text is anything else, -ENOMEM or -EMSGSIZE; after
 * a failure @out is as it was.
 */
int coro_base64_decode(struct coro_buf *out, const char *text, size_t len);

#endif
