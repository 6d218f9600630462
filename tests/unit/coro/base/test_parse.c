#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/base/parse.h"

/* Each helper also sees to it that a refusal leaves the result untouched. */
static int u64(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    *value = 4711;
    int status = coro_parse_u64(text, strlen(text), min, max, value);
    if (status < 0)
        assert_int_equal(*value, 4711);
    return status;
}

static int64_t duration(const char *text)
{
    int64_t ms = -4711;
    int status = coro_parse_duration_ms(text, strlen(text), &ms);
    if (status == 0)
        return ms;
    assert_int_equal(ms, -4711);
    return status;
}

static int seconds(const char *text, double *value)
{
    *value = -1;
    int status = coro_parse_seconds(text, strlen(text), value);
    if (status < 0)
        assert_true(*value < 0);
    return status;
}

static int size(const char *text, uint64_t *value)
{
    *value = 4711;
    int status = coro_parse_size(text, strlen(text), 1, UINT64_MAX, value);
    if (status < 0)
        assert_int_equal(*value, 4711);
    return status;
}

static void assert_u64(const char *text, uint64_t expected)
{
    uint64_t value;
    assert_int_equal(u64(text, 0, UINT64_MAX, &value), 0);
    assert_true(value == expected);
}

static void assert_not_u64(const char *text)
{
    uint64_t value;
    assert_int_equal(u64(text, 0, UINT64_MAX, &value), -EINVAL);
}

static void whole_numbers_are_read(void **state)
{
    (void)state;
    assert_u64("0", 0);
    assert_u64("7", 7);
    assert_u64("1000000", 1000000);
    assert_u64("18446744073709551615", UINT64_MAX);
}

static void leading_zeros_do_not_mean_octal(void **state)
{
    (void)state;
    assert_u64("010", 10);
    assert_u64("00000000000000000000000000000008", 8);
}

static void a_minus_sign_is_refused(void **state)
{
    (void)state;
    assert_not_u64("-1");
    assert_not_u64("-0");
}

static void a_plus_sign_is_refused(void **state)
{
    (void)state;
    assert_not_u64("+1");
}

static void blanks_around_a_number_are_refused(void **state)
{
    (void)state;
    assert_not_u64(" 1");
    assert_not_u64("1 ");
    assert_not_u64("1\n");
    assert_not_u64("1 2");
}

static void an_empty_text_is_no_number(void **state)
{
    (void)state;
    uint64_t value;
    assert_not_u64("");
    assert_int_equal(coro_parse_u64(NULL, 0, 0, 9, &value), -EINVAL);
}

static void other_bases_are_refused(void **state)
{
    (void)state;
    assert_not_u64("0x10");
    assert_not_u64("1e3");
    assert_not_u64("ff");
}

static void one_more_than_64_bits_is_out_of_range(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(u64("18446744073709551616", 0, UINT64_MAX, &value),
                     -ERANGE);
    assert_int_equal(u64("99999999999999999999999", 0, UINT64_MAX, &value),
                     -ERANGE);
}

static void a_long_text_that_is_no_number_is_not_out_of_range(void **state)
{
    (void)state;
    assert_not_u64("99999999999999999999999x");
}

static void bounds_belong_to_the_range(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(u64("3", 3, 5, &value), 0);
    assert_int_equal(u64("5", 3, 5, &value), 0);
    assert_int_equal(u64("2", 3, 5, &value), -ERANGE);
    assert_int_equal(u64("6", 3, 5, &value), -ERANGE);
}

static void only_the_given_length_is_read(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(coro_parse_u64("123456", 3, 0, 999, &value), 0);
    assert_int_equal(value, 123);
    int64_t ms;
    assert_int_equal(coro_parse_duration_ms("250msx", 5, &ms), 0);
    assert_int_equal(ms, 250);
}

static void a_nul_inside_is_refused(void **state)
{
    (void)state;
    uint64_t value;
    int64_t ms;
    assert_int_equal(coro_parse_u64("1\0", 2, 0, 9, &value), -EINVAL);
    assert_int_equal(coro_parse_duration_ms("1s\0", 3, &ms), -EINVAL);
    assert_int_equal(coro_parse_size("1k\0", 3, 0, 9999, &value), -EINVAL);
}

static void every_unit_of_time_is_known(void **state)
{
    (void)state;
    assert_int_equal(duration("250ms"), 250);
    assert_int_equal(duration("2s"), 2000);
    assert_int_equal(duration("5m"), 300000);
    assert_int_equal(duration("1h"), 3600000);
    assert_int_equal(duration("1d"), 86400000);
}

static void a_bare_number_is_seconds(void **state)
{
    (void)state;
    assert_int_equal(duration("25"), 25000);
    assert_int_equal(duration("0"), 0);
}

static void fractions_of_a_duration_are_read(void **state)
{
    (void)state;
    assert_int_equal(duration("0.25"), 250);
    assert_int_equal(duration("1.5s"), 1500);
    assert_int_equal(duration("0.5h"), 1800000);
    assert_int_equal(duration("1.000"), 1000);
}

static void a_part_of_a_millisecond_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(duration("0.0001"), 1);
    assert_int_equal(duration("0.5ms"), 1);
    assert_int_equal(duration("1.0000000000000000000000000000001s"), 1001);
    assert_int_equal(duration("0.1d"), 8640000);
    assert_int_equal(duration("0.00000001d"), 1);
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",      "s",    "ms",  "-1s", "+1s", "1 s", " 1s",  "1s ",
        "1s\n",  "1sec", "1S",  "1M",  "1.",  ".5",  "1.s",  "1..2",
        "1.2.3", "1e3",  "1s2", "inf", "nan", "0x1", "1,5s", "forever",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(duration(texts[i]), -EINVAL);
}

static void a_duration_stays_below_never(void **state)
{
    (void)state;
    assert_true(duration("9223372036854775806ms") == CORO_NEVER - 1);
    assert_int_equal(duration("9223372036854775807ms"), -ERANGE);
    assert_int_equal(duration("9223372036854775806.1ms"), -ERANGE);
    assert_int_equal(duration("9223372036854776s"), -ERANGE);
    assert_int_equal(duration("18446744073709551615d"), -ERANGE);
    assert_int_equal(duration("18446744073709551616"), -ERANGE);
}

static void seconds_are_read_exactly(void **state)
{
    (void)state;
    double value;
    assert_int_equal(seconds("5", &value), 0);
    assert_true(value == 5.0);
    assert_int_equal(seconds("0.25", &value), 0);
    assert_true(value == 0.25);
    assert_int_equal(seconds("0.1", &value), 0);
    assert_true(value == 0.1);
    assert_int_equal(seconds("999999999.999", &value), 0);
    assert_true(value == 999999999.999);
    assert_int_equal(seconds("0", &value), 0);
    assert_true(value == 0.0);
}

static void a_long_fraction_of_seconds_is_read(void **state)
{
    (void)state;
    double value;
    char text[1000];
    memset(text, '0', sizeof(text));
    memcpy(text, "1.", 2);
    text[sizeof(text) - 1] = '3';
    assert_int_equal(coro_parse_seconds(text, sizeof(text), &value), 0);
    assert_true(value == 1.0);
    text[0] = '0';
    assert_int_equal(coro_parse_seconds(text, sizeof(text), &value), 0);
    assert_true(value == 0.0);
}

static void what_is_no_number_of_seconds_is_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"",    "abc", "  ", " 5",  "5 ",   "5\n",
                                 "1e3", "-1",  "+1", "0x5", "inf",  "nan",
                                 "5s",  "1.",  ".5", "1,5", "1.2.3"};
    double value;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(seconds(texts[i], &value), -EINVAL);
}

static void seconds_have_a_limit(void **state)
{
    (void)state;
    double value;
    assert_int_equal(seconds("1000000000", &value), 0);
    assert_int_equal(seconds("1000000000.0", &value), 0);
    assert_int_equal(seconds("1000000000.00000000000000000001", &value),
                     -ERANGE);
    assert_int_equal(seconds("1000000001", &value), -ERANGE);
    assert_int_equal(seconds("99999999999999999999999", &value), -ERANGE);
}

static void every_unit_of_size_is_known(void **state)
{
    (void)state;

    const struct {
        const char *text;
        uint64_t size_bytes;
    } sizes[] = {
        {"8388608", 8388608},
        {"512B", 512},
        {"1k", 1024},
        {"1K", 1024},
        {"1KiB", 1024},
        {"16M", 16777216},
        {"16MiB", 16777216},
        {"16mib", 16777216},
        {"2G", UINT64_C(1) << 31},
        {"1TiB", UINT64_C(1) << 40},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t value;
        assert_int_equal(size(sizes[i].text, &value), 0);
        assert_true(value == sizes[i].size_bytes);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"",    "k",   "1KB", "1MB", "1.5M", "-1",
                                 "1 k", "1kk", "1Mi", "1P",  "+1",   "0x1"};
    uint64_t value;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(size(texts[i], &value), -EINVAL);
}

static void a_size_out_of_bounds_is_out_of_range(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(size("0", &value), -ERANGE);
    assert_int_equal(size("16777216T", &value), -ERANGE);
    assert_int_equal(size("18446744073709551616", &value), -ERANGE);
    assert_int_equal(coro_parse_size("2k", 2, 1, 2047, &value), -ERANGE);
    assert_int_equal(coro_parse_size("2k", 2, 1, 2048, &value), 0);
}

/* Texts made of what numbers are made of, in a buffer of exactly their size,
 * so that a sanitizer sees any look past the end. */
static void random_texts_are_read_or_refused(void **state)
{
    (void)state;
    static const char letters[] = "0123456789...kKmMsGiBdhe-+ \n\0x";
    unsigned seed = 7;
    for (int round = 0; round < 50000; round++) {
        size_t len = (size_t)rand_r(&seed) % 24;
        char *text = malloc(len + (len == 0));
        assert_non_null(text);
        for (size_t i = 0; i < len; i++)
            text[i] = letters[(size_t)rand_r(&seed) % sizeof(letters)];
        uint64_t value;
        double s;
        int64_t ms;
        if (coro_parse_u64(text, len, 1, 99, &value) == 0)
            assert_in_range(value, 1, 99);
        if (coro_parse_size(text, len, 1, 99, &value) == 0)
            assert_in_range(value, 1, 99);
        if (coro_parse_seconds(text, len, &s) == 0)
            assert_true(s >= 0 && s <= 1e9);
        if (coro_parse_duration_ms(text, len, &ms) == 0)
            assert_true(ms >= 0 && ms < CORO_NEVER);
        free(text);
    }
}

static void numbers_survive_printing_and_reading(void **state)
{
    (void)state;
    unsigned seed = 11;
    for (int round = 0; round < 10000; round++) {
        uint64_t number = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 33);
        char text[32];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        assert_u64(text, number);
        snprintf(text, sizeof(text), "%llums", (unsigned long long)number);
        assert_true(duration(text) == (int64_t)number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_read),
        cmocka_unit_test(leading_zeros_do_not_mean_octal),
        cmocka_unit_test(a_minus_sign_is_refused),
        cmocka_unit_test(a_plus_sign_is_refused),
        cmocka_unit_test(blanks_around_a_number_are_refused),
        cmocka_unit_test(an_empty_text_is_no_number),
        cmocka_unit_test(other_bases_are_refused),
        cmocka_unit_test(one_more_than_64_bits_is_out_of_range),
        cmocka_unit_test(a_long_text_that_is_no_number_is_not_out_of_range),
        cmocka_unit_test(bounds_belong_to_the_range),
        cmocka_unit_test(only_the_given_length_is_read),
        cmocka_unit_test(a_nul_inside_is_refused),
        cmocka_unit_test(every_unit_of_time_is_known),
        cmocka_unit_test(a_bare_number_is_seconds),
        cmocka_unit_test(fractions_of_a_duration_are_read),
        cmocka_unit_test(a_part_of_a_millisecond_is_rounded_up),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(a_duration_stays_below_never),
        cmocka_unit_test(seconds_are_read_exactly),
        cmocka_unit_test(a_long_fraction_of_seconds_is_read),
        cmocka_unit_test(what_is_no_number_of_seconds_is_refused),
        cmocka_unit_test(seconds_have_a_limit),
        cmocka_unit_test(every_unit_of_size_is_known),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(a_size_out_of_bounds_is_out_of_range),
        cmocka_unit_test(random_texts_are_read_or_refused),
        cmocka_unit_test(numbers_survive_printing_and_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
