/*
 * Jobs, from a push to the end of each: run, or set aside with their bytes.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* --- jobs that run -------------------------------------------------------- */

static void jobs_run_at_once(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    const char *seconds = test_scale(1, 0) ? "0.5" : "3";
    redis_do(&scene->redis, "LPUSH queue %s %s %s", seconds, seconds, seconds);
    assert_true(scene_sees_lines(scene, "Done ", 3));
    const char *last_wait = program_log(&scene->corq);
    for (int i = 0; i < 3; i++)
        last_wait = strstr(last_wait + 1, "Wait ");
    assert_true(last_wait < strstr(program_log(&scene->corq), "Done "));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), 0);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_finished_job_says_how_long_it_took(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    redis_do(&scene->redis, "LPUSH queue 0.3");
    assert_true(scene_sees(scene, "Done "));
    char payload[8], unit[2];
    double took;
    int number;
    assert_int_equal(sscanf(strstr(program_log(&scene->corq), "Done "),
                            "Done %7s %lf%1[s] queue=queue job=%d", payload,
                            &took, unit, &number),
                     4);
    assert_string_equal(payload, "0.3");
    assert_true(took >= 0.3 && took < 30);
    assert_int_equal(number, 1);
}

static void a_job_with_a_class_runs_its_handler(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--handler", "Nap=sleep");
    redis_do(&scene->redis, "LPUSH queue %s",
             "{\"class\":\"Nap\",\"args\":[0.1]}");
    assert_true(scene_sees(scene, "Wait 0.1 queue=queue job=1"));
    assert_true(scene_sees(scene, "Done 0.1 0."));
}

/* The most Wait lines that ever were without their Done lines. */
static size_t most_at_once(const char *log)
{
    size_t now = 0, most = 0;
    for (const char *line = log; *line; line += strcspn(line, "\n") + 1) {
        size_t len = strcspn(line, "\n");
        if (memmem(line, len, "Wait ", 5) && ++now > most)
            most = now;
        if (memmem(line, len, "Done ", 5))
            now--;
    }
    return most;
}

static void as_many_jobs_run_at_once_as_may(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(1000, 200);
    scene_push_sleeps(scene, "queue", test_scale(1, 0) ? "2.0" : "10.0", njobs);
    scene_run(scene, "--concurrency", "1000");
    assert_true(scene_sees_lines(scene, "Done ", njobs));
    assert_int_equal(most_at_once(program_log(&scene->corq)), njobs);
    assert_int_equal(program_count_lines(&scene->corq, "Done "), njobs);
}

static void no_more_jobs_run_at_once_than_may(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "queue", "0.0", 50);
    scene_run(scene, "--concurrency", "3");
    assert_true(scene_sees_lines(scene, "Done ", 50));
    assert_true(most_at_once(program_log(&scene->corq)) <= 3);
}

/* --- jobs that can't ------------------------------------------------------ */

static void a_bad_payload_is_set_aside_and_the_next_job_runs(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "1");
    redis_do(&scene->redis, "LPUSH queue abc abc 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_true(scene_sees_dead(scene, 2));
    const char *error = "found 'abc', expected a number of seconds such as 5 "
                        "or 0.25";
    assert_true(scene_dead_is(scene, 0, "abc", 3, error));
    assert_true(scene_dead_is(scene, 1, "abc", 3, error));
    assert_true(scene_sees_lines(scene, error, 2));
    assert_int_equal(scene_end(scene), 0);
}

static void payloads_of_any_bytes_are_set_aside_unchanged(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } payloads[] = {
        {"", 0},
        {"\0", 1},
        {"5\0", 2},
        {"a\0b", 3},
        {"\xff\xfe", 2},
        {"\xc3(", 2},
        {"\xed\xa0\x80", 3},
        {"\"\\\n\r\t\x01\x7f", 7},
        {"{\"class\":\"Sleep\",\"args\":[1", 26},
        {"gr\xc3\xbc\xc3\x9f dich", 11},
        {" \n", 2},
    };
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "1");
    size_t n = sizeof payloads / sizeof *payloads;
    for (size_t i = 0; i < n; i++) {
        redis_do(&scene->redis, "LPUSH queue %b", payloads[i].bytes,
                 payloads[i].len);
        assert_true(scene_sees_dead(scene, 1));
        assert_true(scene_dead_is(scene, 0, payloads[i].bytes, payloads[i].len,
                                  "expected a number of seconds"));
        redis_do(&scene->redis, "DEL corq:dead");
    }
    assert_int_equal(scene_end(scene), 0);
}

static void a_megabyte_is_set_aside_unchanged(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "1");
    size_t len = 1 << 20;
    char *payload = malloc(len);
    assert_non_null(payload);
    for (int round = 0; round < 2; round++) {
        /* Text first, then bytes that no text has. */
        for (size_t i = 0; i < len; i++)
            payload[i] = (char)(round ? i * 7 : 'a' + i % 26);
        redis_do(&scene->redis, "LPUSH queue %b", payload, len);
        assert_true(scene_sees_dead(scene, 1));
        assert_true(scene_dead_is(scene, 0, payload, len, "expected a number"));
        redis_do(&scene->redis, "DEL corq:dead");
    }
    free(payload);
    assert_int_equal(scene_end(scene), 0);
}

static void a_payload_that_is_too_large_is_set_aside(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--max-payload", "10");
    redis_do(&scene->redis, "LPUSH queue 0.123456789 0.10000000");
    assert_true(scene_sees(scene, "Done 0.10000000"));
    assert_true(scene_sees_dead(scene, 1));
    assert_true(scene_dead_is(scene, 0, "0.123456789", 11,
                              "the payload has 11 bytes, expected at most 10"));
    assert_int_equal(program_count_lines(&scene->corq, "Wait 0.123"), 0);
}

static void a_class_without_a_handler_is_set_aside_by_name(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--handler", "Nap=sleep");
    const char *payload = "{\"class\":\"Mail\",\"args\":[1]}";
    redis_do(&scene->redis, "LPUSH queue %s", payload);
    assert_true(scene_sees_dead(scene, 1));
    char *entry = scene_dead_entry(scene, 0);
    assert_non_null(entry);
    /* It is its own record: nothing of it has changed, but there is more. */
    assert_memory_equal(entry, payload, strlen(payload) - 1);
    assert_non_null(strstr(entry, "\"corq\":{\"key\":\"queue\"}"));
    assert_non_null(
        strstr(entry, "no handler for class 'Mail'; classes with one: Nap"));
    free(entry);
    assert_true(scene_sees(scene, "no handler for class 'Mail'"));
}

static void a_record_of_a_dead_job_has_all_of_it(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--queue", "mail:high");
    redis_do(&scene->redis, "LPUSH mail:high abc");
    assert_true(scene_sees_dead(scene, 1));
    char *entry = scene_dead_entry(scene, 0);
    assert_non_null(strstr(entry, "{\"jid\":\""));
    assert_non_null(
        strstr(entry, "\"corq\":{\"key\":\"mail:high\",\"payload\":\"abc\"}"));
    assert_non_null(strstr(entry, "\"retry_count\":0"));
    assert_non_null(strstr(entry, "\"failed_at\":"));
    assert_non_null(strstr(entry, "\"error_class\":\"BadPayload\""));
    free(entry);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(jobs_run_at_once),
        scene_test(a_finished_job_says_how_long_it_took),
        scene_test(a_job_with_a_class_runs_its_handler),
        scene_test(as_many_jobs_run_at_once_as_may),
        scene_test(no_more_jobs_run_at_once_than_may),
        scene_test(a_bad_payload_is_set_aside_and_the_next_job_runs),
        scene_test(payloads_of_any_bytes_are_set_aside_unchanged),
        scene_test(a_megabyte_is_set_aside_unchanged),
        scene_test(a_payload_that_is_too_large_is_set_aside),
        scene_test(a_class_without_a_handler_is_set_aside_by_name),
        scene_test(a_record_of_a_dead_job_has_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
