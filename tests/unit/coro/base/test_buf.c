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

/* So that a refused allocation is a NULL under the sanitizers as well. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static int setup(void **state)
{
    static struct coro_buf buf;
    coro_buf_init(&buf, CORO_BUF_NO_LIMIT);
    *state = &buf;
    return 0;
}

static int teardown(void **state)
{
    coro_buf_release(*state);
    return 0;
}

static void bytes_strings_and_chars_follow_each_other(void **state)
{
    struct coro_buf *buf = *state;
    assert_int_equal(coro_buf_append(buf, "a\0b", 3), 0);
    assert_int_equal(coro_buf_append_string(buf, "cd"), 0);
    assert_int_equal(coro_buf_append_char(buf, 'e'), 0);
    assert_int_equal(buf->len, 6);
    assert_memory_equal(buf->data, "a\0bcde", 7);
    assert_false(buf->failed);
}

static void appending_nothing_allocates_an_empty_string(void **state)
{
    struct coro_buf *buf = *state;
    assert_null(buf->data);
    assert_int_equal(coro_buf_append(buf, NULL, 0), 0);
    assert_string_equal(buf->data, "");
}

static void it_grows_and_keeps_what_was_there(void **state)
{
    struct coro_buf *buf = *state;
    for (int i = 0; i < 10000; i++)
        coro_buf_append_char(buf, (char)('a' + i % 26));
    assert_int_equal(buf->len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf->data[i], 'a' + i % 26);
    assert_int_equal(buf->data[10000], 0);
}

static void unsigned_numbers_are_decimal(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_u64(buf, 0);
    coro_buf_append_char(buf, ' ');
    coro_buf_append_u64(buf, 1234567890);
    coro_buf_append_char(buf, ' ');
    coro_buf_append_u64(buf, UINT64_MAX);
    assert_string_equal(buf->data, "0 1234567890 18446744073709551615");
}

static void signed_numbers_reach_both_ends_of_their_range(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_i64(buf, -7);
    coro_buf_append_char(buf, ' ');
    coro_buf_append_i64(buf, INT64_MAX);
    coro_buf_append_char(buf, ' ');
    coro_buf_append_i64(buf, INT64_MIN);
    assert_string_equal(buf->data,
                        "-7 9223372036854775807 -9223372036854775808");
}

static void a_fixed_number_has_exactly_its_digits(void **state)
{
    static const struct {
        int64_t value;
        unsigned ndigits;
        const char *text;
    } cases[] = {
        {1725490519123450, 6, "1725490519.123450"},
        {-1500, 3, "-1.500"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {0, 3, "0.000"},
        {42, 0, "42"},
        {INT64_MIN, 18, "-9.223372036854775808"},
    };
    struct coro_buf *buf = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        coro_buf_clear(buf);
        coro_buf_append_fixed(buf, cases[i].value, cases[i].ndigits);
        assert_string_equal(buf->data, cases[i].text);
    }
}

static void hexadecimal_is_two_digits_a_byte(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_hex(buf, "\x00\x7f\xff\xa5", 4);
    assert_string_equal(buf->data, "007fffa5");
}

static void a_json_string_escapes_what_it_must(void **state)
{
    struct coro_buf *buf = *state;
    const char text[] = "a\"b\\c\n\r\t\b\f\x01\0z/";
    coro_buf_append_json_string(buf, text, sizeof(text) - 1);
    assert_string_equal(buf->data,
                        "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u0000z/\"");
}

static void a_json_string_keeps_other_characters(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_json_string(buf, "h\xc3\xa9 \xf0\x9f\x98\x80", 8);
    assert_string_equal(buf->data, "\"h\xc3\xa9 \xf0\x9f\x98\x80\"");
}

static void a_json_string_hides_terminal_controls(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_json_string(buf, "\x7f\xc2\x9b\xc2\xa0", 5);
    assert_string_equal(buf->data, "\"\\u007f\\u009b\xc2\xa0\"");
}

static void an_empty_json_string_is_two_quotes(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_json_string(buf, NULL, 0);
    assert_string_equal(buf->data, "\"\"");
}

static void printf_formats_short_and_long(void **state)
{
    struct coro_buf *buf = *state;
    assert_int_equal(coro_buf_printf(buf, "%s=%d;", "n", 5), 0);
    assert_int_equal(coro_buf_printf(buf, "%1000d", 7), 0);
    assert_int_equal(buf->len, 1004);
    assert_memory_equal(buf->data, "n=5;   ", 7);
    assert_string_equal(buf->data + 1002, " 7");
}

static void the_limit_can_be_reached_but_not_passed(void **state)
{
    (void)state;
    struct coro_buf buf;
    coro_buf_init(&buf, 5);
    assert_int_equal(coro_buf_append_string(&buf, "12345"), 0);
    assert_false(buf.failed);
    assert_int_equal(coro_buf_append_char(&buf, '6'), -EMSGSIZE);
    assert_true(buf.failed);
    assert_string_equal(buf.data, "12345");
    coro_buf_release(&buf);
}

static void a_refused_append_leaves_the_content(void **state)
{
    (void)state;
    struct coro_buf buf;
    coro_buf_init(&buf, 6);
    coro_buf_append_string(&buf, "abc");
    assert_int_equal(coro_buf_append_json_string(&buf, "x\ny", 3), -EMSGSIZE);
    assert_int_equal(coro_buf_printf(&buf, "%d", 123456), -EMSGSIZE);
    assert_int_equal(coro_buf_append_hex(&buf, "\1\2", 2), -EMSGSIZE);
    assert_int_equal(coro_buf_append_hex(&buf, "\1", SIZE_MAX), -EMSGSIZE);
    assert_int_equal(coro_buf_append_u64(&buf, 12345), -EMSGSIZE);
    assert_string_equal(buf.data, "abc");
    assert_int_equal(buf.len, 3);
    coro_buf_release(&buf);
}

static void the_failure_is_remembered_until_cleared(void **state)
{
    (void)state;
    struct coro_buf buf;
    coro_buf_init(&buf, 3);
    coro_buf_append_string(&buf, "too long");
    coro_buf_append_string(&buf, "ok");
    assert_true(buf.failed);
    coro_buf_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 0);
    coro_buf_release(&buf);
}

static void no_memory_is_reported(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_string(buf, "kept");
    assert_int_equal(coro_buf_reserve(buf, SIZE_MAX / 4), -ENOMEM);
    assert_true(buf->failed);
    assert_string_equal(buf->data, "kept");
}

static void take_gives_the_content_away(void **state)
{
    struct coro_buf *buf = *state;
    size_t len = 0;
    coro_buf_append_string(buf, "mine");
    char *text = coro_buf_take(buf, &len);
    assert_string_equal(text, "mine");
    assert_int_equal(len, 4);
    assert_null(buf->data);
    assert_int_equal(buf->len, 0);
    free(text);
}

static void taking_nothing_gives_an_empty_string(void **state)
{
    struct coro_buf *buf = *state;
    char *text = coro_buf_take(buf, NULL);
    assert_string_equal(text, "");
    free(text);
}

static void release_may_be_repeated_and_takes_null(void **state)
{
    struct coro_buf *buf = *state;
    coro_buf_append_string(buf, "x");
    coro_buf_release(buf);
    coro_buf_release(buf);
    coro_buf_release(NULL);
    assert_int_equal(coro_buf_append_string(buf, "again"), 0);
    assert_string_equal(buf->data, "again");
}

#define with_buf(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_buf(bytes_strings_and_chars_follow_each_other),
        with_buf(appending_nothing_allocates_an_empty_string),
        with_buf(it_grows_and_keeps_what_was_there),
        with_buf(unsigned_numbers_are_decimal),
        with_buf(signed_numbers_reach_both_ends_of_their_range),
        with_buf(a_fixed_number_has_exactly_its_digits),
        with_buf(hexadecimal_is_two_digits_a_byte),
        with_buf(a_json_string_escapes_what_it_must),
        with_buf(a_json_string_keeps_other_characters),
        with_buf(a_json_string_hides_terminal_controls),
        with_buf(an_empty_json_string_is_two_quotes),
        with_buf(printf_formats_short_and_long),
        with_buf(the_limit_can_be_reached_but_not_passed),
        with_buf(a_refused_append_leaves_the_content),
        with_buf(the_failure_is_remembered_until_cleared),
        with_buf(no_memory_is_reported),
        with_buf(take_gives_the_content_away),
        with_buf(taking_nothing_gives_an_empty_string),
        with_buf(release_may_be_repeated_and_takes_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
