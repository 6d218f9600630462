#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "master/cli/push_job.h"
#include "worker/scan.h"

#define NOW_US   INT64_C(1795600800250000)
#define LATER_US (NOW_US + 5000000)

/* What NOW_US is in a job. */
#define NOW "1795600800.250000"

static struct push_job job;

static struct push_request request_of(const char *key, const char *payload)
{
    return (struct push_request){
        .key = key,
        .payload = payload,
        .payload_len = strlen(payload),
        .now_us = NOW_US,
        .due_us = NOW_US,
        .retry = -1,
    };
}

static void make(struct push_request request)
{
    push_job_release(&job);
    assert_int_equal(push_job_make(&request, &job), 0);
}

/* Takes the jid, which must be a new one, out of the job's bytes. */
static void take_jid(void)
{
    assert_int_equal(job.jid.len, 24);
    assert_int_equal(strspn(job.jid.data, "0123456789abcdef"), 24);
    char *at = strstr(job.bytes.data, job.jid.data);
    assert_non_null(at);
    memmove(at, at + 24, strlen(at + 24) + 1);
    job.bytes.len -= 24;
}

static void assert_bytes(const char *expected)
{
    assert_int_equal(job.bytes.len, strlen(expected));
    assert_string_equal(job.bytes.data, expected);
}

static void assert_goes_to(const char *set, const char *name)
{
    assert_int_equal(!job.set, !set);
    if (set)
        assert_string_equal(job.set, set);
    assert_int_equal(!job.name, !name);
    if (name)
        assert_string_equal(job.name, name);
}

static int clean_up(void **state)
{
    (void)state;
    push_job_release(&job);
    job = (struct push_job){.set = NULL};
    return 0;
}

/* --- raw ------------------------------------------------------------------ */

static void a_raw_job_is_pushed_as_it_is(void **state)
{
    (void)state;
    struct push_request request = request_of("queue:mail", "");
    request.payload = "a\0\xff";
    request.payload_len = 3;
    make(request);
    assert_int_equal(job.bytes.len, 3);
    assert_memory_equal(job.bytes.data, "a\0\xff", 3);
    assert_goes_to(NULL, NULL);
    assert_int_equal(job.jid.len, 0);
    make(request_of("mail", "{\"args\":[]}"));
    assert_bytes("{\"args\":[]}");
}

static void a_raw_job_for_later_travels_in_an_envelope(void **state)
{
    (void)state;
    struct push_request request = request_of("queue:mail", "5");
    request.due_us = LATER_US;
    make(request);
    assert_goes_to("corq:schedule", NULL);
    take_jid();
    assert_bytes("{\"jid\":\"\",\"corq\":{\"key\":\"queue:mail\",\"payload\":"
                 "\"5\"}}");
}

static void a_raw_job_with_retries_travels_in_an_envelope(void **state)
{
    (void)state;
    struct push_request request = request_of("mail", "5");
    request.retry = 3;
    make(request);
    assert_goes_to(NULL, NULL);
    take_jid();
    assert_bytes("{\"jid\":\"\",\"corq\":{\"key\":\"mail\",\"payload\":\"5\"},"
                 "\"retry\":3}");
}

static void what_is_due_already_is_pushed_now(void **state)
{
    (void)state;
    struct push_request request = request_of("mail", "5");
    request.due_us = NOW_US - 1;
    make(request);
    assert_goes_to(NULL, NULL);
    assert_bytes("5");
}

/* --- described, for other programs too ------------------------------------ */

static void a_job_for_all_gets_what_a_client_adds(void **state)
{
    (void)state;
    make(request_of("queue:mail", "{\"class\":\"A\",\"args\":[1]}"));
    assert_goes_to(NULL, "mail");
    take_jid();
    assert_bytes("{\"class\":\"A\",\"args\":[1],\"jid\":\"\",\"queue\":"
                 "\"mail\",\"retry\":true,\"created_at\":" NOW
                 ",\"enqueued_at\":" NOW "}");
}

static void a_complete_job_for_all_stays_as_it_is(void **state)
{
    (void)state;
    const char *complete = "{ \"class\":\"A\",\"args\":[1],\"jid\":\"x\","
                           "\"queue\":\"other\",\"retry\":false,\"created_at\":"
                           "1.5,\"enqueued_at\":1780000000123 }";
    make(request_of("queue:mail", complete));
    assert_bytes(complete);
    assert_string_equal(job.jid.data, "x");
}

static void retries_go_before_what_the_job_says(void **state)
{
    (void)state;
    struct push_request request =
        request_of("queue:mail", "{\"class\":\"A\",\"jid\":\"x\",\"queue\":"
                                 "\"q\",\"retry\":true,\"created_at\":1.0,"
                                 "\"enqueued_at\":1.0}");
    request.retry = 0;
    make(request);
    assert_bytes("{\"class\":\"A\",\"jid\":\"x\",\"queue\":\"q\",\"retry\":0,"
                 "\"created_at\":1.0,\"enqueued_at\":1.0}");
}

static void a_job_for_all_waits_without_enqueued_at(void **state)
{
    (void)state;
    struct push_request request =
        request_of("queue:mail", "{\"class\":\"A\",\"queue\":\"other\",\"at\":"
                                 "5,\"enqueued_at\":1.5,\"corq\":{\"key\":"
                                 "\"x\"},\"big\":1234567890123456789012}");
    request.due_us = LATER_US;
    make(request);
    assert_goes_to("schedule", NULL);
    take_jid();
    assert_bytes("{\"class\":\"A\",\"queue\":\"mail\",\"big\":"
                 "1234567890123456789012,\"jid\":\"\",\"retry\":true,"
                 "\"created_at\":" NOW "}");
}

/* --- described, for another key ------------------------------------------- */

static void a_job_for_corq_alone_stays_as_it_is(void **state)
{
    (void)state;
    const char *const keys[] = {"mail", "queue:", "queue:\xff"};
    for (size_t i = 0; i < 3; i++) {
        make(request_of(keys[i], "{\"class\":\"A\"}"));
        assert_goes_to(NULL, NULL);
        assert_bytes("{\"class\":\"A\"}");
        assert_int_equal(job.jid.len, 0);
    }
}

static void a_job_that_is_to_be_found_gets_an_id(void **state)
{
    (void)state;
    struct push_request request = request_of("mail", "{\"class\":\"A\"}");
    request.needs_jid = true;
    request.retry = 1000;
    make(request);
    take_jid();
    assert_bytes("{\"class\":\"A\",\"jid\":\"\",\"retry\":1000}");
}

static void a_job_for_corq_alone_waits_with_its_key(void **state)
{
    (void)state;
    struct push_request request =
        request_of("mail", "{\"class\":\"A\",\"at\":5}");
    request.due_us = LATER_US;
    make(request);
    assert_goes_to("corq:schedule", NULL);
    take_jid();
    assert_bytes("{\"class\":\"A\",\"at\":5,\"jid\":\"\",\"corq\":{\"key\":"
                 "\"mail\"}}");
    request.key = "queue:\xff";
    make(request);
    assert_goes_to("corq:schedule", NULL);
    assert_non_null(
        strstr(job.bytes.data, "\"corq\":{\"key64\":\"cXVldWU6/w==\"}"));
}

static void no_two_jobs_get_the_same_id(void **state)
{
    (void)state;
    struct push_request request = request_of("mail", "5");
    request.due_us = LATER_US;
    make(request);
    char first[25];
    snprintf(first, sizeof first, "%s", job.jid.data);
    make(request);
    assert_string_not_equal(first, job.jid.data);
}

/* --- made of a class and arguments ---------------------------------------- */

static int describe(const char *class_name, const char *args)
{
    push_job_release(&job);
    coro_buf_init(&job.bytes, 1000);
    return push_job_describe(class_name, args, &job.bytes);
}

static void a_class_and_arguments_make_a_job(void **state)
{
    (void)state;
    assert_int_equal(describe("App::Mail", "[1,\"a\"]"), 0);
    assert_bytes("{\"class\":\"App::Mail\",\"args\":[1,\"a\"]}");
    assert_int_equal(describe("a\"b\n", " [\n] "), 0);
    struct scan_result result;
    assert_int_equal(scan_job(job.bytes.data, job.bytes.len, &result),
                     SCAN_DESCRIBED);
}

static void arguments_that_are_no_array_are_refused(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",           "1",
        "{}",         "\"[]\"",
        "[",          "[1",
        "[1,]",       "[1]]",
        "[] []",      "[],\"a\":[]",
        "[]}",        "[]} ",
        "[NaN]",      "['a']",
        "[\"\xff\"]", "[01]",
        "null",       "[],\"args\":[]",
        "[] // x",    "1],\"args\":[2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(describe("A", texts[i]), -EINVAL);
}

static void a_class_that_is_no_text_is_refused(void **state)
{
    (void)state;
    assert_int_equal(describe("\xff", "[]"), -EILSEQ);
}

static void a_job_that_has_no_room_is_refused(void **state)
{
    (void)state;
    coro_buf_init(&job.bytes, 10);
    assert_int_equal(push_job_describe("Longer", "[1,2,3]", &job.bytes),
                     -EMSGSIZE);
    assert_int_equal(job.bytes.len, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_raw_job_is_pushed_as_it_is),
        TEST(a_raw_job_for_later_travels_in_an_envelope),
        TEST(a_raw_job_with_retries_travels_in_an_envelope),
        TEST(what_is_due_already_is_pushed_now),
        TEST(a_job_for_all_gets_what_a_client_adds),
        TEST(a_complete_job_for_all_stays_as_it_is),
        TEST(retries_go_before_what_the_job_says),
        TEST(a_job_for_all_waits_without_enqueued_at),
        TEST(a_job_for_corq_alone_stays_as_it_is),
        TEST(a_job_that_is_to_be_found_gets_an_id),
        TEST(a_job_for_corq_alone_waits_with_its_key),
        TEST(no_two_jobs_get_the_same_id),
        TEST(a_class_and_arguments_make_a_job),
        TEST(arguments_that_are_no_array_are_refused),
        TEST(a_class_that_is_no_text_is_refused),
        TEST(a_job_that_has_no_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
