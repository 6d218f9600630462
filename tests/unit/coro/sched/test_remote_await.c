/*
 * Remotes awaited by coroutines of other loops, and very many of them.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/remote.h"
#include "tests/support/scale.h"
#include "tests/unit/coro/sched/thread_loop.h"

static int set_up(void **state)
{
    struct thread_loop *other = calloc(1, sizeof *other);
    *state = other;
    if (!other)
        return -1;
    thread_loop_start(other, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct thread_loop *other = *state;
    thread_loop_stop(other);
    coro_loop_free(other->loop);
    free(other);
    return 0;
}

static int sleep_for_ever(void *argument)
{
    (void)argument;
    return coro_sleep_until(CORO_NEVER);
}

static int fail_at_once(void *argument)
{
    (void)argument;
    return -EPROTO;
}

/* --- waiting as a coroutine ----------------------------------------------- */

struct await {
    struct coro_loop *loop;
    coro_task_fn *function;
    int64_t timeout_ms;
    struct coro_remote *remote;
    int result;
    int later;
};

static int await_remote(void *argument)
{
    struct await *await = argument;
    int status =
        coro_submit(await->loop, await->function, NULL, &await->remote);
    if (status < 0)
        return status;
    int64_t deadline_ms =
        await->timeout_ms ? coro_after(await->timeout_ms) : CORO_NEVER;
    return coro_remote_wait(await->remote, deadline_ms, &await->result);
}

static void a_coroutine_of_another_loop_waits_without_blocking_it(void **state)
{
    struct thread_loop *other = *state;
    struct await await = {.loop = other->loop, .function = fail_at_once};
    int status = 1;
    assert_int_equal(coro_run(await_remote, &await, &status), 0);
    assert_int_equal(status, 0);
    assert_int_equal(await.result, -EPROTO);
    coro_remote_unref(await.remote);
}

static void a_coroutine_waits_no_longer_than_its_deadline(void **state)
{
    struct thread_loop *other = *state;
    struct await await = {
        .loop = other->loop, .function = sleep_for_ever, .timeout_ms = 5};
    int status = 1;
    assert_int_equal(coro_run(await_remote, &await, &status), 0);
    assert_int_equal(status, -ETIMEDOUT);
    assert_true(coro_remote_cancel(await.remote));
    coro_remote_result(await.remote, CORO_NEVER, &await.result);
    assert_int_equal(await.result, -ECANCELED);
    coro_remote_unref(await.remote);
}

static int cancel_a_waiter(void *argument)
{
    struct await *await = argument;
    struct coro_task *task;
    int result = 0;
    int status =
        coro_spawn(coro_loop_current(), await_remote, await, NULL, &task);
    if (status < 0)
        return status;
    coro_relax();
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, &result);
    coro_task_unref(task);
    return result;
}

static void a_waiter_that_is_cancelled_leaves_the_task_alone(void **state)
{
    struct thread_loop *other = *state;
    struct await await = {.loop = other->loop, .function = sleep_for_ever};
    int status = 1;
    for (int i = 0; i < 20; i++) {
        /* Both can be first: the end of the task and that of the waiter. */
        await.function = i % 2 ? fail_at_once : sleep_for_ever;
        assert_int_equal(coro_run(cancel_a_waiter, &await, &status), 0);
        assert_true(status == -ECANCELED || status == 0);
        coro_remote_cancel(await.remote);
        assert_int_equal(coro_remote_result(await.remote, CORO_NEVER, NULL), 0);
        coro_remote_unref(await.remote);
    }
}

/* --- as one's own result -------------------------------------------------- */

static int await_as_own(void *argument)
{
    struct await *await = argument;
    int64_t deadline_ms =
        await->timeout_ms ? coro_after(await->timeout_ms) : CORO_NEVER;
    await->result = coro_remote_await(await->remote, deadline_ms);
    /* Where a cancellation is seen that came beside a result. */
    await->later = coro_relax();
    return await->result;
}

/* Awaits what @other runs, in a loop of this thread. Returns what came back. */
static int run_await(const struct thread_loop *other, struct await *await)
{
    int status = 1;
    assert_int_equal(
        coro_submit(other->loop, await->function, NULL, &await->remote), 0);
    assert_int_equal(coro_run(await_as_own, await, &status), 0);
    return status;
}

static int seven(void *argument)
{
    (void)argument;
    return 7;
}

static void what_is_awaited_is_the_awaiters_own_result(void **state)
{
    struct await await = {.function = seven};
    assert_int_equal(run_await(*state, &await), 7);
    coro_remote_unref(await.remote);
    await.function = fail_at_once;
    assert_int_equal(run_await(*state, &await), -EPROTO);
    coro_remote_unref(await.remote);
}

static void what_is_awaited_in_vain_goes_on(void **state)
{
    struct await await = {.function = sleep_for_ever, .timeout_ms = 5};
    assert_int_equal(run_await(*state, &await), -ETIMEDOUT);
    assert_false(coro_remote_is_done(await.remote));
    coro_remote_cancel(await.remote);
    coro_remote_result(await.remote, CORO_NEVER, NULL);
    coro_remote_unref(await.remote);
}

static atomic_bool has_begun;

static int cancel_awaiter(void *argument)
{
    struct coro_task *task;
    /* Before its first step it would be cancelled without a word. */
    while (!atomic_load(&has_begun))
        coro_sleep(1);
    int status =
        coro_spawn(coro_loop_current(), await_as_own, argument, NULL, &task);
    if (status < 0)
        return status;
    coro_relax();
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
    return 0;
}

/* Cancels a task that awaits what @function does in @other. */
static struct await cancel_await(const struct thread_loop *other,
                                 coro_task_fn *function)
{
    struct await await = {.function = function};
    atomic_store(&has_begun, false);
    assert_int_equal(coro_submit(other->loop, function, NULL, &await.remote),
                     0);
    assert_int_equal(coro_run(cancel_awaiter, &await, NULL), 0);
    assert_true(coro_remote_is_done(await.remote));
    return await;
}

static int begin_and_sleep(void *argument)
{
    atomic_store(&has_begun, true);
    return sleep_for_ever(argument);
}

static void cancelling_an_awaiter_cancels_what_it_awaits(void **state)
{
    struct await await = cancel_await(*state, begin_and_sleep);
    int result = 0;
    assert_int_equal(await.result, -ECANCELED);
    assert_int_equal(await.later, 0);
    assert_int_equal(coro_remote_result(await.remote, 0, &result), 0);
    assert_int_equal(result, -ECANCELED);
    coro_remote_unref(await.remote);
}

static int refuse_once(void *argument)
{
    return begin_and_sleep(argument) == -ECANCELED ? 42 : -EPROTO;
}

static void a_result_beside_the_cancellation_of_its_awaiter_is_not_lost(
    void **state)
{
    struct await await = cancel_await(*state, refuse_once);
    int result = 0;
    assert_int_equal(await.result, 42);
    assert_int_equal(await.later, -ECANCELED);
    assert_int_equal(coro_remote_result(await.remote, 0, &result), 0);
    assert_int_equal(result, await.result);
    coro_remote_unref(await.remote);
}

static void awaiting_what_a_freed_loop_had_says_so(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct await await = {.result = 0};
    int status = 0;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_submit(loop, seven, NULL, &await.remote), 0);
    coro_loop_free(loop);
    assert_int_equal(coro_run(await_as_own, &await, &status), 0);
    assert_int_equal(status, -ESHUTDOWN);
    coro_remote_unref(await.remote);
}

static int look_at_ended(void *argument)
{
    struct await *await = argument;
    int status = coro_remote_wait(await->remote, 0, &await->result);
    await->later = coro_remote_await(await->remote, 0);
    return status;
}

static void what_has_ended_is_never_late(void **state)
{
    struct thread_loop *other = *state;
    struct await await = {.loop = other->loop, .function = fail_at_once};
    int status = 1;
    assert_int_equal(coro_submit(await.loop, fail_at_once, NULL, &await.remote),
                     0);
    assert_int_equal(coro_remote_result(await.remote, CORO_NEVER, NULL), 0);
    assert_int_equal(coro_run(look_at_ended, &await, &status), 0);
    assert_int_equal(status, 0);
    assert_int_equal(await.result, -EPROTO);
    assert_int_equal(await.later, -EPROTO);
    coro_remote_unref(await.remote);
}

/* --- many threads --------------------------------------------------------- */

#define NPRODUCERS 8

struct traffic {
    struct coro_loop *loop;
    size_t neach;
    size_t nran;
    size_t nout_of_order;
    size_t next[NPRODUCERS];
    atomic_uint nproducers;
    atomic_size_t nrefused;
};

struct ticket {
    struct traffic *traffic;
    unsigned producer;
    size_t number;
};

static int run_ticket(void *argument)
{
    struct ticket ticket = *(struct ticket *)argument;
    free(argument);
    struct traffic *traffic = ticket.traffic;
    if (ticket.number != traffic->next[ticket.producer]++)
        traffic->nout_of_order++;
    if (++traffic->nran == NPRODUCERS * traffic->neach)
        coro_loop_stop(traffic->loop);
    return 0;
}

static void *submit_many(void *argument)
{
    struct traffic *traffic = argument;
    unsigned self = atomic_fetch_add(&traffic->nproducers, 1);
    for (size_t i = 0; i < traffic->neach; i++) {
        struct ticket *ticket = malloc(sizeof *ticket);
        *ticket = (struct ticket){traffic, self, i};
        if (coro_submit(traffic->loop, run_ticket, ticket, NULL) < 0) {
            atomic_fetch_add(&traffic->nrefused, 1);
            free(ticket);
        }
    }
    return NULL;
}

static void a_million_tasks_of_eight_threads_run_each_in_its_order(void **state)
{
    (void)state;
    struct traffic traffic = {.neach = test_scale(1000000, 20000) / NPRODUCERS};
    pthread_t threads[NPRODUCERS];
    assert_int_equal(coro_loop_new(NULL, &traffic.loop), 0);
    for (int i = 0; i < NPRODUCERS; i++)
        pthread_create(&threads[i], NULL, submit_many, &traffic);
    coro_loop_run_forever(traffic.loop);
    for (int i = 0; i < NPRODUCERS; i++)
        pthread_join(threads[i], NULL);
    coro_loop_free(traffic.loop);
    assert_int_equal(atomic_load(&traffic.nrefused), 0);
    assert_int_equal(traffic.nran, NPRODUCERS * traffic.neach);
    assert_int_equal(traffic.nout_of_order, 0);
}

#define remote_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        remote_test(a_coroutine_of_another_loop_waits_without_blocking_it),
        remote_test(a_coroutine_waits_no_longer_than_its_deadline),
        remote_test(what_has_ended_is_never_late),
        remote_test(a_waiter_that_is_cancelled_leaves_the_task_alone),
        remote_test(what_is_awaited_is_the_awaiters_own_result),
        remote_test(what_is_awaited_in_vain_goes_on),
        remote_test(cancelling_an_awaiter_cancels_what_it_awaits),
        remote_test(
            a_result_beside_the_cancellation_of_its_awaiter_is_not_lost),
        cmocka_unit_test(awaiting_what_a_freed_loop_had_says_so),
        cmocka_unit_test(
            a_million_tasks_of_eight_threads_run_each_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
