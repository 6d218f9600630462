#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/scan.h"

static int64_t time_us(const char *text)
{
    return scan_time_us((struct scan_range){.at = text, .len = strlen(text)});
}

static void decimal_seconds_are_read_to_the_microsecond(void **state)
{
    (void)state;
    assert_int_equal(time_us("1725490519.123456"), 1725490519123456);
    assert_int_equal(time_us("1725490519.000001"), 1725490519000001);
    assert_int_equal(time_us("1725490519.5"), 1725490519500000);
    assert_int_equal(time_us("0.000001"), 1);
}

static void whole_seconds_are_seconds(void **state)
{
    (void)state;
    assert_int_equal(time_us("1725490519"), 1725490519000000);
    assert_int_equal(time_us("0"), 0);
}

static void from_a_hundred_billion_on_it_is_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(time_us("1725490519123"), 1725490519123000);
    assert_int_equal(time_us("1725490519123.25"), 1725490519123250);
    assert_int_equal(time_us("100000000000"), 100000000000000);
    assert_int_equal(time_us("99999999999"), 99999999999000000);
    assert_int_equal(time_us("99999999999.9999999"), 99999999999999999);
}

static void exponents_are_understood(void **state)
{
    (void)state;
    assert_int_equal(time_us("1.725490519123456e9"), 1725490519123456);
    assert_int_equal(time_us("1725490519123456E-6"), 1725490519123456);
    assert_int_equal(time_us("1.725490519123e+12"), 1725490519123000);
    assert_int_equal(time_us("1e-7"), 0);
    assert_int_equal(time_us("0e999999999999999999999"), 0);
    assert_int_equal(time_us("1e-999999999999999999999"), 0);
}

static void a_numeric_string_is_a_number(void **state)
{
    (void)state;
    assert_int_equal(time_us("\"1725490519.25\""), 1725490519250000);
    assert_int_equal(time_us("\"1725490519123\""), 1725490519123000);
    assert_int_equal(time_us("\"1.5e1\""), 15000000);
}

static void what_microseconds_do_not_show_is_cut_off(void **state)
{
    (void)state;
    assert_int_equal(time_us("1.1234569"), 1123456);
    assert_int_equal(time_us("1725490519.12345678901234567890123456789"),
                     1725490519123456);
    assert_int_equal(time_us("0.00000000000000000000000000001725490519e38"),
                     1725490519000000);
}

static void what_can_not_be_held_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(time_us("9223372036854775"), 9223372036854775000);
    assert_int_equal(time_us("9223372036854776"), -1);
    assert_int_equal(time_us("1e999"), -1);
    assert_int_equal(time_us("1234567890123456789012345678901234567890"), -1);
}

static void whatever_is_no_number_is_unknown(void **state)
{
    (void)state;
    static const char *const others[] = {
        "null",
        "true",
        "[1]",
        "{}",
        "\"\"",
        "\"x\"",
        "-1",
        "-0.5",
        "\"-1\"",
        "\" 1\"",
        "\"1 \"",
        "\"1.\"",
        "\".5\"",
        "\"1e\"",
        "\"1e+\"",
        "\"nan\"",
        "\"inf\"",
        "\"0x1\"",
        "\"1,5\"",
        "\"2024-09-04T22:55:19Z\"",
        "\"2024-09-04 22:55:19\"",
        "\"\\u0031\"",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (time_us(others[i]) != -1)
            fail_msg("taken for a time: %s", others[i]);
    assert_int_equal(scan_time_us((struct scan_range){0}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_seconds_are_read_to_the_microsecond),
        cmocka_unit_test(whole_seconds_are_seconds),
        cmocka_unit_test(from_a_hundred_billion_on_it_is_milliseconds),
        cmocka_unit_test(exponents_are_understood),
        cmocka_unit_test(a_numeric_string_is_a_number),
        cmocka_unit_test(what_microseconds_do_not_show_is_cut_off),
        cmocka_unit_test(what_can_not_be_held_is_unknown),
        cmocka_unit_test(whatever_is_no_number_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
