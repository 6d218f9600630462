#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/as_completed.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

/* Takes all and writes down their results; what the last call returned. */
static int take_all(struct coro_as_completed *each, int64_t deadline_ms,
                    int *results, int max)
{
    struct coro_task *task;
    int status;
    int ntaken = 0;
    while ((status = coro_as_completed_next(each, deadline_ms, &task)) > 0)
        if (expect_that(ntaken < max))
            results[ntaken++] = coro_task_result(task);
    return status;
}

static int tasks_come_in_the_order_of_their_ends(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 3, .result = 3},
                         {.delay_ms = 1, .result = 1},
                         {.delay_ms = 2, .result = -EIO}};
    struct coro_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = nap_start(&naps[i]);
    struct coro_as_completed each;
    int results[3] = {0};
    expect_that(coro_as_completed_init(&each, tasks, 3) == 0);
    expect_that(take_all(&each, CORO_NEVER, results, 3) == 0);
    expect_that(results[0] == 1 && results[1] == -EIO && results[2] == 3);
    coro_as_completed_release(&each);
    for (int i = 0; i < 3; i++)
        task_end(tasks[i]);
    return 0;
}

static int those_that_have_ended_come_first_in_the_order_of_arguments(
    void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 20, .result = 3},
                         {.delay_ms = 0, .result = 1},
                         {.delay_ms = 0, .result = 2}};
    struct coro_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = nap_start(&naps[i]);
    task_settle();
    struct coro_as_completed each;
    int results[3] = {0};
    expect_that(coro_as_completed_init(&each, tasks, 3) == 0);
    expect_that(take_all(&each, CORO_NEVER, results, 3) == 0);
    for (int i = 0; i < 3; i++)
        expect_that(results[i] == i + 1);
    coro_as_completed_release(&each);
    for (int i = 0; i < 3; i++)
        task_end(tasks[i]);
    return 0;
}

static int a_task_that_is_given_twice_comes_once(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = 2, .result = 2}};
    struct coro_task *one = nap_start(&naps[0]);
    struct coro_task *two = nap_start(&naps[1]);
    struct coro_task *tasks[] = {one, two, one, one, two};
    /* While they run, and again when they have ended. */
    for (int round = 0; round < 2; round++) {
        struct coro_as_completed each;
        int results[2] = {0};
        expect_that(coro_as_completed_init(&each, tasks, 5) == 0);
        expect_that(take_all(&each, CORO_NEVER, results, 2) == 0);
        expect_that(results[0] == 1 && results[1] == 2);
        coro_as_completed_release(&each);
    }
    task_end(one);
    task_end(two);
    return 0;
}

static int a_deadline_bounds_them_all(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = CORO_NEVER}};
    struct coro_task *tasks[] = {nap_start(&naps[0]), nap_start(&naps[1])};
    struct coro_as_completed each;
    int results[2] = {0};
    expect_that(coro_as_completed_init(&each, tasks, 2) == 0);
    expect_that(take_all(&each, coro_after(20), results, 2) == -ETIMEDOUT);
    expect_that(results[0] == 1 && naps[1].ncancelled == 0);
    /* One can go on. */
    coro_task_cancel(tasks[1]);
    expect_that(take_all(&each, CORO_NEVER, results, 2) == 0);
    expect_that(results[0] == -ECANCELED);
    coro_as_completed_release(&each);
    task_end(tasks[0]);
    task_end(tasks[1]);
    return 0;
}

static int a_deadline_that_is_not_needed_leaves_nothing(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1, .result = 1};
    struct coro_task *task = nap_start(&nap);
    struct coro_as_completed each;
    int results[1] = {0};
    expect_that(coro_as_completed_init(&each, &task, 1) == 0);
    expect_that(take_all(&each, coro_after(60000), results, 1) == 0);
    expect_that(results[0] == 1);
    coro_as_completed_release(&each);
    task_end(task);
    return 0;
}

static int it_can_be_left_at_any_time(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = 2, .result = 2},
                         {.delay_ms = 3, .result = 3}};
    struct coro_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = nap_start(&naps[i]);
    struct coro_as_completed each;
    struct coro_task *first;
    expect_that(coro_as_completed_init(&each, tasks, 3) == 0);
    expect_that(coro_as_completed_next(&each, CORO_NEVER, &first) == 1);
    expect_that(first == tasks[0]);
    coro_as_completed_release(&each);
    for (int i = 0; i < 3; i++)
        expect_that(task_end(tasks[i]) == i + 1);
    return 0;
}

static int it_keeps_its_tasks(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1, .result = 7};
    struct coro_task *task = nap_start(&nap);
    struct coro_as_completed each;
    expect_that(coro_as_completed_init(&each, &task, 1) == 0);
    coro_task_unref(task);
    struct coro_task *ended = NULL;
    expect_that(coro_as_completed_next(&each, CORO_NEVER, &ended) == 1);
    expect_that(ended == task && coro_task_result(ended) == 7);
    coro_as_completed_release(&each);
    return 0;
}

static int take_from(void *argument)
{
    struct coro_task *task;
    return coro_as_completed_next(argument, CORO_NEVER, &task);
}

static int a_cancelled_taker_leaves_the_tasks_alone(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 20, .result = 1};
    struct coro_task *task = nap_start(&nap);
    struct coro_as_completed each;
    expect_that(coro_as_completed_init(&each, &task, 1) == 0);
    struct coro_task *taker = task_start(take_from, &each);
    task_settle();
    coro_task_cancel(taker);
    expect_that(task_end(taker) == -ECANCELED);
    expect_that(nap.ncancelled == 0);
    expect_that(take_from(&each) == 1);
    coro_as_completed_release(&each);
    expect_that(task_end(task) == 1);
    return 0;
}

static int each_of_several_takers_gets_another_one(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1}, {.delay_ms = 1}};
    struct coro_task *tasks[] = {nap_start(&naps[0]), nap_start(&naps[1])};
    struct coro_as_completed each;
    expect_that(coro_as_completed_init(&each, tasks, 2) == 0);
    struct coro_task *takers[3];
    for (int i = 0; i < 3; i++)
        takers[i] = task_start(take_from, &each);
    int ntaken = 0;
    for (int i = 0; i < 3; i++)
        ntaken += task_end(takers[i]);
    expect_that(ntaken == 2); /* And the third does not wait for ever. */
    coro_as_completed_release(&each);
    task_end(tasks[0]);
    task_end(tasks[1]);
    return 0;
}

static int of_no_tasks_none_comes(void *argument)
{
    (void)argument;
    struct coro_as_completed each;
    struct coro_task *task;
    expect_that(coro_as_completed_init(&each, NULL, 0) == 0);
    expect_that(coro_as_completed_next(&each, CORO_NEVER, &task) == 0);
    coro_as_completed_release(&each);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(tasks_come_in_the_order_of_their_ends),
        task_test(those_that_have_ended_come_first_in_the_order_of_arguments),
        task_test(a_task_that_is_given_twice_comes_once),
        task_test(a_deadline_bounds_them_all),
        task_test(a_deadline_that_is_not_needed_leaves_nothing),
        task_test(it_can_be_left_at_any_time),
        task_test(it_keeps_its_tasks),
        task_test(a_cancelled_taker_leaves_the_tasks_alone),
        task_test(each_of_several_takers_gets_another_one),
        task_test(of_no_tasks_none_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
