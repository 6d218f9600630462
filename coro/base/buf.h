/*
 * A byte buffer that grows, up to a limit.
 *
 * Text and binary data alike are appended to it. `data` is NULL until the
 * first append; from then on a zero byte that does not count stands at
 * data[len], so that text can be used as a C string. An append either takes
 * place as a whole or leaves the content as it was and sets `failed`, so a
 * caller may append many pieces and look once at the end:
 *
 *     struct coro_buf buf;
 *     coro_buf_init(&buf, 4096);
 *     coro_buf_append_string(&buf, "count=");
 *     coro_buf_append_i64(&buf, count);
 *     if (!buf.failed)
 *         use(buf.data, buf.len);
 *     coro_buf_release(&buf);
 *
 * Every function that appends returns
 *   0           appended;
 *   -EMSGSIZE   the content would pass `limit`;
 *   -ENOMEM     no memory.
 *
 * A buffer belongs to one thread at a time. Nothing here suspends.
 */
#ifndef CORO_BASE_BUF_H
#define CORO_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As a limit: grow for as long as there is memory. */
#define CORO_BUF_NO_LIMIT (SIZE_MAX / 2)

struct coro_buf {
    char *data;
    size_t len;
    size_t capacity; /* bytes allocated; more than len, or 0 */
    size_t limit;    /* len never passes this */
    bool failed;     /* an append failed since init or clear */
};

/** Makes @buf empty; it will hold at most @limit_bytes. Allocates nothing. */
void coro_buf_init(struct coro_buf *buf, size_t limit_bytes);

/** Frees the content. @buf is then as after init; NULL is allowed. */
void coro_buf_release(struct coro_buf *buf);

/** Empties @buf, keeps its memory for the next use and forgets a failure. */
void coro_buf_clear(struct coro_buf *buf);

/** Cuts the content to its first @len bytes, which must not be more. */
void coro_buf_truncate(struct coro_buf *buf, size_t len);

/**
 * Gives the content away. The result ends with a zero byte that does not
 * count; it is an empty string when nothing was appended. @buf is then empty.
 *
 * @ret_len  where to put the number of bytes, or NULL.
 *
 * Returns the bytes, or NULL when there was no memory for the empty string.
 * Ownership: the caller frees the result with free().
 */
char *coro_buf_take(struct coro_buf *buf, size_t *ret_len);

/** Makes room for @len more bytes at data + len, without counting them. */
int coro_buf_reserve(struct coro_buf *buf, size_t len);

int coro_buf_append(struct coro_buf *buf, const void *bytes, size_t len);
int coro_buf_append_string(struct coro_buf *buf, const char *string);
int coro_buf_append_char(struct coro_buf *buf, char byte);

/** Appends @value in decimal. */
int coro_buf_append_u64(struct coro_buf *buf, uint64_t value);
int coro_buf_append_i64(struct coro_buf *buf, int64_t value);

/**
 * Appends @value / 10^@ndigits with exactly @ndigits digits after the point:
 * -1500 with 3 digits is -1.500. At most 18 digits; with 0 there is no point.
 */
int coro_buf_append_fixed(struct coro_buf *buf, int64_t value,
                          unsigned ndigits);

/** Appends @bytes as lower-case hexadecimal, two digits a byte. */
int coro_buf_append_hex(struct coro_buf *buf, const void *bytes, size_t len);

/**
 * Appends @text as a JSON string, its quotes included. All control characters
 * are escaped, also DEL and U+0080 to U+009F, which JSON would allow: the
 * result is safe to show on a terminal.
 *
 * @text, @len  must be valid UTF-8; zero bytes become \u0000.
 */
int coro_buf_append_json_string(struct coro_buf *buf, const char *text,
                                size_t len);

/** Formats as printf() does. For cold paths: it needs a deep stack. */
int coro_buf_printf(struct coro_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int coro_buf_vprintf(struct coro_buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
