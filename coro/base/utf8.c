#include "coro/base/utf8.h"

#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/ensure.h"

#define EIGHT_HIGH_BITS 0x8080808080808080u

/*
 * The well-formed sequences of more than one byte (the Unicode standard,
 * table 3-7): the range of the first byte decides the range of the second;
 * the others are always 0x80 to 0xbf.
 */
static const struct form {
    unsigned char first_max;
    unsigned char second_min;
    unsigned char second_max;
    unsigned char len;
} forms[] = {
    {0xdf, 0x80, 0xbf, 2}, {0xe0, 0xa0, 0xbf, 3}, {0xec, 0x80, 0xbf, 3},
    {0xed, 0x80, 0x9f, 3}, {0xef, 0x80, 0xbf, 3}, {0xf0, 0x90, 0xbf, 4},
    {0xf3, 0x80, 0xbf, 4}, {0xf4, 0x80, 0x8f, 4},
};

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t coro_utf8_char_len(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    if (len == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    const struct form *form = forms;
    while (at[0] > form->first_max)
        form++;
    if (len < form->len || at[1] < form->second_min || at[1] > form->second_max)
        return 0;
    for (size_t i = 2; i < form->len; i++)
        if (!is_continuation(at[i]))
            return 0;
    return form->len;
}

/* How many of the leading bytes are ASCII, as far as groups of 8 tell. */
static size_t ascii_groups(const unsigned char *at, size_t len)
{
    size_t done = 0;
    while (len - done >= 8) {
        uint64_t group;
        memcpy(&group, at + done, 8);
        if (group & EIGHT_HIGH_BITS)
            break;
        done += 8;
    }
    return done;
}

bool coro_utf8_is_valid(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t done = 0;
    while (done < len) {
        if (at[done] < 0x80) {
            size_t skip = ascii_groups(at + done, len - done);
            done += skip ? skip : 1;
            continue;
        }
        size_t step = coro_utf8_char_len(at + done, len - done);
        if (step == 0)
            return false;
        done += step;
    }
    return true;
}

size_t coro_utf8_encode(uint32_t code_point, char out[4])
{
    ensure(code_point <= 0x10ffff);
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(marks[len] | code_point);
    return len;
}

/* The bytes of the valid run at @at, at most @max_chars characters of it. */
static size_t valid_run(const unsigned char *at, size_t len, size_t *max_chars)
{
    size_t done = 0;
    while (*max_chars > 0 && done < len) {
        size_t step = coro_utf8_char_len(at + done, len - done);
        if (step == 0)
            break;
        done += step;
        --*max_chars;
    }
    return done;
}

int coro_utf8_append_scrubbed(struct coro_buf *out, const void *bytes,
                              size_t len, size_t max_chars)
{
    const unsigned char *at = bytes;
    size_t before = out->len;
    int status = 0;
    while (len > 0 && max_chars > 0 && status == 0) {
        size_t run = valid_run(at, len, &max_chars);
        status = coro_buf_append(out, at, run);
        at += run;
        len -= run;
        if (status < 0 || len == 0 || max_chars == 0)
            break;
        status = coro_buf_append_string(out, "\xef\xbf\xbd");
        at++;
        len--;
        max_chars--;
    }
    if (status < 0)
        coro_buf_truncate(out, before);
    return status;
}
