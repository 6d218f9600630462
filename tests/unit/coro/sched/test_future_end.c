#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

static int await_future(void *argument)
{
    return coro_future_await(argument, CORO_NEVER);
}

static int a_future_can_be_cancelled_once(void *argument)
{
    (void)argument;
    struct coro_future future;
    coro_future_init(&future);
    expect_that(!coro_future_is_cancelled(&future));
    expect_that(coro_future_cancel(&future));
    expect_that(coro_future_is_cancelled(&future));
    expect_that(coro_future_is_done(&future));
    expect_that(coro_future_status(&future) == -ECANCELED);
    expect_that(coro_future_value(&future) == NULL);
    expect_that(coro_future_set(&future, 0, NULL) == -EALREADY);
    expect_that(!coro_future_cancel(&future));
    return 0;
}

static int a_result_or_an_error_stays_what_it_is(void *argument)
{
    (void)argument;
    const int statuses[] = {42, 0, -EIO};
    for (int i = 0; i < 3; i++) {
        struct coro_future future;
        coro_future_init(&future);
        expect_that(coro_future_status(&future) == -EINPROGRESS);
        expect_that(coro_future_set(&future, statuses[i], &future) == 0);
        expect_that(!coro_future_cancel(&future));
        expect_that(coro_future_set(&future, 7, NULL) == -EALREADY);
        expect_that(coro_future_status(&future) == statuses[i]);
        expect_that(coro_future_value(&future) == &future);
        expect_that(!coro_future_is_cancelled(&future));
        expect_that(coro_future_await(&future, 0) == statuses[i]);
        expect_that(coro_future_await(&future, 0) == statuses[i]);
    }
    return 0;
}

static int awaiting_a_cancelled_future_gives_that(void *argument)
{
    (void)argument;
    struct coro_future future;
    coro_future_init(&future);
    struct coro_task *task = task_start(await_future, &future);
    task_settle();
    coro_future_cancel(&future);
    expect_that(coro_task_wait(task, CORO_NEVER, NULL) == 0);
    expect_that(coro_task_is_cancelled(task));
    expect_that(task_end(task) == -ECANCELED);
    return 0;
}

static int a_task_and_its_future_can_be_cancelled_at_once(void *argument)
{
    (void)argument;
    struct coro_future future;
    coro_future_init(&future);
    struct coro_task *task = task_start(await_future, &future);
    task_settle();
    coro_future_cancel(&future);
    coro_task_cancel(task);
    expect_that(task_end(task) == -ECANCELED);
    expect_that(coro_future_is_cancelled(&future));
    return 0;
}

static int cancelling_who_awaits_a_future_leaves_that_pending(void *argument)
{
    (void)argument;
    struct coro_future future;
    coro_future_init(&future);
    struct coro_task *leaver = task_start(await_future, &future);
    struct coro_task *stayer = task_start(await_future, &future);
    task_settle();
    coro_task_cancel(leaver);
    expect_that(task_end(leaver) == -ECANCELED);
    expect_that(!coro_future_is_done(&future));
    coro_future_set(&future, 42, NULL);
    expect_that(task_end(stayer) == 42);
    return 0;
}

static int a_late_await_of_a_future_leaves_that_pending(void *argument)
{
    (void)argument;
    struct coro_future future;
    coro_future_init(&future);
    expect_that(coro_future_await(&future, 0) == -ETIMEDOUT);
    expect_that(coro_future_await(&future, coro_after(1)) == -ETIMEDOUT);
    expect_that(!coro_future_is_done(&future));
    return 0;
}

/* --- callbacks ----------------------------------------------------------- */

#define NCALLBACKS 3

struct call {
    struct coro_callback callback;
    struct caller *caller;
    int number;
};

struct caller {
    struct coro_future future;
    struct call calls[NCALLBACKS];
    int order[NCALLBACKS];
    int ncalled;
};

static void on_call(struct coro_callback *callback)
{
    struct call *call = list_entry(callback, struct call, callback);
    call->caller->order[call->caller->ncalled++] = call->number;
}

static void caller_init(struct caller *caller)
{
    *caller = (struct caller){.ncalled = 0};
    coro_future_init(&caller->future);
    for (int i = 0; i < NCALLBACKS; i++) {
        caller->calls[i] = (struct call){
            .callback.run = on_call, .caller = caller, .number = i};
        coro_future_add_callback(&caller->future, &caller->calls[i].callback);
    }
}

static int any_callback_can_be_removed_and_only_once(void *argument)
{
    (void)argument;
    /* Each bit of @removed is a callback that is taken back. */
    for (unsigned removed = 0; removed < 1u << NCALLBACKS; removed++) {
        struct caller caller;
        caller_init(&caller);
        int nleft = 0, left[NCALLBACKS];
        for (int i = 0; i < NCALLBACKS; i++) {
            struct coro_callback *callback = &caller.calls[i].callback;
            if (!(removed & 1u << i)) {
                left[nleft++] = i;
                continue;
            }
            expect_that(coro_future_remove_callback(&caller.future, callback));
            expect_that(!coro_future_remove_callback(&caller.future, callback));
        }
        coro_future_set(&caller.future, 0, NULL);
        expect_that(caller.ncalled == 0);
        coro_relax();
        expect_that(caller.ncalled == nleft);
        for (int i = 0; i < nleft; i++)
            expect_that(caller.order[i] == left[i]);
    }
    return 0;
}

static int callbacks_come_after_an_error_and_a_cancellation_too(void *argument)
{
    (void)argument;
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        struct caller caller;
        caller_init(&caller);
        if (is_cancelled)
            coro_future_cancel(&caller.future);
        else
            coro_future_set(&caller.future, -EIO, NULL);
        coro_relax();
        expect_that(caller.ncalled == NCALLBACKS);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(a_future_can_be_cancelled_once),
        task_test(a_result_or_an_error_stays_what_it_is),
        task_test(awaiting_a_cancelled_future_gives_that),
        task_test(a_task_and_its_future_can_be_cancelled_at_once),
        task_test(cancelling_who_awaits_a_future_leaves_that_pending),
        task_test(a_late_await_of_a_future_leaves_that_pending),
        task_test(any_callback_can_be_removed_and_only_once),
        task_test(callbacks_come_after_an_error_and_a_cancellation_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
