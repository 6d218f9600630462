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
#include "coro/sched/schedule.h"
#include "tests/support/record.h"
#include "tests/support/scale.h"
#include "tests/unit/worker/log_file.h"
#include "worker/runner.h"

static const struct job_queue queue = {.key = "q", .key_len = 1};

/* The master's side of both doors. */
struct scene {
    struct coro_submit up;
    struct vitals *vitals;
    struct coro_loop *loop;
    struct registry *registry;
    struct runner *runner;
    size_t concurrency;
    uint64_t nmade;
    uint64_t last_number;
    bool are_in_order;
    size_t nby_outcome[JOB_OUTCOME_INTERRUPTED + 1];
    size_t nheld;
    bool has_stopped;
    struct list waiters;
};

static void receive(void *argument, struct coro_submit_node *node)
{
    struct scene *scene = argument;
    while (node) {
        struct message *message = list_entry(node, struct message, node);
        node = node->next;
        if (message->kind == MESSAGE_STOPPED) {
            scene->has_stopped = true;
            continue;
        }
        struct job *job = list_entry(message, struct job, message);
        expect_that(message->kind == MESSAGE_OUTCOME);
        expect_that(!scene->has_stopped);
        scene->are_in_order &= job->number > scene->last_number;
        scene->last_number = job->number;
        scene->nby_outcome[job->outcome]++;
        scene->nheld--;
        job_free(job);
    }
    while (coro_wake_first(&scene->waiters, 0))
        ;
}

static void start(struct scene *scene)
{
    const struct pool_options options = {
        .concurrency = scene->concurrency,
        .registry = scene->registry,
        .up = &scene->up,
        .vitals = scene->vitals,
    };
    coro_submit_open(&scene->up, scene->loop, receive, scene);
    assert_int_equal(runner_start(&options, &scene->runner), 0);
}

static void stop(struct scene *scene)
{
    expect_that(runner_request(scene->runner, MESSAGE_STOP) == 0);
    while (!scene->has_stopped)
        if (!expect_that(coro_park(&scene->waiters, coro_after(60000)) == 0))
            return;
    runner_join(scene->runner);
}

/* Starts a worker thread for @handler, runs @script beside it, and frees all
 * of it when the script has stopped the thread. */
static void play(const char *handler, size_t concurrency, coro_task_fn *script)
{
    static struct scene scene;
    char why[100];
    scene = (struct scene){.concurrency = concurrency, .are_in_order = true};
    list_init(&scene.waiters);
    scene.vitals = vitals_new(concurrency);
    assert_non_null(scene.vitals);
    scene.registry = registry_new();
    registry_bind(scene.registry, NULL, handler, why, sizeof why);
    assert_int_equal(coro_loop_new(NULL, &scene.loop), 0);
    start(&scene);
    struct coro_task *task;
    assert_int_equal(coro_spawn(scene.loop, script, &scene, NULL, &task), 0);
    coro_loop_run_until_complete(scene.loop, task, NULL);
    coro_task_unref(task);
    struct coro_submit_node *rest = coro_submit_close(&scene.up);
    if (rest)
        receive(&scene, rest);
    coro_loop_free(scene.loop);
    registry_free(scene.registry);
    free(scene.vitals);
    assert_as_expected();
}

/* Sends a burst of @njobs down; in @ret_jobs, unless NULL: which. */
static void send_noting(struct scene *scene, const char *payload, size_t njobs,
                        struct job **ret_jobs)
{
    struct job *newest = NULL;
    struct job *oldest = NULL;
    for (size_t i = 0; i < njobs; i++) {
        struct job *job =
            job_new(&queue, ++scene->nmade, payload, strlen(payload));
        job->message.node.next = newest ? &newest->message.node : NULL;
        newest = job;
        if (!oldest)
            oldest = job;
        if (ret_jobs)
            ret_jobs[i] = job;
    }
    scene->nheld += njobs;
    runner_submit(scene->runner, newest, oldest);
}

static void send(struct scene *scene, const char *payload, size_t njobs)
{
    send_noting(scene, payload, njobs, NULL);
}

static void wait_held(struct scene *scene, size_t nheld)
{
    while (scene->nheld > nheld)
        if (!expect_that(coro_park(&scene->waiters, coro_after(60000)) == 0))
            return;
}

static void wait_started(struct scene *scene, uint64_t njobs)
{
    int64_t deadline_ms = coro_after(60000);
    while (counter_read(&scene->vitals->counters.started) < njobs &&
           coro_now_ms() < deadline_ms)
        coro_sleep(1);
    expect_that(counter_read(&scene->vitals->counters.started) == njobs);
}

/* -------------------------------------------------------------------------- */

static int many_jobs(void *argument)
{
    struct scene *scene = argument;
    size_t n = test_scale(10000, 2000);
    for (size_t nsent = 0; nsent < n;) {
        size_t nburst = scene->concurrency - scene->nheld;
        if (nburst > n - nsent)
            nburst = n - nsent;
        send(scene, "x", nburst);
        nsent += nburst;
        wait_held(scene, scene->concurrency / 2);
    }
    wait_held(scene, 0);
    expect_that(scene->nby_outcome[JOB_OUTCOME_DONE] == n);
    expect_that(counter_read(&scene->vitals->counters.done) == n);
    expect_that(scene->are_in_order);
    stop(scene);
    return 0;
}

static void many_jobs_go_down_and_come_up_in_order(void **state)
{
    (void)state;
    play("noop", 64, many_jobs);
}

static int nothing(void *argument)
{
    stop(argument);
    return 0;
}

static void a_thread_that_had_nothing_to_do_stops(void **state)
{
    (void)state;
    play("noop", 1, nothing);
    play("noop", 5000, nothing);
}

/* Which of the jobs have started by now is not ours to say, but each that could
 * be revoked comes back not started, and no other. */
static int revoke_all(void *argument)
{
    struct scene *scene = argument;
    size_t nrevoked = 0;
    struct job *jobs[50];
    send_noting(scene, "1000", 50, jobs);
    for (size_t i = 0; i < 50; i++)
        nrevoked += job_revoke(jobs[i]);
    wait_held(scene, 50 - nrevoked);
    expect_that(scene->nby_outcome[JOB_OUTCOME_NONE] == nrevoked);
    wait_started(scene, 50 - nrevoked);
    expect_that(runner_request(scene->runner, MESSAGE_CANCEL_ALL) == 0);
    wait_held(scene, 0);
    expect_that(scene->nby_outcome[JOB_OUTCOME_INTERRUPTED] == 50 - nrevoked);
    stop(scene);
    return 0;
}

static void what_can_be_revoked_in_flight_comes_back_not_started(void **state)
{
    (void)state;
    play("sleep", 50, revoke_all);
}

static int revoked_beforehand(void *argument)
{
    struct scene *scene = argument;
    struct job *job = job_new(&queue, ++scene->nmade, "1000", 4);
    job->message.node.next = NULL;
    expect_that(job_revoke(job));
    scene->nheld++;
    runner_submit(scene->runner, job, job);
    wait_held(scene, 0);
    expect_that(scene->nby_outcome[JOB_OUTCOME_NONE] == 1);
    expect_that(counter_read(&scene->vitals->counters.started) == 0);
    stop(scene);
    return 0;
}

static void a_revoked_job_comes_back_not_started(void **state)
{
    (void)state;
    play("sleep", 4, revoked_beforehand);
}

static int stop_while_running(void *argument)
{
    struct scene *scene = argument;
    send(scene, "1000", 20);
    wait_started(scene, 20);
    stop(scene);
    expect_that(scene->nheld == 0);
    expect_that(scene->nby_outcome[JOB_OUTCOME_INTERRUPTED] == 20);
    return 0;
}

static void stopping_interrupts_jobs_and_brings_them_up_first(void **state)
{
    (void)state;
    play("sleep", 30, stop_while_running);
}

static int dump_and_stop(void *argument)
{
    struct scene *scene = argument;
    send(scene, "1000", 2);
    wait_started(scene, 2);
    expect_that(runner_request(scene->runner, MESSAGE_DUMP) == 0);
    stop(scene);
    return 0;
}

static void a_dump_is_logged_by_the_thread(void **state)
{
    (void)state;
    static struct log_file file;
    log_file_open(&file);
    play("sleep", 3, dump_and_stop);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "3 coroutines: 2 run a job, 1 wait for one"));
    log_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_jobs_go_down_and_come_up_in_order),
        cmocka_unit_test(a_thread_that_had_nothing_to_do_stops),
        cmocka_unit_test(a_revoked_job_comes_back_not_started),
        cmocka_unit_test(what_can_be_revoked_in_flight_comes_back_not_started),
        cmocka_unit_test(stopping_interrupts_jobs_and_brings_them_up_first),
        cmocka_unit_test(a_dump_is_logged_by_the_thread),
    };
    log_start(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = 2});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
