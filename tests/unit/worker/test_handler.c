#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "tests/unit/worker/log_file.h"
#include "worker/handler.h"

static const struct job_queue queue = {.key = "q", .key_len = 1};

static struct log_file file;

struct scene {
    struct registry *registry;
    struct job *job;
    enum job_outcome outcome;
};

static int setup(void **state)
{
    static struct scene scene;
    scene = (struct scene){.registry = registry_new()};
    log_file_open(&file);
    *state = &scene;
    return scene.registry ? 0 : -1;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    log_file_close(&file);
    job_free(scene->job);
    registry_free(scene->registry);
    return 0;
}

static void bind_class(struct scene *scene, const char *class_name,
                       const char *spec)
{
    char why[200];
    assert_int_equal(
        registry_bind(scene->registry, class_name, spec, why, sizeof why), 0);
}

static int run_job(void *argument)
{
    struct scene *scene = argument;
    scene->outcome = registry_run(scene->registry, scene->job);
    return 0;
}

/* Runs one job; what it failed with, or "" when it did not. */
static const char *run_bytes(struct scene *scene, const char *bytes, size_t len)
{
    job_free(scene->job);
    scene->job = job_new(&queue, 1, bytes, len);
    assert_non_null(scene->job);
    assert_int_equal(coro_run(run_job, scene, NULL), 0);
    if (scene->outcome == JOB_OUTCOME_DONE)
        return "";
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
    assert_non_null(scene->job->error_message);
    return scene->job->error_message;
}

static const char *run(struct scene *scene, const char *payload)
{
    return run_bytes(scene, payload, strlen(payload));
}

/* --- binding -------------------------------------------------------------- */

static void an_unknown_handler_is_refused_with_the_nearest_one(void **state)
{
    struct scene *scene = *state;
    char why[200];
    assert_int_equal(
        registry_bind(scene->registry, NULL, "slep", why, sizeof why), -EINVAL);
    assert_string_equal(why,
                        "found 'slep', expected one of: fail, fault, noop, "
                        "sleep; did you mean 'sleep'?");
}

static void a_handler_that_resembles_none_is_refused_plainly(void **state)
{
    struct scene *scene = *state;
    char why[200];
    assert_int_equal(
        registry_bind(scene->registry, "A", "frobnicate", why, sizeof why),
        -EINVAL);
    assert_string_equal(why,
                        "found 'frobnicate', expected one of: fail, fault, "
                        "noop, sleep");
}

static void an_explanation_is_cut_to_its_room(void **state)
{
    struct scene *scene = *state;
    char why[10];
    assert_int_equal(
        registry_bind(scene->registry, NULL, "frobnicate", why, sizeof why),
        -EINVAL);
    assert_string_equal(why, "found 'fr");
}

static void a_raw_job_needs_a_default_handler(void **state)
{
    struct scene *scene = *state;
    assert_string_equal(run(scene, "abc"),
                        "the payload is not a job with a class, and there is "
                        "no default handler");
    assert_string_equal(scene->job->error_class, "NoHandler");
    bind_class(scene, NULL, "noop");
    assert_string_equal(run(scene, "abc"), "");
    assert_string_equal(run(scene, ""), "");
    registry_free(NULL);
}

/* --- classes -------------------------------------------------------------- */

static void a_class_finds_its_handler_however_it_is_escaped(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, "A/\xc3\xa4", "noop");
    assert_string_equal(run(scene, "{\"class\":\"A/\xc3\xa4\"}"), "");
    assert_string_equal(run(scene, "{\"cl\\u0061ss\":\"\\u0041\\/\\u00e4\"}"),
                        "");
}

static void a_class_matches_as_a_whole_or_not_at_all(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, "Mail", "noop");
    assert_string_equal(run(scene, "{\"class\":\"Mai\"}"),
                        "no handler for class 'Mai'; classes with one: Mail");
    run(scene, "{\"class\":\"Mailer\"}");
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
    run(scene, "{\"class\":\"Mail\\u0000\"}");
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
    run(scene, "{\"class\":\"\"}");
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
}

static void a_refusal_lists_classes_in_the_order_of_binding(void **state)
{
    struct scene *scene = *state;
    assert_string_equal(run(scene, "{\"class\":\"X\"}"),
                        "no handler for class 'X'; classes with one: none");
    bind_class(scene, "First", "noop");
    bind_class(scene, "Second", "sleep");
    bind_class(scene, NULL, "noop");
    assert_string_equal(
        run(scene, "{\"class\":\"X\"}"),
        "no handler for class 'X'; classes with one: First, Second");
}

static void a_class_of_too_many_bytes_is_refused(void **state)
{
    struct scene *scene = *state;
    char payload[400];
    memset(payload, 'a', sizeof payload);
    memcpy(payload, "{\"class\":\"", 10);
    memcpy(payload + 10 + 256, "\"}", 3);
    assert_non_null(strstr(run(scene, payload), "no handler for class 'aaaa"));
    memset(payload + 10, 'a', 257);
    memcpy(payload + 10 + 257, "\"}", 3);
    assert_string_equal(run(scene, payload),
                        "the class is longer than 256 bytes");
}

static void a_described_job_never_goes_to_the_default_handler(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "noop");
    run(scene, "{\"class\":\"A\"}");
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
    assert_string_equal(scene->job->error_class, "NoHandler");
    /* Not JSON, and no class: raw. */
    assert_string_equal(run(scene, "{\"class\":\"A\"},"), "");
    assert_string_equal(run(scene, "{\"class\":5}"), "");
}

/* --- what the handler is given -------------------------------------------- */

static void the_first_argument_is_what_a_described_job_is_about(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, "S", "sleep");
    assert_string_equal(run(scene, "{\"class\":\"S\",\"args\":[0.001,9]}"), "");
    assert_string_equal(run(scene, "{\"class\":\"S\",\"args\":[\"0\",9]}"), "");
    assert_string_equal(
        run(scene, "{\"class\":\"S\",\"args\":[ {\"a\": 1} ]}"),
        "found '{\"a\": 1}', expected a number of seconds such as 5 or 0.25");
    assert_string_equal(scene->job->error_class, "BadPayload");
}

static void a_missing_argument_is_told_as_such(void **state)
{
    struct scene *scene = *state;
    static const char expected[] =
        "found no argument, expected a number of seconds such as 5 or 0.25";
    bind_class(scene, "S", "sleep");
    assert_string_equal(run(scene, "{\"class\":\"S\"}"), expected);
    assert_string_equal(run(scene, "{\"class\":\"S\",\"args\":[]}"), expected);
    assert_string_equal(run(scene, "{\"class\":\"S\",\"args\":5}"), expected);
}

/* --- sleep ---------------------------------------------------------------- */

static void sleep_says_what_it_found(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "sleep");
    static const char *const bad[] = {"",   "abc",  "-1",   "1 ",  " 1",
                                      "1e", "0x10", "nan",  "inf", "1,5",
                                      "+1", "\"",   "\"\"", "1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[200];
        snprintf(expected, sizeof expected,
                 "found '%s', expected a number of seconds such as 5 or 0.25",
                 bad[i]);
        assert_string_equal(run(scene, bad[i]), expected);
    }
    assert_string_equal(log_file_read(&file), "");
}

static void sleep_shows_the_beginning_of_a_long_payload(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "sleep");
    char payload[100], expected[200];
    memset(payload, 'x', sizeof payload);
    snprintf(expected, sizeof expected,
             "found '%.60s'…, expected a number of seconds such as 5 or 0.25",
             payload);
    assert_string_equal(run_bytes(scene, payload, sizeof payload), expected);
}

static void sleep_refuses_a_number_with_a_zero_byte(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "sleep");
    run_bytes(scene, "1\0", 2);
    assert_int_equal(scene->outcome, JOB_OUTCOME_FAILED);
}

static void sleep_logs_its_beginning_and_its_end(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "sleep");
    assert_string_equal(run(scene, "0.02"), "");
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "info  Wait 0.02 queue=q job=1\n"));
    assert_non_null(strstr(text, "info  Done 0.02 0.0"));
}

/* --- fail ----------------------------------------------------------------- */

static void fail_fails_in_a_way_that_may_be_retried(void **state)
{
    struct scene *scene = *state;
    bind_class(scene, NULL, "fail");
    scene->job = job_new(&queue, 1, "abc", 3);
    assert_non_null(scene->job);
    assert_int_equal(coro_run(run_job, scene, NULL), 0);
    assert_int_equal(scene->outcome, JOB_OUTCOME_RETRY);
    assert_string_equal(scene->job->error_class, "Failed");
    assert_string_equal(scene->job->error_message,
                        "the handler 'fail' always fails");
    assert_int_equal(scene->job->retry_delay_ms, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_handler_is_refused_with_the_nearest_one),
        TEST(a_handler_that_resembles_none_is_refused_plainly),
        TEST(an_explanation_is_cut_to_its_room),
        TEST(a_raw_job_needs_a_default_handler),
        TEST(a_class_finds_its_handler_however_it_is_escaped),
        TEST(a_class_matches_as_a_whole_or_not_at_all),
        TEST(a_refusal_lists_classes_in_the_order_of_binding),
        TEST(a_class_of_too_many_bytes_is_refused),
        TEST(a_described_job_never_goes_to_the_default_handler),
        TEST(the_first_argument_is_what_a_described_job_is_about),
        TEST(a_missing_argument_is_told_as_such),
        TEST(sleep_says_what_it_found),
        TEST(sleep_shows_the_beginning_of_a_long_payload),
        TEST(sleep_refuses_a_number_with_a_zero_byte),
        TEST(sleep_logs_its_beginning_and_its_end),
        TEST(fail_fails_in_a_way_that_may_be_retried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
