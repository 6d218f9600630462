#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "tests/support/scale.h"
#include "tests/unit/worker/log_file.h"
#include "worker/job.h"

static const struct job_queue queue = {.key = "mail", .key_len = 4};

static struct job *new_job(const char *payload)
{
    struct job *job = job_new(&queue, 7, payload, strlen(payload));
    assert_non_null(job);
    return job;
}

/* --- birth ---------------------------------------------------------------- */

static void a_job_has_a_copy_of_its_exact_bytes(void **state)
{
    (void)state;
    char bytes[] = {'a', '\0', '\xff', 'z'};
    struct job *job = job_new(&queue, 3, bytes, sizeof bytes);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(job->payload_len, 4);
    assert_memory_equal(job->payload, "a\0\xffz", 5);
    assert_int_equal(job->number, 3);
    assert_ptr_equal(job->queue, &queue);
    assert_int_equal(job->outcome, JOB_OUTCOME_NONE);
    assert_null(job->error_class);
    job_free(job);
}

static void an_empty_payload_is_a_payload(void **state)
{
    (void)state;
    struct job *job = job_new(&queue, 1, "", 0);
    assert_int_equal(job->payload_len, 0);
    assert_string_equal(job->payload, "");
    job_free(job);
    job_free(NULL);
}

/* --- the phase ------------------------------------------------------------ */

static void a_started_job_can_not_be_revoked(void **state)
{
    (void)state;
    struct job *job = new_job("1");
    assert_true(job_start(job));
    assert_false(job_revoke(job));
    assert_false(job_start(job));
    job_free(job);
}

static void a_revoked_job_never_starts(void **state)
{
    (void)state;
    struct job *job = new_job("1");
    assert_true(job_revoke(job));
    assert_false(job_start(job));
    assert_false(job_revoke(job));
    job_free(job);
}

struct racer {
    size_t njobs;
    struct job **jobs;
    bool (*act)(struct job *job);
    bool *has_won; /* by job */
    struct racer *other;
    atomic_size_t at; /* the job that it is ready for, counted from 1 */
};

/* Waits for the other one before each job, so that they meet at every one. */
static void *race(void *argument)
{
    struct racer *self = argument;
    for (size_t i = 0; i < self->njobs; i++) {
        atomic_store(&self->at, i + 1);
        for (size_t n = 1; atomic_load(&self->other->at) < i + 1; n++)
            if (n % 1000 == 0)
                sched_yield();
        self->has_won[i] = self->act(self->jobs[i]);
    }
    return NULL;
}

static void race_both(struct racer *starter, struct racer *revoker)
{
    pthread_t thread;
    starter->other = revoker;
    revoker->other = starter;
    assert_int_equal(pthread_create(&thread, NULL, race, starter), 0);
    race(revoker);
    pthread_join(thread, NULL);
}

static void of_start_and_revoke_exactly_one_wins(void **state)
{
    (void)state;
    size_t n = test_scale(100000, 5000);
    struct job **jobs = calloc(n, sizeof *jobs);
    bool *started = calloc(n, sizeof *started);
    bool *revoked = calloc(n, sizeof *revoked);
    assert_true(jobs && started && revoked);
    for (size_t i = 0; i < n; i++)
        jobs[i] = new_job("1");
    struct racer starter = {n, jobs, job_start, started, NULL, 0};
    struct racer revoker = {n, jobs, job_revoke, revoked, NULL, 0};
    race_both(&starter, &revoker);
    size_t nwrong = 0;
    for (size_t i = 0; i < n; i++) {
        enum job_phase phase = atomic_load(&jobs[i]->phase);
        nwrong += started[i] == revoked[i] ||
                  phase != (revoked[i] ? JOB_PHASE_REVOKED : JOB_PHASE_STARTED);
        job_free(jobs[i]);
    }
    free(jobs);
    free(started);
    free(revoked);
    assert_int_equal(nwrong, 0);
}

/* --- failing and logging -------------------------------------------------- */

static int fail_from_a_coroutine(void *argument)
{
    job_fail(argument, "First", "%s", "forgotten");
    return (int)job_fail(argument, "BadPayload", "found '%s', %d of %.2f",
                         "abc", 12, 0.5);
}

static void failing_formats_from_inside_a_coroutine(void **state)
{
    (void)state;
    struct job *job = new_job("abc");
    int result = -1;
    assert_int_equal(coro_run(fail_from_a_coroutine, job, &result), 0);
    assert_int_equal(result, JOB_OUTCOME_FAILED);
    assert_string_equal(job->error_class, "BadPayload");
    assert_string_equal(job->error_message, "found 'abc', 12 of 0.50");
    job_free(job);
}

static void failing_formats_outside_of_any_loop_as_well(void **state)
{
    (void)state;
    struct job *job = new_job("abc");
    assert_int_equal(job_fail(job, "E", "%d", 5), JOB_OUTCOME_FAILED);
    assert_string_equal(job->error_message, "5");
    job_free(job);
}

static void a_failure_to_be_retried_has_a_delay(void **state)
{
    (void)state;
    struct job *job = new_job("abc");
    assert_int_equal(job->retry_delay_ms, -1);
    assert_int_equal(job_retry(job, 1500, "Busy", "try %d", 2),
                     JOB_OUTCOME_RETRY);
    assert_int_equal(job->retry_delay_ms, 1500);
    assert_string_equal(job->error_class, "Busy");
    assert_string_equal(job->error_message, "try 2");
    job_free(job);
}

static int log_from_a_coroutine(void *argument)
{
    static const char many[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    job_log(argument, "Done %s %.2fs", "5", 5.0);
    job_log(argument, "%s%s%s%s%s%s%s%s%s%s", many, many, many, many, many,
            many, many, many, many, many);
    return 0;
}

static void logging_names_the_job_and_its_queue(void **state)
{
    (void)state;
    static struct log_file file;
    struct job *job = new_job("5");
    log_file_open(&file);
    assert_int_equal(coro_run(log_from_a_coroutine, job, NULL), 0);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "info  Done 5 5.00s queue=mail job=7\n"));
    /* A line is cut rather than left out. */
    assert_non_null(strstr(text, "aaa queue=mail job=7\n"));
    log_file_close(&file);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_has_a_copy_of_its_exact_bytes),
        cmocka_unit_test(an_empty_payload_is_a_payload),
        cmocka_unit_test(a_started_job_can_not_be_revoked),
        cmocka_unit_test(a_revoked_job_never_starts),
        cmocka_unit_test(of_start_and_revoke_exactly_one_wins),
        cmocka_unit_test(failing_formats_from_inside_a_coroutine),
        cmocka_unit_test(failing_formats_outside_of_any_loop_as_well),
        cmocka_unit_test(a_failure_to_be_retried_has_a_delay),
        cmocka_unit_test(logging_names_the_job_and_its_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
