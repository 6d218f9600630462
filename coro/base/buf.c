#include "coro/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/ensure.h"

#define FIRST_CAPACITY 128

/* The longest number: a sign, 20 digits, a point. */
#define NUMBER_SIZE 24

static const char hex_digits[] = "0123456789abcdef";

void coro_buf_init(struct coro_buf *buf, size_t limit_bytes)
{
    if (limit_bytes > CORO_BUF_NO_LIMIT)
        limit_bytes = CORO_BUF_NO_LIMIT;
    *buf = (struct coro_buf){.limit = limit_bytes};
}

void coro_buf_release(struct coro_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    coro_buf_init(buf, buf->limit);
}

void coro_buf_clear(struct coro_buf *buf)
{
    coro_buf_truncate(buf, 0);
    buf->failed = false;
}

void coro_buf_truncate(struct coro_buf *buf, size_t len)
{
    ensure(len <= buf->len);
    buf->len = len;
    if (buf->data)
        buf->data[len] = '\0';
}

char *coro_buf_take(struct coro_buf *buf, size_t *ret_len)
{
    if (!buf->data && coro_buf_reserve(buf, 0) < 0)
        return NULL;
    char *data = buf->data;
    if (ret_len)
        *ret_len = buf->len;
    coro_buf_init(buf, buf->limit);
    return data;
}

static int fail(struct coro_buf *buf, int status)
{
    buf->failed = true;
    return status;
}

/* Reallocates so that @wanted bytes fit, doubling to keep appends cheap. */
static int grow(struct coro_buf *buf, size_t wanted)
{
    size_t capacity = buf->capacity ? 2 * buf->capacity : FIRST_CAPACITY;
    if (capacity > buf->limit + 1)
        capacity = buf->limit + 1;
    if (capacity < wanted)
        capacity = wanted;
    char *data = realloc(buf->data, capacity);
    if (!data)
        return fail(buf, -ENOMEM);
    if (!buf->data)
        data[0] = '\0';
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int coro_buf_reserve(struct coro_buf *buf, size_t len)
{
    if (len > buf->limit - buf->len)
        return fail(buf, -EMSGSIZE);
    size_t wanted = buf->len + len + 1;
    if (wanted <= buf->capacity)
        return 0;
    return grow(buf, wanted);
}

int coro_buf_append(struct coro_buf *buf, const void *bytes, size_t len)
{
    int status = coro_buf_reserve(buf, len);
    if (status < 0)
        return status;
    if (len > 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int coro_buf_append_string(struct coro_buf *buf, const char *string)
{
    return coro_buf_append(buf, string, strlen(string));
}

int coro_buf_append_char(struct coro_buf *buf, char byte)
{
    return coro_buf_append(buf, &byte, 1);
}

/* Writes @value before @end and returns where it begins. */
static char *write_decimal(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

/* The absolute value; the smallest int64_t has none of its own type. */
static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

int coro_buf_append_u64(struct coro_buf *buf, uint64_t value)
{
    char text[NUMBER_SIZE];
    char *end = text + sizeof(text);
    const char *start = write_decimal(end, value);
    return coro_buf_append(buf, start, (size_t)(end - start));
}

int coro_buf_append_i64(struct coro_buf *buf, int64_t value)
{
    return coro_buf_append_fixed(buf, value, 0);
}

int coro_buf_append_fixed(struct coro_buf *buf, int64_t value, unsigned ndigits)
{
    ensure(ndigits <= 18);
    char text[NUMBER_SIZE];
    char *end = text + sizeof(text);
    char *at = end;
    uint64_t rest = magnitude(value);
    for (unsigned i = 0; i < ndigits; i++) {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (ndigits > 0)
        *--at = '.';
    at = write_decimal(at, rest);
    if (value < 0)
        *--at = '-';
    return coro_buf_append(buf, at, (size_t)(end - at));
}

int coro_buf_append_hex(struct coro_buf *buf, const void *bytes, size_t len)
{
    if (len > CORO_BUF_NO_LIMIT / 2)
        return fail(buf, -EMSGSIZE);
    int status = coro_buf_reserve(buf, 2 * len);
    if (status < 0)
        return status;
    const unsigned char *from = bytes;
    char *to = buf->data + buf->len;
    for (size_t i = 0; i < len; i++) {
        *to++ = hex_digits[from[i] >> 4];
        *to++ = hex_digits[from[i] & 15];
    }
    *to = '\0';
    buf->len += 2 * len;
    return 0;
}

/*
 * The code of the character at @at when it must be escaped, otherwise -1.
 * U+0080 to U+009F are the byte 0xc2 and the code itself.
 */
static int code_to_escape(const unsigned char *at, size_t left)
{
    if (at[0] < 0x20 || at[0] == '"' || at[0] == '\\' || at[0] == 0x7f)
        return at[0];
    if (at[0] == 0xc2 && left > 1 && at[1] >= 0x80 && at[1] <= 0x9f)
        return at[1];
    return -1;
}

static char letter_of_escape(int code)
{
    switch (code) {
    case '"':
    case '\\':
        return (char)code;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 'u';
    }
}

static int append_escape(struct coro_buf *buf, int code)
{
    char text[6] = {'\\', letter_of_escape(code), '0', '0'};
    text[4] = hex_digits[(code >> 4) & 15];
    text[5] = hex_digits[code & 15];
    return coro_buf_append(buf, text, text[1] == 'u' ? 6 : 2);
}

static int append_escaped(struct coro_buf *buf, const char *text, size_t len)
{
    size_t done = 0;
    int status = 0;
    for (size_t i = 0; i < len && status == 0; i++) {
        const unsigned char *at = (const unsigned char *)text + i;
        int code = code_to_escape(at, len - i);
        if (code < 0)
            continue;
        status = coro_buf_append(buf, text + done, i - done);
        if (status == 0)
            status = append_escape(buf, code);
        if (code >= 0x80)
            i++;
        done = i + 1;
    }
    if (status < 0 || done >= len)
        return status;
    return coro_buf_append(buf, text + done, len - done);
}

int coro_buf_append_json_string(struct coro_buf *buf, const char *text,
                                size_t len)
{
    size_t before = buf->len;
    int status = coro_buf_append_char(buf, '"');
    if (status == 0)
        status = append_escaped(buf, text, len);
    if (status == 0)
        status = coro_buf_append_char(buf, '"');
    if (status < 0)
        coro_buf_truncate(buf, before);
    return status;
}

int coro_buf_printf(struct coro_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = coro_buf_vprintf(buf, format, args);
    va_end(args);
    return status;
}

int coro_buf_vprintf(struct coro_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = buf->capacity - buf->len;
    char *to = buf->data ? buf->data + buf->len : NULL;
    int needed = vsnprintf(to, room, format, args);
    int status = needed < 0 ? fail(buf, -ENOMEM) : 0;
    if (status == 0 && (size_t)needed >= room) {
        status = coro_buf_reserve(buf, (size_t)needed);
        if (status == 0)
            vsnprintf(buf->data + buf->len, (size_t)needed + 1, format, again);
    }
    va_end(again);
    if (status == 0)
        buf->len += (size_t)needed;
    else
        coro_buf_truncate(buf, buf->len);
    return status;
}
