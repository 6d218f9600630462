#include "coro/base/base64.h"

#include <errno.h>
#include <stdint.h>

#include "coro/base/buf.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int coro_base64_encode(struct coro_buf *out, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    size_t ngroups = len / 3 + (len % 3 > 0);
    /* A length whose text no size_t could hold is refused as too long. */
    size_t text_len = ngroups > CORO_BUF_NO_LIMIT / 4 ? SIZE_MAX : 4 * ngroups;
    int status = coro_buf_reserve(out, text_len);
    if (status < 0)
        return status;
    char *to = out->data + out->len;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group = (uint32_t)from[i] << 16;
        if (left > 1)
            group |= (uint32_t)from[i + 1] << 8;
        if (left > 2)
            group |= from[i + 2];
        *to++ = digits[group >> 18];
        *to++ = digits[(group >> 12) & 63];
        *to++ = left > 1 ? digits[(group >> 6) & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    *to = '\0';
    out->len += text_len;
    return 0;
}

static int digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '+')
        return 62;
    return digit == '/' ? 63 : -1;
}

/*
 * Decodes the group of 4 digits at @text into @ret_bytes. Returns how many
 * bytes it stands for, 1 to 3, or -EINVAL.
 */
static int decode_group(const char *text, char ret_bytes[3])
{
    int ndigits = text[3] != '=' ? 4 : text[2] != '=' ? 3 : 2;
    uint32_t group = 0;
    for (int i = 0; i < ndigits; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return -EINVAL;
        group |= (uint32_t)value << (18 - 6 * i);
    }
    int nbytes = ndigits - 1;
    if (group & (0xffffffu >> (8 * nbytes)))
        return -EINVAL;
    for (int i = 0; i < nbytes; i++)
        ret_bytes[i] = (char)(group >> (16 - 8 * i));
    return nbytes;
}

int coro_base64_decode(struct coro_buf *out, const char *text, size_t len)
{
    if (len % 4 != 0)
        return -EINVAL;
    size_t before = out->len;
    int status = coro_buf_reserve(out, len / 4 * 3);
    for (size_t i = 0; i < len && status == 0; i += 4) {
        char bytes[3];
        int nbytes = decode_group(text + i, bytes);
        /* Padding is for the last group only. */
        if (nbytes < 0 || (nbytes < 3 && i + 4 < len))
            status = -EINVAL;
        else
            status = coro_buf_append(out, bytes, (size_t)nbytes);
    }
    if (status < 0)
        coro_buf_truncate(out, before);
    return status;
}
