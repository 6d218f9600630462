#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

/* A task that awaits another one in one of the three ways. */
struct awaiter {
    int (*way)(struct coro_task *task, int64_t deadline_ms);
    struct coro_task *task;
    int64_t deadline_ms;
    int status;
    int next; /* what its next suspension says */
};

static int await_it(void *argument)
{
    struct awaiter *awaiter = argument;
    awaiter->status = awaiter->way(awaiter->task, awaiter->deadline_ms);
    awaiter->next = coro_relax();
    return 0;
}

static struct coro_task *awaiter_start(struct awaiter *awaiter)
{
    if (awaiter->deadline_ms == 0)
        awaiter->deadline_ms = CORO_NEVER;
    return task_start(await_it, awaiter);
}

/* --- await --------------------------------------------------------------- */

static int awaiting_gives_the_result_as_the_callers_own(void *argument)
{
    (void)argument;
    struct nap good = {.delay_ms = 1, .result = 42};
    struct nap bad = {.delay_ms = 1, .result = -EIO};
    struct coro_task *first = nap_start(&good);
    struct coro_task *second = nap_start(&bad);
    expect_that(coro_await(first, CORO_NEVER) == 42);
    expect_that(coro_await(second, CORO_NEVER) == -EIO);
    task_end(first);
    task_end(second);
    return 0;
}

static int a_task_can_be_awaited_again_and_at_no_cost(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1, .result = 7};
    struct coro_task *task = nap_start(&nap);
    expect_that(coro_await(task, CORO_NEVER) == 7);
    coro_task_cancel(coro_task_current());
    expect_that(coro_await(task, 0) == 7);
    expect_that(coro_wait_for(task, 0) == 7);
    expect_that(coro_shield(task, 0) == 7);
    coro_task_uncancel(coro_task_current());
    task_end(task);
    return 0;
}

static int await_oneself(void *argument)
{
    (void)argument;
    struct coro_task *self = coro_task_current();
    expect_that(coro_await(self, CORO_NEVER) == -EDEADLK);
    expect_that(coro_wait_for(self, CORO_NEVER) == -EDEADLK);
    expect_that(coro_shield(self, CORO_NEVER) == -EDEADLK);
    expect_that(coro_task_wait(self, CORO_NEVER, NULL) == -EDEADLK);
    return 5;
}

static int a_task_that_awaits_itself_is_refused(void *argument)
{
    expect_that(task_end(task_start(await_oneself, argument)) == 5);
    return 0;
}

static int a_late_await_leaves_the_task_alone(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 20, .result = 3};
    struct coro_task *task = nap_start(&nap);
    expect_that(coro_await(task, coro_after(1)) == -ETIMEDOUT);
    expect_that(coro_await(task, 0) == -ETIMEDOUT);
    expect_that(task_end(task) == 3);
    expect_that(nap.ncancelled == 0);
    return 0;
}

static int cancelling_the_only_awaiter_cancels_what_it_awaits(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 2};
    struct awaiter awaiter = {.way = coro_await, .task = nap_start(&nap)};
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(outer);
    task_end(outer);
    expect_that(nap.has_ended); /* It was waited for. */
    expect_that(coro_task_is_cancelled(awaiter.task));
    expect_that(awaiter.status == -ECANCELED && awaiter.next == 0);
    task_end(awaiter.task);
    return 0;
}

static int a_task_with_another_awaiter_goes_on(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 20, .result = 9};
    struct awaiter leaver = {.way = coro_await, .task = nap_start(&nap)};
    struct awaiter stayer = {.way = coro_await, .task = leaver.task};
    struct coro_task *first = awaiter_start(&leaver);
    struct coro_task *second = awaiter_start(&stayer);
    task_settle();
    coro_task_cancel(first);
    task_end(first);
    task_end(second);
    expect_that(leaver.status == -ECANCELED);
    expect_that(stayer.status == 9 && nap.ncancelled == 0);
    task_end(leaver.task);
    return 0;
}

static int a_result_in_spite_of_the_cancellation_is_not_lost(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .when_cancelled = 42};
    struct awaiter awaiter = {.way = coro_await, .task = nap_start(&nap)};
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(outer);
    task_end(outer);
    expect_that(awaiter.status == 42);
    expect_that(awaiter.next == -ECANCELED); /* Nor is the cancellation. */
    task_end(awaiter.task);
    return 0;
}

static int await_when_cancelled(void *argument)
{
    struct awaiter *awaiter = argument;
    coro_task_cancel(coro_task_current());
    return await_it(awaiter);
}

static int cancelling_oneself_and_awaiting_cancels_what_is_awaited(
    void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct awaiter awaiter = {
        .way = coro_await, .task = nap_start(&nap), .deadline_ms = CORO_NEVER};
    task_settle();
    task_end(task_start(await_when_cancelled, &awaiter));
    expect_that(awaiter.status == -ECANCELED);
    expect_that(nap.ncancelled == 1);
    expect_that(task_end(awaiter.task) == -ECANCELED);
    return 0;
}

static int cancelling_the_awaited_task_is_seen_by_the_awaiter(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct awaiter awaiter = {.way = coro_await, .task = nap_start(&nap)};
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(awaiter.task);
    expect_that(task_end(outer) == 0); /* It was not cancelled itself. */
    expect_that(awaiter.status == -ECANCELED && awaiter.next == 0);
    task_end(awaiter.task);
    return 0;
}

static int await_a_nap(void *argument)
{
    struct coro_task *task = nap_start(argument);
    int result = coro_await(task, CORO_NEVER);
    coro_task_unref(task);
    return result;
}

static int cancelling_goes_down_a_chain_of_awaits(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct awaiter awaiter = {.way = coro_await};
    awaiter.task = task_start(await_a_nap, &nap);
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(outer);
    task_end(outer);
    expect_that(nap.ncancelled == 1 && awaiter.status == -ECANCELED);
    expect_that(task_end(awaiter.task) == -ECANCELED);
    return 0;
}

/* --- shield -------------------------------------------------------------- */

static int a_shield_passes_results_and_errors(void *argument)
{
    (void)argument;
    struct nap good = {.delay_ms = 1, .result = 42};
    struct nap bad = {.delay_ms = 1, .result = -EIO};
    struct coro_task *first = nap_start(&good);
    struct coro_task *second = nap_start(&bad);
    expect_that(coro_shield(first, CORO_NEVER) == 42);
    expect_that(coro_shield(second, CORO_NEVER) == -EIO);
    task_end(first);
    task_end(second);
    return 0;
}

static int a_shielded_task_goes_on_when_its_awaiter_is_cancelled(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 20, .result = 42};
    struct awaiter awaiter = {.way = coro_shield, .task = nap_start(&nap)};
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(outer);
    task_end(outer);
    expect_that(awaiter.status == -ECANCELED);
    expect_that(task_end(awaiter.task) == 42 && nap.ncancelled == 0);
    return 0;
}

static int a_shielded_task_can_be_cancelled_itself(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct awaiter awaiter = {.way = coro_shield, .task = nap_start(&nap)};
    struct coro_task *outer = awaiter_start(&awaiter);
    task_settle();
    coro_task_cancel(awaiter.task);
    expect_that(task_end(outer) == 0);
    expect_that(awaiter.status == -ECANCELED);
    task_end(awaiter.task);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(awaiting_gives_the_result_as_the_callers_own),
        task_test(a_task_can_be_awaited_again_and_at_no_cost),
        task_test(a_task_that_awaits_itself_is_refused),
        task_test(a_late_await_leaves_the_task_alone),
        task_test(cancelling_the_only_awaiter_cancels_what_it_awaits),
        task_test(a_task_with_another_awaiter_goes_on),
        task_test(a_result_in_spite_of_the_cancellation_is_not_lost),
        task_test(cancelling_oneself_and_awaiting_cancels_what_is_awaited),
        task_test(cancelling_the_awaited_task_is_seen_by_the_awaiter),
        task_test(cancelling_goes_down_a_chain_of_awaits),
        task_test(a_shield_passes_results_and_errors),
        task_test(a_shielded_task_goes_on_when_its_awaiter_is_cancelled),
        task_test(a_shielded_task_can_be_cancelled_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
