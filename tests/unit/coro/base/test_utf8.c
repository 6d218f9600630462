#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "coro/base/utf8.h"

/* What UTF-8 can hold: everything but surrogates. */
static bool is_scalar_value(uint32_t code)
{
    return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static void every_character_is_valid_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (!is_scalar_value(code))
            continue;
        char text[4];
        size_t len = coro_utf8_encode(code, text);
        if (coro_utf8_char_len(text, len) != len ||
            coro_utf8_char_len(text, len - 1) != 0)
            fail_msg("U+%04X is not taken as a whole", code);
    }
}

/*
 * A second reading of the rules, by arithmetic: decode, then ask whether the
 * code is allowed and could not have been shorter.
 */
static size_t slow_char_len(const unsigned char *at, size_t left)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char lens[16] = {1, 1, 1, 1, 1, 1, 1, 1,
                                           0, 0, 0, 0, 2, 2, 3, 4};
    size_t len = at[0] < 0xf8 ? lens[at[0] >> 4] : 0;
    if (len > left)
        return 0;
    if (len <= 1)
        return len;
    uint32_t code = at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    return is_scalar_value(code) && code >= smallest[len] ? len : 0;
}

static void all_beginnings_agree_with_the_arithmetic(void **state)
{
    (void)state;
    static const unsigned char ends[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    for (unsigned first = 0; first < 65536; first++) {
        for (size_t i = 0; i < sizeof(ends); i++) {
            unsigned char text[4] = {(unsigned char)(first >> 8),
                                     (unsigned char)first, ends[i], 0x80};
            for (size_t len = 1; len <= 4; len++)
                if (coro_utf8_char_len(text, len) != slow_char_len(text, len))
                    fail_msg("%04x %02x, length %zu", first, ends[i], len);
        }
    }
}

static void no_text_is_valid(void **state)
{
    (void)state;
    assert_true(coro_utf8_is_valid("", 0));
    assert_true(coro_utf8_is_valid(NULL, 0));
    assert_int_equal(coro_utf8_char_len("", 0), 0);
}

static void a_fault_is_found_at_every_offset(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t i = 0; i < len; i++) {
            char text[40];
            memset(text, 'a', sizeof(text));
            assert_true(coro_utf8_is_valid(text, len));
            text[i] = '\x80';
            assert_false(coro_utf8_is_valid(text, len));
            if (i + 1 == len)
                continue;
            text[i] = '\xc3';
            text[i + 1] = '\xa9';
            assert_true(coro_utf8_is_valid(text, len));
        }
    }
}

static void surrogates_and_overlong_forms_are_refused(void **state)
{
    (void)state;
    assert_false(coro_utf8_is_valid("\xed\xa0\x80", 3));
    assert_false(coro_utf8_is_valid("\xed\xbf\xbf", 3));
    assert_false(coro_utf8_is_valid("\xc0\x80", 2));
    assert_false(coro_utf8_is_valid("\xe0\x9f\xbf", 3));
    assert_false(coro_utf8_is_valid("\xf0\x8f\xbf\xbf", 4));
    assert_false(coro_utf8_is_valid("\xf4\x90\x80\x80", 4));
}

static void check_scrubbed(const char *text, size_t max_chars,
                           const char *expected)
{
    struct coro_buf buf;
    coro_buf_init(&buf, CORO_BUF_NO_LIMIT);
    coro_buf_append_char(&buf, '>');
    assert_int_equal(
        coro_utf8_append_scrubbed(&buf, text, strlen(text), max_chars), 0);
    assert_string_equal(buf.data + 1, expected);
    assert_true(coro_utf8_is_valid(buf.data, buf.len));
    coro_buf_release(&buf);
}

static void scrubbing_replaces_each_bad_byte(void **state)
{
    (void)state;
    check_scrubbed("good \xc3\xa9", SIZE_MAX, "good \xc3\xa9");
    check_scrubbed("a\xff"
                   "b",
                   SIZE_MAX,
                   "a\xef\xbf\xbd"
                   "b");
    check_scrubbed("\xe2\x82", SIZE_MAX, "\xef\xbf\xbd\xef\xbf\xbd");
    check_scrubbed("", SIZE_MAX, "");
}

static void scrubbing_cuts_by_characters(void **state)
{
    (void)state;
    check_scrubbed("\xc3\xa9\xc3\xa9\xc3\xa9", 2, "\xc3\xa9\xc3\xa9");
    check_scrubbed("a\xff\xff", 2, "a\xef\xbf\xbd");
    check_scrubbed("abc", 0, "");
}

static void scrubbing_beyond_the_limit_leaves_the_buffer(void **state)
{
    (void)state;
    struct coro_buf buf;
    coro_buf_init(&buf, 4);
    coro_buf_append_char(&buf, 'x');
    assert_int_equal(coro_utf8_append_scrubbed(&buf, "a\xff", 2, SIZE_MAX),
                     -EMSGSIZE);
    assert_true(buf.failed);
    assert_string_equal(buf.data, "x");
    coro_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_valid_and_comes_back),
        cmocka_unit_test(all_beginnings_agree_with_the_arithmetic),
        cmocka_unit_test(no_text_is_valid),
        cmocka_unit_test(a_fault_is_found_at_every_offset),
        cmocka_unit_test(surrogates_and_overlong_forms_are_refused),
        cmocka_unit_test(scrubbing_replaces_each_bad_byte),
        cmocka_unit_test(scrubbing_cuts_by_characters),
        cmocka_unit_test(scrubbing_beyond_the_limit_leaves_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
