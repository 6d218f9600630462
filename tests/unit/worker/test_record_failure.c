#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "worker/record.h"

#define JID "0123456789abcdef01234567"
#define NOW 1725490519123450

static struct buffers {
    struct coro_buf out;
    struct coro_buf last;
} buffers;

static int setup(void **state)
{
    (void)state;
    coro_buf_init(&buffers.out, CORO_BUF_NO_LIMIT);
    coro_buf_init(&buffers.last, CORO_BUF_NO_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    coro_buf_release(&buffers.out);
    coro_buf_release(&buffers.last);
    return 0;
}

/* A first failure of a job from the queue @key. */
static struct record_failure from_queue(const char *key)
{
    return (struct record_failure){
        .key = key,
        .key_len = strlen(key),
        .jid = JID,
        .retry = -1,
        .now_us = NOW,
        .error_class = "E",
        .error_message = "m",
    };
}

/* What is remembered of @payload, in buffers.out. */
static const char *write(const char *payload,
                         const struct record_failure *failure)
{
    coro_buf_clear(&buffers.out);
    assert_int_equal(
        record_write_failure(payload, strlen(payload), failure, &buffers.out),
        0);
    return buffers.out.data;
}

#define ERROR ",\"error_class\":\"E\",\"error_message\":\"m\""
#define FIRST ",\"retry_count\":0,\"failed_at\":1725490519.123450" ERROR

/* --- described jobs ------------------------------------------------------- */

static void a_first_failure_adds_what_is_not_there(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:low");
    assert_string_equal(write("{\"class\":\"A\",\"args\":[1]}", &failure),
                        "{\"class\":\"A\",\"args\":[1],\"jid\":\"" JID
                        "\"" FIRST ",\"queue\":\"low\"}");
}

static void a_later_failure_has_its_own_time(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:low");
    failure.retry_count = 3;
    assert_string_equal(
        write("{\"class\":\"A\",\"jid\":\"j\",\"retry_count\":2,\"failed_at\":"
              "1.5,\"retried_at\":2.5,\"queue\":\"low\",\"error_class\":\"O\","
              "\"error_message\":\"o\"}",
              &failure),
        "{\"class\":\"A\",\"jid\":\"j\",\"retry_count\":3,\"failed_at\":1.5,"
        "\"retried_at\":1725490519.123450,\"queue\":\"low\",\"error_class\":"
        "\"E\",\"error_message\":\"m\"}");
}

static void a_count_below_zero_is_a_later_failure(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    assert_string_equal(
        write("{\"class\":\"A\",\"jid\":\"j\",\"queue\":\"a\",\"retry_count\":"
              "-1,\"failed_at\":1.5}",
              &failure),
        "{\"class\":\"A\",\"jid\":\"j\",\"queue\":\"a\",\"retry_count\":0,"
        "\"failed_at\":1.5,\"retried_at\":1725490519.123450" ERROR "}");
}

static void a_count_can_be_left_as_it_is(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    failure.retry_count = -1;
    assert_null(strstr(write("{\"class\":\"A\"}", &failure), "retry_count"));
    assert_non_null(strstr(buffers.out.data, "\"failed_at\":"));
    assert_non_null(
        strstr(write("{\"class\":\"A\",\"retry_count\":4}", &failure),
               "\"retry_count\":4"));
    assert_null(strstr(buffers.out.data, "\"failed_at\":"));
    assert_non_null(strstr(buffers.out.data, "\"retried_at\":"));
}

static void an_own_jid_stays(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    assert_null(
        strstr(write("{\"class\":\"A\",\"jid\":\"own\"}", &failure), JID));
    assert_non_null(strstr(buffers.out.data, "\"jid\":\"own\""));
}

static void a_jid_that_tells_nothing_is_replaced(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    assert_non_null(strstr(write("{\"jid\":\"\",\"class\":\"A\"}", &failure),
                           "{\"jid\":\"" JID "\",\"class\""));
    assert_non_null(strstr(write("{\"jid\":null,\"class\":\"A\"}", &failure),
                           "{\"jid\":\"" JID "\",\"class\""));
}

static void an_error_is_made_text_and_cut(void **state)
{
    (void)state;
    char class[300], message[12000];
    memset(class, 'c', sizeof class);
    class[sizeof class - 1] = '\0';
    memset(message, 'm', sizeof message);
    message[sizeof message - 1] = '\0';
    message[0] = '\xff';
    struct record_failure failure = from_queue("queue:a");
    failure.error_class = class;
    failure.error_message = message;
    write("{\"class\":\"A\"}", &failure);
    const char *at = strstr(buffers.out.data, "\"error_class\":\"");
    assert_int_equal(strspn(at + strlen("\"error_class\":\""), "c"), 200);
    at = strstr(buffers.out.data, "\"error_message\":\"\xef\xbf\xbd");
    assert_non_null(at);
    at += strlen("\"error_message\":\"\xef\xbf\xbd");
    assert_int_equal(strspn(at, "m"), 9999);
}

/* --- where it is to go ---------------------------------------------------- */

static void the_queue_is_the_one_it_was_taken_from(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:h\xc3\xa9");
    assert_non_null(strstr(write("{\"queue\":\"x\",\"class\":\"A\"}", &failure),
                           "{\"queue\":\"h\xc3\xa9\","));
}

static void a_retry_queue_goes_before_it(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:low");
    static const char payload[] =
        "{\"class\":\"A\",\"queue\":\"x\",\"retry_queue\":\"l\\u00e4ter\"}";
    assert_non_null(
        strstr(write(payload, &failure), "\"queue\":\"l\\u00e4ter\",\"retry_"));
    assert_non_null(
        strstr(write("{\"class\":\"A\",\"retry_queue\":5}", &failure),
               "\"queue\":\"low\""));
}

static void another_key_is_kept_beside_the_job(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("k\"1");
    assert_string_equal(
        write("{\"class\":\"A\",\"jid\":\"j\",\"queue\":\"q\",\"retry_queue\":"
              "\"r\"}",
              &failure),
        "{\"class\":\"A\",\"jid\":\"j\",\"queue\":\"q\",\"retry_queue\":\"r\"" FIRST
        ",\"corq\":{\"key\":\"k\\\"1\"}}");
}

static void a_key_that_is_no_text_is_kept_in_base64(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("q\x80");
    assert_non_null(strstr(write("{\"class\":\"A\"}", &failure),
                           ",\"corq\":{\"key64\":\"cYA=\"}}"));
    failure.key = "a\0";
    failure.key_len = 2;
    assert_non_null(strstr(write("{\"class\":\"A\"}", &failure),
                           ",\"corq\":{\"key64\":\"YQA=\"}}"));
}

static void a_queue_whose_name_is_no_text_is_kept_by_its_key(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:\xff");
    assert_non_null(strstr(write("{\"class\":\"A\"}", &failure),
                           ",\"corq\":{\"key64\":\"cXVldWU6/w==\"}}"));
    assert_null(strstr(buffers.out.data, "\"queue\":"));
    failure = from_queue("queue:");
    assert_non_null(strstr(write("{\"class\":\"A\"}", &failure),
                           ",\"corq\":{\"key\":\"queue:\"}}"));
}

static void from_a_shared_queue_no_other_key_is_kept(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    static const char payload[] =
        "{\"class\":\"A\",\"corq\":{\"key\":\"k\"},\"x\":1}";
    assert_null(strstr(write(payload, &failure), "corq"));
    assert_non_null(
        strstr(write("{\"class\":\"A\",\"corq\":\"foreign\"}", &failure),
               "\"corq\":\"foreign\""));
}

/* --- raw jobs and envelopes ----------------------------------------------- */

static void a_raw_job_gets_an_envelope(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("queue:a");
    assert_string_equal(
        write("5", &failure),
        "{\"jid\":\"" JID
        "\",\"corq\":{\"key\":\"queue:a\",\"payload\":\"5\"}" FIRST "}");
}

static void its_own_limit_goes_into_the_envelope(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("k");
    failure.retry = 0;
    failure.retry_count = -1;
    assert_string_equal(
        write("", &failure),
        "{\"jid\":\"" JID "\",\"corq\":{\"key\":\"k\",\"payload\":\"\"},"
        "\"retry\":0,\"failed_at\":1725490519.123450" ERROR "}");
}

static void an_envelope_keeps_all_but_the_failure(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("another");
    failure.retry = 7;
    failure.retry_count = 1;
    assert_string_equal(
        write("{ \"jid\":\"own\", \"corq\":{\"key\":\"k\",\"payload64\":"
              "\"\\/w==\"}, \"x\":1e999, \"retry\":2, \"retry_count\":0,"
              "\"failed_at\":1.5 }",
              &failure),
        "{ \"jid\":\"own\", \"corq\":{\"key\":\"k\",\"payload64\":"
        "\"\\/w==\"}, \"x\":1e999, \"retry\":2, \"retry_count\":1,"
        "\"failed_at\":1.5 ,\"retried_at\":1725490519.123450" ERROR "}");
}

static void an_envelope_that_is_none_is_put_into_one(void **state)
{
    (void)state;
    struct record_failure failure = from_queue("k");
    assert_non_null(strstr(write("{\"corq\":{}}", &failure),
                           "\"payload\":\"{\\\"corq\\\":{}}\""));
}

/* --- what survives -------------------------------------------------------- */

/* Three failures one after the other; what is kept is in buffers.last. */
static void fail_three_times(const char *payload, const char *key)
{
    struct record_failure failure = from_queue(key);
    coro_buf_append_string(&buffers.last, payload);
    for (int64_t count = 0; count < 3; count++) {
        failure.retry_count = count;
        failure.now_us += 1000000;
        coro_buf_clear(&buffers.out);
        assert_int_equal(record_write_failure(buffers.last.data,
                                              buffers.last.len, &failure,
                                              &buffers.out),
                         0);
        coro_buf_clear(&buffers.last);
        coro_buf_append(&buffers.last, buffers.out.data, buffers.out.len);
    }
}

#define BIG "1234567890123456789012345678901234567890"
#define SURVIVES                                    \
    "{ \"args\":[" BIG ",-" BIG                     \
    ".50e400, \"\\u0000\\/\" ],\n\"class\" :\"A\"," \
    "\"my\" : { \"a\":1,\"a\":1.0 } , \"my\":2, \"jid\":\"x\""

static void what_others_wrote_survives_three_failures(void **state)
{
    (void)state;
    fail_three_times(SURVIVES "}", "queue:a");
    assert_string_equal(
        buffers.last.data,
        SURVIVES ",\"retry_count\":2,\"failed_at\":1725490520.123450" ERROR
                 ",\"queue\":\"a\",\"retried_at\":1725490522.123450}");
}

static void the_key_beside_a_job_is_written_once(void **state)
{
    (void)state;
    fail_three_times(SURVIVES "}", "k");
    assert_string_equal(
        buffers.last.data,
        SURVIVES ",\"retry_count\":2,\"failed_at\":1725490520.123450" ERROR
                 ",\"corq\":{\"key\":\"k\"},\"retried_at\":1725490522.123450}");
}

static void a_record_beyond_the_limit_leaves_nothing(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "5", "{\"class\":\"A\"}",
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"}}"};
    struct record_failure failure = from_queue("k");
    for (size_t limit = 4; limit < 300; limit++) {
        const char *payload = payloads[limit % 3];
        struct coro_buf out;
        coro_buf_init(&out, limit);
        coro_buf_append_string(&out, "kept");
        int status =
            record_write_failure(payload, strlen(payload), &failure, &out);
        if (status != 0) {
            assert_int_equal(status, -ENOMEM);
            assert_string_equal(out.data, "kept");
        }
        coro_buf_release(&out);
    }
}

#define with_buffers(test) \
    cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_buffers(a_first_failure_adds_what_is_not_there),
        with_buffers(a_later_failure_has_its_own_time),
        with_buffers(a_count_below_zero_is_a_later_failure),
        with_buffers(a_count_can_be_left_as_it_is),
        with_buffers(an_own_jid_stays),
        with_buffers(a_jid_that_tells_nothing_is_replaced),
        with_buffers(an_error_is_made_text_and_cut),
        with_buffers(the_queue_is_the_one_it_was_taken_from),
        with_buffers(a_retry_queue_goes_before_it),
        with_buffers(another_key_is_kept_beside_the_job),
        with_buffers(a_key_that_is_no_text_is_kept_in_base64),
        with_buffers(a_queue_whose_name_is_no_text_is_kept_by_its_key),
        with_buffers(from_a_shared_queue_no_other_key_is_kept),
        with_buffers(a_raw_job_gets_an_envelope),
        with_buffers(its_own_limit_goes_into_the_envelope),
        with_buffers(an_envelope_keeps_all_but_the_failure),
        with_buffers(an_envelope_that_is_none_is_put_into_one),
        with_buffers(what_others_wrote_survives_three_failures),
        with_buffers(the_key_beside_a_job_is_written_once),
        with_buffers(a_record_beyond_the_limit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
