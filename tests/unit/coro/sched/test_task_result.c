#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

/* A value that counts how often it was freed. */
struct value {
    int nfreed;
};

static void count_free(void *value)
{
    ((struct value *)value)->nfreed++;
}

static int give(void *argument)
{
    return coro_task_return(argument, count_free);
}

/* --- values -------------------------------------------------------------- */

static int a_task_may_end_with_a_value(void *argument)
{
    (void)argument;
    struct value value = {0};
    struct coro_task *task = task_start(give, &value);
    expect_that(coro_task_value(task) == NULL); /* It has not ended. */
    expect_that(coro_task_result(task) == -EINPROGRESS);
    expect_that(coro_await(task, CORO_NEVER) == 0);
    expect_that(coro_task_value(task) == &value);
    expect_that(coro_future_value(coro_task_future(task)) == &value);
    expect_that(value.nfreed == 0);
    task_end(task);
    expect_that(value.nfreed == 1);
    return 0;
}

static int a_value_that_was_taken_is_not_freed(void *argument)
{
    (void)argument;
    struct value value = {0};
    struct coro_task *task = task_start(give, &value);
    expect_that(coro_task_take_value(task) == NULL);
    coro_await(task, CORO_NEVER);
    expect_that(coro_task_take_value(task) == &value);
    expect_that(coro_task_take_value(task) == NULL);
    task_end(task);
    expect_that(value.nfreed == 0);
    return 0;
}

static int a_value_that_nobody_asks_for_is_freed(void *argument)
{
    (void)argument;
    struct value value = {0};
    coro_task_unref(task_start(give, &value));
    task_settle();
    expect_that(value.nfreed == 1);
    return 0;
}

static int give_twice(void *argument)
{
    struct value *values = argument;
    coro_task_return(&values[0], count_free);
    coro_task_return(&values[1], NULL);
    coro_task_return(&values[2], count_free);
    coro_task_return(NULL, count_free);
    coro_task_return(&values[3], count_free);
    return -EIO;
}

static int a_value_is_replaced_by_the_next(void *argument)
{
    (void)argument;
    struct value values[4] = {{0}};
    struct coro_task *task = task_start(give_twice, values);
    expect_that(coro_await(task, CORO_NEVER) == -EIO);
    expect_that(coro_task_value(task) == &values[3]);
    task_end(task);
    const int expected[] = {1, 0, 1, 1};
    for (int i = 0; i < 4; i++)
        expect_that(values[i].nfreed == expected[i]);
    return 0;
}

static int add_results(void *argument)
{
    struct nap *naps = argument;
    struct coro_task *first = nap_start(&naps[0]);
    int sum = coro_await(first, CORO_NEVER);
    task_end(first);
    struct coro_task *second = nap_start(&naps[1]);
    sum += coro_await(second, CORO_NEVER);
    task_end(second);
    return sum;
}

static int results_of_awaited_tasks_can_be_used_on(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.result = 42}, {.delay_ms = 1, .result = 1000}};
    expect_that(task_end(task_start(add_results, naps)) == 1042);
    return 0;
}

/* --- what a task is ------------------------------------------------------ */

static int a_task_can_be_named_and_renamed(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 0};
    struct coro_task *task = NULL;
    coro_spawn(coro_loop_current(), nap_run, &nap,
               &(struct coro_spawn_options){.name = "No-op"}, &task);
    expect_that(strcmp(coro_task_name(task), "No-op") == 0);
    coro_task_set_name(task, "other");
    expect_that(strcmp(coro_task_name(task), "other") == 0);
    task_end(task);
    return 0;
}

static int all_tasks_are_those_that_have_not_ended(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 0}, {.delay_ms = CORO_NEVER}};
    struct coro_task *first = nap_start(&naps[0]);
    struct coro_task *second = nap_start(&naps[1]);
    struct coro_task *all[4] = {NULL};
    struct coro_loop *loop = coro_loop_current();
    expect_that(coro_task_all(loop, all, 1) == 3);
    expect_that(all[0] == coro_task_current() && !all[1]);
    coro_task_unref(all[0]);
    task_settle();
    expect_that(coro_task_all(loop, all, 4) == 2);
    expect_that(all[0] == coro_task_current() && all[1] == second);
    coro_task_unref(all[0]);
    coro_task_unref(all[1]);
    task_end(first);
    coro_task_cancel(second);
    task_end(second);
    return 0;
}

static int relax_as_oneself(void *argument)
{
    struct coro_task **self = argument;
    for (int i = 0; i < 3; i++) {
        expect_that(coro_task_current() == *self);
        coro_relax();
    }
    return 0;
}

static int the_current_task_changes_with_each_switch(void *argument)
{
    (void)argument;
    struct coro_task *tasks[2];
    for (int i = 0; i < 2; i++)
        tasks[i] = task_start(relax_as_oneself, &tasks[i]);
    struct coro_task *one = tasks[0], *two = tasks[1];
    task_end(one);
    task_end(two);
    return 0;
}

/* --- cancelling, counted ------------------------------------------------- */

static int a_cancelled_task_has_ended_with_that(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER};
    struct coro_task *task = nap_start(&nap);
    task_settle();
    expect_that(!coro_task_is_cancelled(task));
    expect_that(coro_task_cancel(task));
    expect_that(!coro_task_is_cancelled(task)); /* Not yet. */
    expect_that(coro_await(task, CORO_NEVER) == -ECANCELED);
    expect_that(coro_task_is_cancelled(task) && coro_task_is_done(task));
    expect_that(coro_task_result(task) == -ECANCELED);
    expect_that(!coro_task_cancel(task));
    task_end(task);
    return 0;
}

static int a_task_that_ends_with_an_error_was_not_cancelled(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .when_cancelled = -EIO};
    struct coro_task *task = nap_start(&nap);
    task_settle();
    coro_task_cancel(task);
    expect_that(coro_await(task, CORO_NEVER) == -EIO);
    expect_that(!coro_task_is_cancelled(task));
    task_end(task);
    return 0;
}

static int cancellations_are_counted_until_they_are_taken_back(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER, .cleaning_ms = 5};
    struct coro_task *task = nap_start(&nap);
    task_settle();
    expect_that(coro_task_ncancels(task) == 0);
    expect_that(coro_task_cancel(task) && coro_task_cancel(task));
    expect_that(coro_task_ncancels(task) == 2);
    task_settle();
    expect_that(nap.ncancelled == 1);
    expect_that(coro_task_ncancels(task) == 2); /* Seen, but asked for. */
    expect_that(!coro_task_uncancel(task));
    expect_that(coro_task_ncancels(task) == 1);
    coro_task_uncancel(task);
    coro_task_uncancel(task);
    expect_that(coro_task_ncancels(task) == 0);
    coro_task_cancel(task);
    task_settle();
    expect_that(nap.ncancelled == 2);
    expect_that(coro_await(task, CORO_NEVER) == -ECANCELED);
    coro_task_uncancel(task);
    expect_that(coro_task_is_cancelled(task)); /* It is too late for that. */
    task_end(task);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(a_task_may_end_with_a_value),
        task_test(a_value_that_was_taken_is_not_freed),
        task_test(a_value_that_nobody_asks_for_is_freed),
        task_test(a_value_is_replaced_by_the_next),
        task_test(results_of_awaited_tasks_can_be_used_on),
        task_test(a_task_can_be_named_and_renamed),
        task_test(all_tasks_are_those_that_have_not_ended),
        task_test(the_current_task_changes_with_each_switch),
        task_test(a_cancelled_task_has_ended_with_that),
        task_test(a_task_that_ends_with_an_error_was_not_cancelled),
        task_test(cancellations_are_counted_until_they_are_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
