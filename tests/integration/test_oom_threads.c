/*
 * Out of memory, at every allocation in turn: calls and tasks from other
 * threads, threads for blocking work, signals, the runner.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coro/sched/executor.h"
#include "coro/sched/inbox.h"
#include "coro/sched/loop.h"
#include "coro/sched/remote.h"
#include "coro/sched/runner.h"
#include "coro/sched/signal.h"
#include "tests/support/oom.h"

static int in_loop(void *body)
{
    int result = 0;
    coro_task_fn *const *function = body;
    int status = coro_run(*function, NULL, &result);
    return status < 0 ? status : result;
}

static void sweep(coro_task_fn *body)
{
    assert_true(oom_sweep(in_loop, &body, OOM_ONE) > 0);
    assert_true(oom_sweep(in_loop, &body, OOM_REST) > 0);
}

static void nothing(void *argument)
{
    (void)argument;
}

static int call_from_elsewhere(void *argument)
{
    struct coro_loop *loop = coro_loop_current();
    for (int i = 0; i < 3; i++) {
        int status = coro_call_soon_threadsafe(loop, nothing, argument);
        if (status < 0)
            return status;
    }
    return coro_sleep(1);
}

static void a_call_is_queued_or_refused(void **state)
{
    (void)state;
    sweep(call_from_elsewhere);
}

static int seven(void *argument)
{
    (void)argument;
    return 7;
}

static int submit_and_wait(void *argument)
{
    struct coro_remote *remote;
    int result = 0;
    int status = coro_submit(coro_loop_current(), seven, argument, &remote);
    if (status < 0)
        return status;
    status = coro_remote_wait(remote, CORO_NEVER, &result);
    if (status == 0) {
        status = coro_remote_await(remote, CORO_NEVER);
        status = status == 7 ? 0 : status;
    }
    coro_remote_unref(remote);
    return status;
}

static void a_submitted_task_runs_or_its_submitter_is_told(void **state)
{
    (void)state;
    sweep(submit_and_wait);
}

static int work_in_threads(void *argument)
{
    int result = 0;
    for (int i = 0; i < 2; i++) {
        int status = coro_run_in_thread(seven, argument, CORO_NEVER, &result);
        if (status < 0)
            return status;
    }
    return result == 7 ? 0 : -EPROTO;
}

static void work_is_given_to_a_thread_or_not(void **state)
{
    (void)state;
    sweep(work_in_threads);
}

static int give_away(void *argument)
{
    return argument ? 0 : -EPROTO;
}

static int work_that_owns_its_argument(void *argument)
{
    (void)argument;
    int result = 0;
    char *piece = malloc(10);
    if (!piece)
        return -ENOMEM;
    const struct coro_thread_work work = {
        .function = give_away, .argument = piece, .drop = free};
    int status = coro_run_work_in_thread(&work, CORO_NEVER, &result);
    free(piece);
    return status < 0 ? status : result;
}

static void work_that_is_refused_leaves_its_argument(void **state)
{
    (void)state;
    sweep(work_that_owns_its_argument);
}

static int take_signals(void *argument)
{
    struct coro_signals signals;
    (void)argument;
    int status =
        coro_signals_open(&signals, coro_loop_current(), (int[]){SIGUSR1, 0});
    if (status < 0)
        return status;
    raise(SIGUSR1);
    status = coro_signals_wait(&signals, CORO_NEVER);
    coro_signals_close(&signals);
    return status == SIGUSR1 ? 0 : status;
}

static void signals_are_taken_or_left(void **state)
{
    (void)state;
    sweep(take_signals);
}

static int run_in_runner(void *argument)
{
    struct coro_runner runner;
    int status = coro_runner_init(&runner, NULL);
    if (status == 0)
        status = coro_runner_run(&runner, seven, argument, NULL);
    coro_runner_release(&runner);
    return status;
}

static void a_runner_runs_or_says_why_not(void **state)
{
    (void)state;
    assert_true(oom_sweep(run_in_runner, NULL, OOM_ONE) > 0);
    assert_true(oom_sweep(run_in_runner, NULL, OOM_REST) > 0);
}

int main(void)
{
    signal(SIGINT, SIG_DFL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_queued_or_refused),
        cmocka_unit_test(a_submitted_task_runs_or_its_submitter_is_told),
        cmocka_unit_test(work_is_given_to_a_thread_or_not),
        cmocka_unit_test(work_that_is_refused_leaves_its_argument),
        cmocka_unit_test(signals_are_taken_or_left),
        cmocka_unit_test(a_runner_runs_or_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
