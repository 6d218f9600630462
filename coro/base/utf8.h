/*
 * UTF-8, strictly: no overlong form, no surrogate, nothing above U+10FFFF.
 *
 * Context of every function here: any thread, does not suspend.
 */
#ifndef CORO_BASE_UTF8_H
#define CORO_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coro_buf;

/** True when the @len bytes at @bytes are valid UTF-8; an empty text is. */
bool coro_utf8_is_valid(const void *bytes, size_t len);

/**
 * The length, 1 to 4, of the valid character with which the @len bytes at
 * @bytes begin, or 0 when they begin with none.
 */
size_t coro_utf8_char_len(const void *bytes, size_t len);

/**
 * Encodes @code_point, which must be one that UTF-8 can hold.
 *
 * Returns the number of bytes written to @out.
 */
size_t coro_utf8_encode(uint32_t code_point, char out[4]);

/**
 * Appends the text at @bytes with U+FFFD in place of each byte that is not
 * part of a valid character.
 *
 * @max_chars  cut after this many characters; SIZE_MAX does not cut.
 *
 * Returns 0, -ENOMEM or -EMSGSIZE; @out is then as it was, and marked failed.
 */
int coro_utf8_append_scrubbed(struct coro_buf *out, const void *bytes,
                              size_t len, size_t max_chars);

#endif
