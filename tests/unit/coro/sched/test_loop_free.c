#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "coro/sched/task.h"

static struct coro_loop *new_loop(void)
{
    struct coro_loop *loop = NULL;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    return loop;
}

static int relax(void *argument)
{
    (void)argument;
    return coro_relax();
}

/* Runs the loop until each task has come to its first suspension. */
static void run_until_all_wait(struct coro_loop *loop)
{
    struct coro_task *task;
    assert_int_equal(coro_spawn(loop, relax, NULL, NULL, &task), 0);
    coro_loop_run_until_complete(loop, task, NULL);
    coro_task_unref(task);
}

static int rest(void)
{
    return coro_sleep_until(CORO_NEVER);
}

struct leftover {
    int ncancelled;
    int nended;
};

static int end_when_cancelled(void *argument)
{
    struct leftover *left = argument;
    left->ncancelled += rest() == -ECANCELED;
    coro_relax();
    left->nended++;
    return 0;
}

static int end_when_cancelled_thrice(void *argument)
{
    struct leftover *left = argument;
    for (int i = 0; i < 3; i++)
        left->ncancelled += rest() == -ECANCELED;
    left->nended++;
    return 0;
}

static int refuse_to_end(void *argument)
{
    struct leftover *left = argument;
    for (;;)
        left->ncancelled += rest() == -ECANCELED;
    return 0;
}

static int refuse_to_end_and_relax(void *argument)
{
    struct leftover *left = argument;
    for (;;)
        left->ncancelled += coro_relax() == -ECANCELED;
    return 0;
}

/* Frees a loop with three tasks of @function; returns how many were left. */
static size_t free_with_three(coro_task_fn *function, struct leftover *left)
{
    struct coro_loop *loop = new_loop();
    for (int i = 0; i < 3; i++)
        coro_spawn(loop, function, left, NULL, NULL);
    run_until_all_wait(loop);
    return coro_loop_free(loop);
}

static void freeing_cancels_what_is_left_and_counts_it(void **state)
{
    (void)state;
    struct leftover left = {0};
    assert_int_equal(free_with_three(end_when_cancelled, &left), 3);
    assert_int_equal(left.ncancelled, 3);
    assert_int_equal(left.nended, 3);
}

static void freeing_cancels_several_times_if_it_must(void **state)
{
    (void)state;
    struct leftover left = {0};
    assert_int_equal(free_with_three(end_when_cancelled_thrice, &left), 3);
    assert_int_equal(left.ncancelled, 9);
    assert_int_equal(left.nended, 3);
}

static void freeing_drops_tasks_that_refuse_to_end(void **state)
{
    (void)state;
    struct leftover left = {0};
    assert_int_equal(free_with_three(refuse_to_end, &left), 3);
    assert_true(left.ncancelled >= 3);
    assert_int_equal(free_with_three(refuse_to_end_and_relax, &left), 3);
}

static void a_loop_that_never_ran_can_be_freed(void **state)
{
    (void)state;
    struct leftover left = {0};
    struct coro_loop *loop = new_loop();
    coro_spawn(loop, end_when_cancelled, &left, NULL, NULL);
    assert_int_equal(coro_loop_free(loop), 1);
    assert_int_equal(left.ncancelled, 0);
    assert_int_equal(coro_loop_free(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freeing_cancels_what_is_left_and_counts_it),
        cmocka_unit_test(freeing_cancels_several_times_if_it_must),
        cmocka_unit_test(freeing_drops_tasks_that_refuse_to_end),
        cmocka_unit_test(a_loop_that_never_ran_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
