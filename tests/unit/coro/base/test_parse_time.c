#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "coro/base/parse.h"

#define nitems(array) (sizeof(array) / sizeof((array)[0]))

#define UNTOUCHED (-7)

static int64_t result;

/* Reads @text from memory that ends with it, so that a checker of memory sees
 * every byte too many. */
static int parse_time(const char *text)
{
    char bytes[64];
    size_t len = strlen(text);
    assert_in_range(len, 0, sizeof bytes);
    char *at = bytes + sizeof bytes - len;
    memcpy(at, text, len);
    result = UNTOUCHED;
    return coro_parse_time_us(at, len, &result);
}

static void assert_time(const char *text, int64_t us)
{
    assert_int_equal(parse_time(text), 0);
    assert_int_equal(result, us);
}

static void seconds_are_read(void **state)
{
    (void)state;
    assert_time("0", 0);
    assert_time("1790000000", INT64_C(1790000000000000));
    assert_time("1790000000.5", INT64_C(1790000000500000));
    assert_time("0.000001", 1);
    assert_time("253402300799.999999", INT64_C(253402300799999999));
}

static void what_is_less_than_a_microsecond_is_rounded_up(void **state)
{
    (void)state;
    assert_time("1.0000001", 1000001);
    assert_time("1970-01-01T00:00:01.0000001Z", 1000001);
}

static void a_date_is_read(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("2026-11-25T10:00:00Z", INT64_C(1795600800000000));
    assert_time("2026-11-25T10:00:00.25Z", INT64_C(1795600800250000));
    assert_time("9999-12-31T23:59:59Z", INT64_C(253402300799000000));
}

static void dates_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int64_t seconds = 0; seconds < INT64_C(253402300800);
         seconds += 86400 * 97 + 3661) {
        time_t now = (time_t)seconds;
        struct tm tm;
        char text[40];
        assert_non_null(gmtime_r(&now, &tm));
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_time(text, seconds * 1000000);
    }
}

static void the_29th_of_february_is_there_in_leap_years(void **state)
{
    (void)state;
    assert_int_equal(parse_time("2028-02-29T00:00:00Z"), 0);
    assert_int_equal(parse_time("2000-02-29T00:00:00Z"), 0);
    assert_int_equal(parse_time("2027-02-29T00:00:00Z"), -ERANGE);
    assert_int_equal(parse_time("2100-02-29T00:00:00Z"), -ERANGE);
}

static void what_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "253402300800",         "1790000000000",        "99999999999999999999",
        "1969-12-31T23:59:59Z", "2026-00-10T00:00:00Z", "2026-13-10T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2016-12-31T23:59:60Z",
    };
    for (size_t i = 0; i < nitems(texts); i++) {
        assert_int_equal(parse_time(texts[i]), -ERANGE);
        assert_int_equal(result, UNTOUCHED);
    }
}

static void other_ways_of_writing_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "-1",
        "1e9",
        "5s",
        "5.",
        ".5",
        " 5",
        "2026-11-25",
        "2026-11-25T10:00Z",
        "2026-11-25T10:00:00",
        "2026-11-25 10:00:00Z",
        "2026-11-25t10:00:00z",
        "2026-11-25T10:00:00+01:00",
        "2026-11-25T10:00:00.Z",
        "2026-11-25T10:00:00Zx",
        "26-11-25T10:00:00Z",
        "2026-1-25T10:00:00Z",
        "12026-11-25T10:00:00Z",
        "tomorrow",
    };
    for (size_t i = 0; i < nitems(texts); i++) {
        assert_int_equal(parse_time(texts[i]), -EINVAL);
        assert_int_equal(result, UNTOUCHED);
    }
}

static void a_cut_date_is_refused(void **state)
{
    (void)state;
    const char *whole = "2026-11-25T10:00:00.5Z";
    char text[40];
    for (size_t len = 5; len < strlen(whole); len++) {
        snprintf(text, sizeof text, "%.*s", (int)len, whole);
        assert_int_equal(parse_time(text), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_read),
        cmocka_unit_test(what_is_less_than_a_microsecond_is_rounded_up),
        cmocka_unit_test(a_date_is_read),
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(the_29th_of_february_is_there_in_leap_years),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(other_ways_of_writing_are_refused),
        cmocka_unit_test(a_cut_date_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
