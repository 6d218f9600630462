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

#include "coro/base/clock.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"
#include "tests/support/scale.h"
#include "tests/unit/worker/log_file.h"
#include "worker/pool.h"

#define OUTCOMES_MAX 4096

static const struct job_queue queue = {.key = "q", .key_len = 1};

/* A pool, and what comes up from it, all in one loop. */
struct scene {
    struct coro_loop *loop;
    struct registry *registry;
    struct coro_submit up;
    struct vitals *vitals;
    struct pool pool;
    uint64_t nmade;
    size_t noutcomes;

    struct {
        uint64_t number;
        enum job_outcome outcome;
    } outcomes[OUTCOMES_MAX];
};

static void receive(void *argument, struct coro_submit_node *node)
{
    struct scene *scene = argument;
    while (node) {
        struct job *job = list_entry(node, struct job, message.node);
        node = node->next;
        expect_that(job->message.kind == MESSAGE_OUTCOME);
        scene->outcomes[scene->noutcomes].number = job->number;
        scene->outcomes[scene->noutcomes++].outcome = job->outcome;
        job_free(job);
    }
}

static struct scene *scene_new(size_t concurrency)
{
    char why[100];
    struct scene *scene = aligned_alloc(64, (sizeof *scene + 63) / 64 * 64);
    assert_non_null(scene);
    memset(scene, 0, sizeof *scene);
    scene->registry = registry_new();
    scene->vitals = vitals_new(concurrency);
    assert_non_null(scene->vitals);
    registry_bind(scene->registry, NULL, "sleep", why, sizeof why);
    registry_bind(scene->registry, "Nap", "sleep", why, sizeof why);
    assert_int_equal(coro_loop_new(NULL, &scene->loop), 0);
    coro_submit_open(&scene->up, scene->loop, receive, scene);
    const struct pool_options options = {
        .concurrency = concurrency,
        .registry = scene->registry,
        .up = &scene->up,
        .vitals = scene->vitals,
    };
    assert_int_equal(pool_init(&scene->pool, scene->loop, &options), 0);
    return scene;
}

static void scene_free(struct scene *scene)
{
    struct coro_submit_node *rest = coro_submit_close(&scene->up);
    if (rest)
        receive(scene, rest);
    coro_loop_free(scene->loop);
    pool_release(&scene->pool);
    registry_free(scene->registry);
    free(scene->vitals);
    free(scene);
}

/* Runs @script in the loop, then ends the scene and looks at what it noted. */
static void play(struct scene *scene, coro_task_fn *script)
{
    struct coro_task *task;
    assert_int_equal(coro_spawn(scene->loop, script, scene, NULL, &task), 0);
    coro_loop_run_until_complete(scene->loop, task, NULL);
    coro_task_unref(task);
    scene_free(scene);
    assert_as_expected();
}

static struct job *add(struct scene *scene, const char *payload)
{
    struct job *job = job_new(&queue, ++scene->nmade, payload, strlen(payload));
    pool_add(&scene->pool, job);
    return job;
}

static uint64_t started(struct scene *scene)
{
    return counter_read(&scene->vitals->counters.started);
}

/* Lets the pool work until @njobs have been started, in a coroutine. */
static void wait_started(struct scene *scene, uint64_t njobs)
{
    int64_t deadline_ms = coro_after(60000);
    while (started(scene) < njobs && coro_now_ms() < deadline_ms)
        coro_sleep(1);
    expect_that(started(scene) == njobs);
}

static void wait_outcomes(struct scene *scene, size_t noutcomes)
{
    int64_t deadline_ms = coro_after(60000);
    while (scene->noutcomes < noutcomes && coro_now_ms() < deadline_ms)
        coro_sleep(1);
    expect_that(scene->noutcomes == noutcomes);
}

static void cancel_all(struct scene *scene, size_t noutcomes)
{
    pool_cancel_jobs(&scene->pool);
    wait_outcomes(scene, noutcomes);
}

/* --- taking jobs ---------------------------------------------------------- */

static int as_many_at_once(void *argument)
{
    struct scene *scene = argument;
    size_t n = scene->pool.options.concurrency;
    for (size_t i = 0; i < n; i++)
        add(scene, "1000");
    wait_started(scene, n);
    expect_that(scene->pool.nslots == n);
    expect_that(scene->noutcomes == 0);
    cancel_all(scene, n);
    return 0;
}

static void as_many_jobs_run_at_once_as_there_are_coroutines(void **state)
{
    (void)state;
    play(scene_new(test_scale(300, 30)), as_many_at_once);
}

static int one_coroutine(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++)
        add(scene, "0");
    wait_outcomes(scene, 3);
    for (size_t i = 0; i < 3; i++) {
        expect_that(scene->outcomes[i].number == i + 1);
        expect_that(scene->outcomes[i].outcome == JOB_OUTCOME_DONE);
    }
    expect_that(counter_read(&scene->vitals->counters.done) == 3);
    return 0;
}

static void jobs_start_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct scene *scene = scene_new(3);
    play(scene, one_coroutine);
}

static int mixed_outcomes(void *argument)
{
    struct scene *scene = argument;
    add(scene, "abc");
    add(scene, "0.01");
    add(scene, "1000");
    wait_outcomes(scene, 2);
    expect_that(scene->outcomes[0].number == 1);
    expect_that(scene->outcomes[0].outcome == JOB_OUTCOME_FAILED);
    expect_that(scene->outcomes[1].number == 2);
    expect_that(scene->outcomes[1].outcome == JOB_OUTCOME_DONE);
    cancel_all(scene, 3);
    expect_that(scene->outcomes[2].outcome == JOB_OUTCOME_INTERRUPTED);
    expect_that(counter_read(&scene->vitals->counters.started) == 3);
    expect_that(counter_read(&scene->vitals->counters.done) == 1);
    expect_that(counter_read(&scene->vitals->counters.failed) == 1);
    expect_that(counter_read(&scene->vitals->counters.interrupted) == 1);
    return 0;
}

static void outcomes_come_up_as_they_happen_and_are_counted(void **state)
{
    (void)state;
    play(scene_new(3), mixed_outcomes);
}

static int failure_to_retry(void *argument)
{
    struct scene *scene = argument;
    add(scene, "{\"class\":\"F\"}");
    wait_outcomes(scene, 1);
    expect_that(scene->outcomes[0].outcome == JOB_OUTCOME_RETRY);
    expect_that(counter_read(&scene->vitals->counters.failed) == 1);
    return 0;
}

static void a_failure_that_may_be_retried_counts_as_one(void **state)
{
    (void)state;
    struct scene *scene = scene_new(1);
    char why[100];
    assert_int_equal(
        registry_bind(scene->registry, "F", "fail", why, sizeof why), 0);
    play(scene, failure_to_retry);
}

static int revoked_before_start(void *argument)
{
    struct scene *scene = argument;
    struct job *job = add(scene, "1000");
    expect_that(job_revoke(job));
    wait_outcomes(scene, 1);
    expect_that(scene->outcomes[0].outcome == JOB_OUTCOME_NONE);
    expect_that(started(scene) == 0);
    return 0;
}

static void a_revoked_job_comes_up_without_having_run(void **state)
{
    (void)state;
    play(scene_new(2), revoked_before_start);
}

/* --- cancelling ----------------------------------------------------------- */

static int cancel_then_next(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 50; i++) {
        add(scene, "1000");
        wait_started(scene, (uint64_t)(2 * i + 1));
        pool_cancel_jobs(&scene->pool);
        pool_cancel_jobs(&scene->pool);
        wait_outcomes(scene, (size_t)(2 * i + 1));
        add(scene, "0.001");
        wait_outcomes(scene, (size_t)(2 * i + 2));
        expect_that(scene->outcomes[2 * i].outcome == JOB_OUTCOME_INTERRUPTED);
        expect_that(scene->outcomes[2 * i + 1].outcome == JOB_OUTCOME_DONE);
    }
    return 0;
}

static void a_cancelled_job_does_not_cancel_the_next_one(void **state)
{
    (void)state;
    play(scene_new(1), cancel_then_next);
}

/* The cancellation comes when the job's sleep is over but has not returned. */
static int cancel_too_late(void *argument)
{
    struct scene *scene = argument;
    add(scene, "0.005");
    wait_started(scene, 1);
    int64_t due_ms = coro_after(20);
    while (coro_now_ms() < due_ms)
        ; /* without letting the loop run */
    coro_relax();
    pool_cancel_jobs(&scene->pool);
    wait_outcomes(scene, 1);
    add(scene, "0.001");
    wait_outcomes(scene, 2);
    expect_that(scene->outcomes[1].outcome == JOB_OUTCOME_DONE);
    return 0;
}

static void a_cancellation_that_came_too_late_is_forgotten(void **state)
{
    (void)state;
    play(scene_new(1), cancel_too_late);
}

static int cancel_while_idle(void *argument)
{
    struct scene *scene = argument;
    coro_relax();
    pool_cancel_jobs(&scene->pool);
    add(scene, "0.001");
    pool_cancel_jobs(&scene->pool);
    wait_outcomes(scene, 1);
    expect_that(scene->outcomes[0].outcome == JOB_OUTCOME_DONE);
    return 0;
}

static void cancelling_reaches_only_jobs_that_have_started(void **state)
{
    (void)state;
    play(scene_new(2), cancel_while_idle);
}

/* --- ending --------------------------------------------------------------- */

static int stop_mixed(void *argument)
{
    struct scene *scene = argument;
    add(scene, "1000");
    add(scene, "1000");
    wait_started(scene, 2);
    pool_stop(&scene->pool);
    expect_that(coro_group_wait(&scene->pool.group, coro_after(60000)) == 0);
    wait_outcomes(scene, 2);
    expect_that(scene->outcomes[0].outcome == JOB_OUTCOME_INTERRUPTED);
    expect_that(scene->outcomes[1].outcome == JOB_OUTCOME_INTERRUPTED);
    return 0;
}

static void stopping_ends_running_and_idle_coroutines(void **state)
{
    (void)state;
    play(scene_new(test_scale(600, 60)), stop_mixed);
}

static int stop_at_once(void *argument)
{
    struct scene *scene = argument;
    add(scene, "1000");
    pool_stop(&scene->pool);
    expect_that(coro_group_wait(&scene->pool.group, coro_after(60000)) == 0);
    return 0;
}

static void stopping_before_anything_ran_frees_the_jobs(void **state)
{
    (void)state;
    play(scene_new(test_scale(600, 60)), stop_at_once);
}

static void a_pool_whose_loop_never_ran_can_be_released(void **state)
{
    (void)state;
    struct scene *scene = scene_new(5);
    add(scene, "1");
    scene_free(scene);
}

static int leave(void *argument)
{
    struct scene *scene = argument;
    add(scene, "1000");
    wait_started(scene, 1);
    return 0;
}

static void a_loop_freed_under_a_running_job_interrupts_it(void **state)
{
    (void)state;
    play(scene_new(3), leave);
}

/* --- looking at it -------------------------------------------------------- */

static void dump(void *argument)
{
    pool_dump(&((struct scene *)argument)->pool);
}

static int dump_often(void *argument)
{
    struct scene *scene = argument;
    coro_call_on_loop_stack(dump, scene);
    add(scene, "1000");
    add(scene, "0");
    wait_outcomes(scene, 1);
    coro_call_on_loop_stack(dump, scene);
    cancel_all(scene, 2);
    pool_stop(&scene->pool);
    coro_group_wait(&scene->pool.group, CORO_NEVER);
    coro_call_on_loop_stack(dump, scene);
    return 0;
}

static void a_dump_tells_what_runs_and_what_waits(void **state)
{
    (void)state;
    static struct log_file file;
    log_file_open(&file);
    play(scene_new(3), dump_often);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "3 coroutines: 0 run a job, 3 wait for one"));
    assert_non_null(strstr(text, "runs a job state=waiting queue=q job=1"));
    assert_non_null(strstr(text, "3 coroutines: 1 run a job, 2 wait for one"));
    log_file_close(&file);
}

static int dump_described(void *argument)
{
    struct scene *scene = argument;
    add(scene, "{\"class\":\"Nap\",\"args\":[1000],\"jid\":\"a1\"}");
    wait_started(scene, 1);
    coro_call_on_loop_stack(dump, scene);
    cancel_all(scene, 1);
    return 0;
}

static void a_dump_tells_the_class_of_a_job_and_of_other_tasks(void **state)
{
    (void)state;
    static struct log_file file;
    log_file_open(&file);
    play(scene_new(1), dump_described);
    const char *text = log_file_read(&file);
    const char *job = strstr(text, "runs a job state=waiting queue=q job=1 "
                                   "class=Nap jid=a1 age=");
    assert_non_null(job);
    assert_non_null(strstr(job, " waits_for=sleep waited="));
    assert_non_null(strstr(job, " left="));
    assert_non_null(strstr(job, " stack_size="));
    /* The script's own. */
    assert_non_null(strstr(job, "worker: task 'task' is running task="));
    assert_null(strstr(job, "task 'worker'"));
    log_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_jobs_run_at_once_as_there_are_coroutines),
        cmocka_unit_test(jobs_start_in_the_order_in_which_they_came),
        cmocka_unit_test(outcomes_come_up_as_they_happen_and_are_counted),
        cmocka_unit_test(a_failure_that_may_be_retried_counts_as_one),
        cmocka_unit_test(a_revoked_job_comes_up_without_having_run),
        cmocka_unit_test(a_cancelled_job_does_not_cancel_the_next_one),
        cmocka_unit_test(a_cancellation_that_came_too_late_is_forgotten),
        cmocka_unit_test(cancelling_reaches_only_jobs_that_have_started),
        cmocka_unit_test(stopping_ends_running_and_idle_coroutines),
        cmocka_unit_test(stopping_before_anything_ran_frees_the_jobs),
        cmocka_unit_test(a_pool_whose_loop_never_ran_can_be_released),
        cmocka_unit_test(a_loop_freed_under_a_running_job_interrupts_it),
        cmocka_unit_test(a_dump_tells_what_runs_and_what_waits),
        cmocka_unit_test(a_dump_tells_the_class_of_a_job_and_of_other_tasks),
    };
    log_start(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = 2});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
