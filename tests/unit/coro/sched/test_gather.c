#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/gather.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

#define MAX_TASKS 5

/* A task that gathers others. */
struct gatherer {
    struct coro_task *tasks[MAX_TASKS];
    size_t ntasks;
    enum coro_gather_errors errors;
    int results[MAX_TASKS];
    int status;
    int next; /* what its next suspension says */
};

static void gatherer_naps(struct gatherer *gatherer, struct nap *naps,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        gatherer->tasks[i] = nap_start(&naps[i]);
    gatherer->ntasks = count;
}

static int gather_now(struct gatherer *gatherer, int64_t deadline_ms)
{
    return coro_gather(gatherer->tasks, gatherer->ntasks, gatherer->errors,
                       deadline_ms, gatherer->results);
}

static int gather_them(void *argument)
{
    struct gatherer *gatherer = argument;
    gatherer->status = gather_now(gatherer, CORO_NEVER);
    gatherer->next = coro_relax();
    return gatherer->status;
}

static void gatherer_release(struct gatherer *gatherer)
{
    for (size_t i = 0; i < gatherer->ntasks; i++) {
        coro_task_cancel(gatherer->tasks[i]);
        task_end(gatherer->tasks[i]);
    }
}

/* --- results ------------------------------------------------------------- */

static int results_come_in_the_order_of_arguments(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 3, .result = 1},
                         {.delay_ms = 1, .result = 2},
                         {.delay_ms = 2, .result = 3}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 3);
    expect_that(gather_now(&gatherer, CORO_NEVER) == 0);
    for (int i = 0; i < 3; i++)
        expect_that(gatherer.results[i] == i + 1);
    gatherer_release(&gatherer);
    return 0;
}

static int gathering_nothing_gives_nothing(void *argument)
{
    (void)argument;
    expect_that(coro_gather(NULL, 0, CORO_RAISE_ERRORS, 0, NULL) == 0);
    expect_that(coro_gather(NULL, 0, CORO_RETURN_ERRORS, CORO_NEVER, NULL) ==
                0);
    return 0;
}

static int a_task_that_is_given_twice_runs_once(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = 2, .result = 2}};
    struct gatherer gatherer = {.ntasks = 0};
    gatherer_naps(&gatherer, naps, 2);
    struct coro_task *tasks[] = {gatherer.tasks[0], gatherer.tasks[0],
                                 gatherer.tasks[1], gatherer.tasks[0]};
    int results[4];
    /* While they run, and again when they have ended. */
    for (int round = 0; round < 2; round++) {
        expect_that(
            coro_gather(tasks, 4, CORO_RAISE_ERRORS, CORO_NEVER, results) == 0);
        expect_that(results[0] == 1 && results[1] == 1);
        expect_that(results[2] == 2 && results[3] == 1);
    }
    gatherer_release(&gatherer);
    return 0;
}

static int a_task_that_gathers_itself_is_refused(void *argument)
{
    (void)argument;
    struct coro_task *tasks[] = {coro_task_current()};
    expect_that(coro_gather(tasks, 1, CORO_RETURN_ERRORS, CORO_NEVER, NULL) ==
                -EDEADLK);
    return 0;
}

static int the_same_tasks_can_be_gathered_by_two(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = 2, .result = 2}};
    struct gatherer first = {.ntasks = 0};
    gatherer_naps(&first, naps, 2);
    struct gatherer second = first;
    struct coro_task *one = task_start(gather_them, &first);
    struct coro_task *two = task_start(gather_them, &second);
    expect_that(task_end(one) == 0 && task_end(two) == 0);
    expect_that(first.results[1] == 2 && second.results[1] == 2);
    gatherer_release(&first);
    return 0;
}

/* --- failures ------------------------------------------------------------ */

static int the_first_failure_is_raised_and_the_others_go_on(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 50, .result = 1},
                         {.delay_ms = 1, .result = -EIO},
                         {.delay_ms = 20, .result = -EPIPE}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 3);
    expect_that(gather_now(&gatherer, CORO_NEVER) == -EIO);
    expect_that(gatherer.results[0] == -EINPROGRESS);
    expect_that(gatherer.results[1] == -EIO);
    expect_that(coro_await(gatherer.tasks[0], CORO_NEVER) == 1);
    expect_that(naps[0].ncancelled == 0 && naps[2].ncancelled == 0);
    gatherer_release(&gatherer);
    return 0;
}

static int of_failures_in_one_turn_the_first_is_raised(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = -EIO},
                         {.delay_ms = 1, .result = -EPIPE}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 2);
    expect_that(gather_now(&gatherer, CORO_NEVER) == -EIO);
    gatherer_release(&gatherer);
    return 0;
}

static int with_return_errors_all_are_collected(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 1},
                         {.delay_ms = 3, .result = -EIO},
                         {.delay_ms = 2, .result = -EPIPE},
                         {.delay_ms = CORO_NEVER}};
    struct gatherer gatherer = {.errors = CORO_RETURN_ERRORS};
    gatherer_naps(&gatherer, naps, 4);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    task_settle();
    coro_task_cancel(gatherer.tasks[3]);
    expect_that(task_end(outer) == 0);
    const int expected[] = {1, -EIO, -EPIPE, -ECANCELED};
    for (int i = 0; i < 4; i++)
        expect_that(gatherer.results[i] == expected[i]);
    gatherer_release(&gatherer);
    return 0;
}

static int a_cancelled_child_is_that_childs_error(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = CORO_NEVER}, {.delay_ms = CORO_NEVER}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 2);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    task_settle();
    coro_task_cancel(gatherer.tasks[0]);
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(gatherer.next == 0); /* The gatherer itself was not. */
    expect_that(naps[1].ncancelled == 0);
    gatherer_release(&gatherer);
    return 0;
}

/* --- leaving early ------------------------------------------------------- */

static int cancelling_a_gather_cancels_all_children(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = CORO_NEVER, .cleaning_ms = 2},
                         {.delay_ms = CORO_NEVER},
                         {.delay_ms = 0, .result = 3}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 3);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    task_settle();
    coro_task_cancel(outer);
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(gatherer.next == 0);
    expect_that(naps[0].has_ended && naps[1].has_ended); /* Awaited. */
    expect_that(gatherer.results[0] == -ECANCELED);
    expect_that(gatherer.results[1] == -ECANCELED);
    expect_that(gatherer.results[2] == 3);
    gatherer_release(&gatherer);
    return 0;
}

static int cancelling_a_gather_again_cancels_who_is_left_again(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = CORO_NEVER, .cleaning_ms = 5},
                         {.delay_ms = CORO_NEVER}};
    struct gatherer gatherer = {.errors = CORO_RETURN_ERRORS};
    gatherer_naps(&gatherer, naps, 2);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    for (int i = 0; i < 2; i++) {
        task_settle();
        coro_task_cancel(outer);
    }
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(naps[0].has_ended && naps[0].ncancelled == 2);
    gatherer_release(&gatherer);
    return 0;
}

static int a_gather_cancelled_in_the_turn_of_its_last_result_has_it(
    void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = CORO_NEVER, .when_cancelled = 42}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 1);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    task_settle();
    coro_task_cancel(gatherer.tasks[0]);
    while (!coro_task_is_done(gatherer.tasks[0]))
        coro_relax();
    expect_that(!coro_task_is_done(outer)); /* But it was woken. */
    coro_task_cancel(outer);
    expect_that(task_end(outer) == 0);
    expect_that(gatherer.results[0] == 42 && gatherer.next == -ECANCELED);
    gatherer_release(&gatherer);
    return 0;
}

static int a_late_gather_cancels_nothing(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 0, .result = 1},
                         {.delay_ms = 30, .result = 2}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 2);
    expect_that(gather_now(&gatherer, coro_after(1)) == -ETIMEDOUT);
    expect_that(gatherer.results[0] == 1);
    expect_that(gatherer.results[1] == -EINPROGRESS);
    expect_that(gather_now(&gatherer, CORO_NEVER) == 0);
    expect_that(gatherer.results[1] == 2);
    expect_that(gather_now(&gatherer, 0) == 0); /* What is done is not late. */
    gatherer_release(&gatherer);
    return 0;
}

static int shield_a_task(void *argument)
{
    return coro_shield(argument, CORO_NEVER);
}

static int a_shielded_gather_goes_on(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 10, .result = 1},
                         {.delay_ms = 10, .result = 2}};
    struct gatherer gatherer = {.errors = CORO_RAISE_ERRORS};
    gatherer_naps(&gatherer, naps, 2);
    struct coro_task *gather = task_start(gather_them, &gatherer);
    struct coro_task *outer = task_start(shield_a_task, gather);
    task_settle();
    coro_task_cancel(outer);
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(task_end(gather) == 0);
    expect_that(gatherer.results[0] == 1 && gatherer.results[1] == 2);
    gatherer_release(&gatherer);
    return 0;
}

static int shielded_children_of_a_cancelled_gather_go_on(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 10, .result = 1};
    struct coro_task *child = nap_start(&nap);
    struct gatherer gatherer = {.ntasks = 1};
    gatherer.tasks[0] = task_start(shield_a_task, child);
    struct coro_task *outer = task_start(gather_them, &gatherer);
    task_settle();
    coro_task_cancel(outer);
    expect_that(task_end(outer) == -ECANCELED);
    expect_that(gatherer.results[0] == -ECANCELED);
    expect_that(task_end(child) == 1 && nap.ncancelled == 0);
    gatherer_release(&gatherer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(results_come_in_the_order_of_arguments),
        task_test(gathering_nothing_gives_nothing),
        task_test(a_task_that_is_given_twice_runs_once),
        task_test(a_task_that_gathers_itself_is_refused),
        task_test(the_same_tasks_can_be_gathered_by_two),
        task_test(the_first_failure_is_raised_and_the_others_go_on),
        task_test(of_failures_in_one_turn_the_first_is_raised),
        task_test(with_return_errors_all_are_collected),
        task_test(a_cancelled_child_is_that_childs_error),
        task_test(cancelling_a_gather_cancels_all_children),
        task_test(cancelling_a_gather_again_cancels_who_is_left_again),
        task_test(a_gather_cancelled_in_the_turn_of_its_last_result_has_it),
        task_test(a_late_gather_cancels_nothing),
        task_test(a_shielded_gather_goes_on),
        task_test(shielded_children_of_a_cancelled_gather_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
