#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/record.h"

static struct record read_bytes(const char *payload, size_t len)
{
    struct record record;
    record_read(payload, len, &record);
    return record;
}

static struct record read_text(const char *payload)
{
    return read_bytes(payload, strlen(payload));
}

static int64_t read_retry(const char *retry)
{
    char payload[200] = "{\"class\":\"A\",\"retry\":";
    strcat(payload, retry);
    strcat(payload, "}");
    return read_text(payload).retry;
}

/* --- kinds ---------------------------------------------------------------- */

static void a_class_makes_a_described_job(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"class\":\"A\"}").kind, RECORD_DESCRIBED);
    assert_int_equal(read_text(" {\"cl\\u0061ss\":\"\"}\n").kind,
                     RECORD_DESCRIBED);
    assert_int_equal(read_text("{\"class\":\"A\",\"corq\":{}}").kind,
                     RECORD_DESCRIBED);
}

static void other_bytes_are_raw_and_say_nothing(void **state)
{
    (void)state;
    static const char *const raw[] = {"",
                                      "5",
                                      "{}",
                                      "[]",
                                      "{\"class\":1}",
                                      "{\"class\":\"A\",\"retry\":3}x",
                                      "\xff{\"class\":\"A\"}"};
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        struct record record = read_text(raw[i]);
        assert_int_equal(record.kind, RECORD_RAW);
        assert_int_equal(record.retry, RECORD_RETRY_DEFAULT);
        assert_int_equal(record.retry_count, -1);
        assert_int_equal(record.failed_at_us, -1);
        assert_int_equal(record.retry_for_s, -1);
        assert_true(record.keep_dead);
        assert_false(record.has_jid);
    }
}

static void an_envelope_is_one_when_it_can_be_opened(void **state)
{
    (void)state;
    struct record record =
        read_text("{\"jid\":\"a\",\"retry\":2,\"retry_count\":"
                  "1,\"corq\":{\"key\":\"k\",\"payload64\":"
                  "\"\\/\\/4=\"}}");
    assert_int_equal(record.kind, RECORD_ENVELOPE);
    assert_int_equal(record.retry, 2);
    assert_int_equal(record.retry_count, 1);
    assert_true(record.has_jid);
}

static void an_envelope_that_can_not_be_opened_is_raw(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"retry\":2,\"corq\":{\"key\":\"k\"}}",
        "{\"retry\":2,\"corq\":{\"payload\":\"p\"}}",
        "{\"retry\":2,\"corq\":{\"key\":\"k\",\"payload64\":\"p\"}}",
        "{\"retry\":2,\"corq\":{\"key\":1,\"payload\":\"p\"}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct record record = read_text(bad[i]);
        assert_int_equal(record.kind, RECORD_RAW);
        assert_int_equal(record.retry, RECORD_RETRY_DEFAULT);
    }
}

static void bytes_after_the_end_are_not_read(void **state)
{
    (void)state;
    assert_int_equal(read_bytes("{\"class\":\"A\"}x", 13).kind,
                     RECORD_DESCRIBED);
    assert_int_equal(read_bytes("{\"class\":\"A\"}\0", 14).kind, RECORD_RAW);
}

/* --- retry ---------------------------------------------------------------- */

static void a_retry_that_is_absent_or_true_is_as_configured(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"class\":\"A\"}").retry,
                     RECORD_RETRY_DEFAULT);
    assert_int_equal(read_retry("true"), RECORD_RETRY_DEFAULT);
}

static void a_retry_of_false_is_never(void **state)
{
    (void)state;
    assert_int_equal(read_retry("false"), RECORD_RETRY_NEVER);
}

static void a_retry_that_is_a_number_is_a_limit(void **state)
{
    (void)state;
    assert_int_equal(read_retry("0"), 0);
    assert_int_equal(read_retry("25"), 25);
    assert_int_equal(read_retry("9223372036854775807"), INT64_MAX);
    assert_int_equal(read_retry("1234567890123456789012345678901234567890"),
                     INT64_MAX);
}

static void a_retry_below_zero_is_none(void **state)
{
    (void)state;
    assert_int_equal(read_retry("-1"), 0);
    assert_int_equal(read_retry("-1234567890123456789012345678901234567890"),
                     0);
}

static void a_retry_of_another_kind_means_nothing(void **state)
{
    (void)state;
    static const char *const others[] = {"null",      "\"5\"", "5.0", "5e0",
                                         "\"false\"", "[]",    "{}",  "[5]"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(read_retry(others[i]), RECORD_RETRY_DEFAULT);
}

/* --- the others ----------------------------------------------------------- */

static void the_count_of_failures_is_a_whole_number(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_count\":0}").retry_count, 0);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_count\":7}").retry_count, 7);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_count\":-1}").retry_count, -1);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_count\":\"7\"}").retry_count, -1);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_count\":null}").retry_count, -1);
}

static void the_first_failure_has_a_time_in_any_form(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"class\":\"A\",\"failed_at\":1725490519.25}").failed_at_us,
        1725490519250000);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"failed_at\":1725490519250}").failed_at_us,
        1725490519250000);
    assert_int_equal(read_text("{\"class\":\"A\",\"failed_at\":\"2024-09-04\"}")
                         .failed_at_us,
                     -1);
}

static void retry_for_is_a_number_of_seconds(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_for\":3600}").retry_for_s, 3600);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_for\":-1}").retry_for_s, -1);
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry_for\":\"1h\"}").retry_for_s, -1);
}

static void only_dead_false_keeps_a_job_from_the_dead(void **state)
{
    (void)state;
    assert_false(read_text("{\"class\":\"A\",\"dead\":false}").keep_dead);
    assert_true(read_text("{\"class\":\"A\",\"dead\":true}").keep_dead);
    assert_true(read_text("{\"class\":\"A\",\"dead\":null}").keep_dead);
    assert_true(read_text("{\"class\":\"A\",\"dead\":\"false\"}").keep_dead);
}

static void a_jid_is_a_string_that_is_not_empty(void **state)
{
    (void)state;
    assert_true(read_text("{\"class\":\"A\",\"jid\":\"x\"}").has_jid);
    assert_false(read_text("{\"class\":\"A\",\"jid\":\"\"}").has_jid);
    assert_false(read_text("{\"class\":\"A\",\"jid\":12}").has_jid);
    assert_false(read_text("{\"class\":\"A\"}").has_jid);
}

static void of_equal_members_the_last_one_counts(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"class\":\"A\",\"retry\":1,\"r\\u0065try\":2}").retry, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_makes_a_described_job),
        cmocka_unit_test(other_bytes_are_raw_and_say_nothing),
        cmocka_unit_test(an_envelope_is_one_when_it_can_be_opened),
        cmocka_unit_test(an_envelope_that_can_not_be_opened_is_raw),
        cmocka_unit_test(bytes_after_the_end_are_not_read),
        cmocka_unit_test(a_retry_that_is_absent_or_true_is_as_configured),
        cmocka_unit_test(a_retry_of_false_is_never),
        cmocka_unit_test(a_retry_that_is_a_number_is_a_limit),
        cmocka_unit_test(a_retry_below_zero_is_none),
        cmocka_unit_test(a_retry_of_another_kind_means_nothing),
        cmocka_unit_test(the_count_of_failures_is_a_whole_number),
        cmocka_unit_test(the_first_failure_has_a_time_in_any_form),
        cmocka_unit_test(retry_for_is_a_number_of_seconds),
        cmocka_unit_test(only_dead_false_keeps_a_job_from_the_dead),
        cmocka_unit_test(a_jid_is_a_string_that_is_not_empty),
        cmocka_unit_test(of_equal_members_the_last_one_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
