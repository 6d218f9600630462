#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "tests/support/task_test.h"

struct waiter {
    struct coro_task *task;
    int64_t deadline_ms;
    int status;
    int next; /* what its next suspension says */
};

static int wait_for_it(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status = coro_wait_for(waiter->task, waiter->deadline_ms);
    waiter->next = coro_relax();
    return waiter->status;
}

static int a_result_in_time_is_returned(void *argument)
{
    (void)argument;
    struct nap good = {.delay_ms = 1, .result = 42};
    struct nap bad = {.delay_ms = 1, .result = -EIO};
    struct coro_task *first = nap_start(&good);
    struct coro_task *second = nap_start(&bad);
    expect_that(coro_wait_for(first, CORO_NEVER) == 42);
    expect_that(coro_wait_for(second, coro_after(60000)) == -EIO);
    task_end(first);
    task_end(second);
    return 0;
}

static int a_late_task_is_cancelled_and_has_ended(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 3};
    struct coro_task *task = nap_start(&nap);
    expect_that(coro_wait_for(task, coro_after(1)) == -ETIMEDOUT);
    expect_that(nap.has_ended && nap.ncancelled == 1);
    expect_that(task_end(task) == -ECANCELED);
    return 0;
}

static int with_no_time_left_a_task_that_did_not_begin_never_runs(
    void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1};
    int64_t past_ms[] = {0, coro_now_ms() - 1000};
    for (int i = 0; i < 2; i++) {
        struct coro_task *task = nap_start(&nap);
        expect_that(coro_wait_for(task, past_ms[i]) == -ETIMEDOUT);
        expect_that(task_end(task) == -ECANCELED && !nap.has_begun);
    }
    return 0;
}

static int with_no_time_left_a_running_task_is_cancelled_and_awaited(
    void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 2};
    struct coro_task *task = nap_start(&nap);
    task_settle();
    expect_that(nap.has_begun);
    expect_that(coro_wait_for(task, 0) == -ETIMEDOUT);
    expect_that(nap.has_ended);
    expect_that(task_end(task) == -ECANCELED);
    return 0;
}

static int with_no_time_left_a_finished_result_is_given(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 0, .result = 42};
    struct coro_task *task = nap_start(&nap);
    task_settle();
    expect_that(coro_wait_for(task, 0) == 42);
    task_end(task);
    return 0;
}

static int a_result_that_comes_although_late_wins(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .when_cancelled = 1};
    struct coro_task *task = nap_start(&nap);
    expect_that(coro_wait_for(task, coro_after(1)) == 1);
    expect_that(coro_relax() == 0);
    task_end(task);
    return 0;
}

static int an_error_in_the_clean_up_is_reported(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .when_cancelled = -EIO};
    struct coro_task *task = nap_start(&nap);
    expect_that(coro_wait_for(task, coro_after(1)) == -EIO);
    task_end(task);
    return 0;
}

static int end_in_the_turn_of_the_deadline(void *argument)
{
    struct coro_future *future = argument;
    coro_future_wait(future, CORO_NEVER);
    return 42;
}

static int a_result_in_the_turn_of_the_deadline_wins(void *argument)
{
    (void)argument;
    struct coro_loop *loop = coro_loop_current();
    struct coro_future future;
    coro_future_init(&future);
    struct waiter waiter = {.deadline_ms = coro_after(3600000)};
    waiter.task = task_start(end_in_the_turn_of_the_deadline, &future);
    struct coro_task *outer = task_start(wait_for_it, &waiter);
    task_settle();
    /* The task is made ready first, then the wheel is turned by hand. */
    coro_future_set(&future, 0, NULL);
    coro_wheel_advance(&loop->wheel, waiter.deadline_ms + 1);
    expect_that(task_end(outer) == 42);
    expect_that(task_end(waiter.task) == 42);
    return 0;
}

static void cancel_the_waiter(int64_t deadline_ms)
{
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 2};
    struct waiter waiter = {.task = nap_start(&nap),
                            .deadline_ms = deadline_ms};
    struct coro_task *outer = task_start(wait_for_it, &waiter);
    task_settle();
    coro_task_cancel(outer);
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(nap.has_ended && waiter.next == 0);
    expect_that(task_end(waiter.task) == -ECANCELED);
}

static int cancelling_the_waiter_cancels_and_awaits_the_task(void *argument)
{
    (void)argument;
    cancel_the_waiter(CORO_NEVER);
    cancel_the_waiter(coro_after(60000));
    return 0;
}

static int cancelling_the_waiter_of_a_late_task_is_told_as_that(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 10};
    struct waiter waiter = {.task = nap_start(&nap),
                            .deadline_ms = coro_after(1)};
    struct coro_task *outer = task_start(wait_for_it, &waiter);
    while (nap.ncancelled == 0)
        coro_relax();
    coro_task_cancel(outer); /* Its time is up, and the task cleans up. */
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(nap.has_ended && nap.ncancelled == 2);
    task_end(waiter.task);
    return 0;
}

static int a_result_for_a_waiter_cancelled_when_late_is_not_lost(void *argument)
{
    (void)argument;
    struct nap nap = {
        .delay_ms = CORO_NEVER, .cleaning_ms = 10, .when_cancelled = 42};
    struct waiter waiter = {.task = nap_start(&nap),
                            .deadline_ms = coro_after(1)};
    struct coro_task *outer = task_start(wait_for_it, &waiter);
    while (nap.ncancelled == 0)
        coro_relax();
    coro_task_cancel(outer);
    expect_that(task_end(outer) == 42);
    expect_that(waiter.next == -ECANCELED);
    task_end(waiter.task);
    return 0;
}

static int of_nested_waits_the_nearest_deadline_wins(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct waiter inner = {.task = nap_start(&nap),
                           .deadline_ms = coro_after(60000)};
    struct coro_task *outer = task_start(wait_for_it, &inner);
    expect_that(coro_wait_for(outer, coro_after(1)) == -ETIMEDOUT);
    expect_that(inner.status == -ECANCELED && nap.ncancelled == 1);
    task_end(outer);
    task_end(inner.task);

    struct nap other = {.delay_ms = CORO_NEVER};
    inner = (struct waiter){.task = nap_start(&other),
                            .deadline_ms = coro_after(1)};
    outer = task_start(wait_for_it, &inner);
    expect_that(coro_wait_for(outer, coro_after(60000)) == -ETIMEDOUT);
    expect_that(inner.status == -ETIMEDOUT); /* It is the task's own result. */
    expect_that(!coro_task_is_cancelled(outer));
    task_end(outer);
    task_end(inner.task);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(a_result_in_time_is_returned),
        task_test(a_late_task_is_cancelled_and_has_ended),
        task_test(with_no_time_left_a_task_that_did_not_begin_never_runs),
        task_test(with_no_time_left_a_running_task_is_cancelled_and_awaited),
        task_test(with_no_time_left_a_finished_result_is_given),
        task_test(a_result_that_comes_although_late_wins),
        task_test(an_error_in_the_clean_up_is_reported),
        task_test(a_result_in_the_turn_of_the_deadline_wins),
        task_test(cancelling_the_waiter_cancels_and_awaits_the_task),
        task_test(cancelling_the_waiter_of_a_late_task_is_told_as_that),
        task_test(a_result_for_a_waiter_cancelled_when_late_is_not_lost),
        task_test(of_nested_waits_the_nearest_deadline_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
