#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/gather.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "tests/support/task_test.h"

#define NTASKS 3

/* The tasks that a scenario waits for. */
struct crowd {
    struct coro_task *tasks[NTASKS];
};

static void crowd_start(struct crowd *crowd, struct nap naps[NTASKS])
{
    for (int i = 0; i < NTASKS; i++)
        crowd->tasks[i] = nap_start(&naps[i]);
}

static int crowd_wait(struct crowd *crowd, enum coro_wait_until until,
                      int64_t deadline_ms)
{
    return coro_wait(crowd->tasks, NTASKS, until, deadline_ms);
}

/* Which have ended, one bit each. */
static unsigned crowd_done(const struct crowd *crowd)
{
    unsigned done = 0;
    for (unsigned i = 0; i < NTASKS; i++)
        done |= (unsigned)coro_task_is_done(crowd->tasks[i]) << i;
    return done;
}

static void crowd_end(struct crowd *crowd)
{
    for (int i = 0; i < NTASKS; i++) {
        coro_task_cancel(crowd->tasks[i]);
        task_end(crowd->tasks[i]);
    }
}

/* --- the conditions ------------------------------------------------------ */

static int all_completed_means_whatever_their_results_are(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {{.delay_ms = 2, .result = 1},
                               {.delay_ms = 1, .result = -EIO},
                               {.delay_ms = 3, .result = 2}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    /* The second time it need not wait. */
    for (int i = 0; i < 2; i++) {
        expect_that(crowd_wait(&crowd, CORO_ALL_COMPLETED, CORO_NEVER) == 0);
        expect_that(crowd_done(&crowd) == 7);
    }
    expect_that(coro_task_result(crowd.tasks[1]) == -EIO);
    crowd_end(&crowd);
    return 0;
}

static int first_completed_leaves_the_others_running(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {
        {.delay_ms = CORO_NEVER}, {.delay_ms = 1}, {.delay_ms = CORO_NEVER}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_FIRST_COMPLETED, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 2);
    crowd_end(&crowd);
    return 0;
}

static int who_ends_in_the_turn_of_the_first_counts_as_well(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {
        {.delay_ms = 1}, {.delay_ms = 1}, {.delay_ms = CORO_NEVER}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_FIRST_COMPLETED, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 3);
    crowd_end(&crowd);
    return 0;
}

static int first_error_comes_with_the_first_failure(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {{.delay_ms = 0, .result = 1},
                               {.delay_ms = 2, .result = -EIO},
                               {.delay_ms = CORO_NEVER}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_FIRST_ERROR, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 3);
    /* One that has failed already is seen at once. */
    expect_that(crowd_wait(&crowd, CORO_FIRST_ERROR, 0) == 0);
    crowd_end(&crowd);
    return 0;
}

static int without_an_error_first_error_means_all(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {{.delay_ms = 2}, {.delay_ms = 1}, {0}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_FIRST_ERROR, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 7);
    crowd_end(&crowd);
    return 0;
}

static int a_cancelled_task_is_a_failure_but_no_error(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {
        {.delay_ms = CORO_NEVER}, {.delay_ms = 20}, {.delay_ms = 20}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    task_settle();
    coro_task_cancel(crowd.tasks[0]);
    expect_that(crowd_wait(&crowd, CORO_FIRST_FAILURE, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 1);
    expect_that(crowd_wait(&crowd, CORO_FIRST_ERROR, CORO_NEVER) == 0);
    expect_that(crowd_done(&crowd) == 7);
    crowd_end(&crowd);
    return 0;
}

/* --- deadlines, cancelling, odd arguments -------------------------------- */

static int a_late_wait_shows_both_sets_and_cancels_nothing(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {{.delay_ms = 1, .result = 1},
                               {.delay_ms = 60, .result = 2},
                               {.delay_ms = CORO_NEVER}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_ALL_COMPLETED, coro_after(20)) ==
                -ETIMEDOUT);
    expect_that(crowd_done(&crowd) == 1);
    expect_that(naps[1].ncancelled == 0 && naps[2].ncancelled == 0);
    coro_task_cancel(crowd.tasks[2]);
    expect_that(crowd_wait(&crowd, CORO_ALL_COMPLETED, CORO_NEVER) == 0);
    expect_that(coro_task_result(crowd.tasks[1]) == 2);
    crowd_end(&crowd);
    return 0;
}

static int a_wait_with_no_time_left_looks_once(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {
        {.delay_ms = 0}, {.delay_ms = CORO_NEVER}, {.delay_ms = CORO_NEVER}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    expect_that(crowd_wait(&crowd, CORO_FIRST_COMPLETED, 0) == -ETIMEDOUT);
    task_settle();
    expect_that(crowd_wait(&crowd, CORO_FIRST_COMPLETED, 0) == 0);
    expect_that(crowd_wait(&crowd, CORO_ALL_COMPLETED, 0) == -ETIMEDOUT);
    crowd_end(&crowd);
    return 0;
}

struct late_wait {
    struct coro_task *task;
    int64_t deadline_ms;
};

static int wait_late(void *argument)
{
    struct late_wait *wait = argument;
    return coro_wait(&wait->task, 1, CORO_ALL_COMPLETED, wait->deadline_ms);
}

static int an_end_in_the_turn_of_the_deadline_counts(void *argument)
{
    (void)argument;
    struct coro_loop *loop = coro_loop_current();
    struct nap nap = {.delay_ms = CORO_NEVER, .when_cancelled = 1};
    struct late_wait wait = {
        .task = nap_start(&nap),
        .deadline_ms = coro_loop_now_ms(loop) + 3600000,
    };
    struct coro_task *waiter = task_start(wait_late, &wait);
    task_settle();
    /* The task is made ready, and will end, before the waiter is late. */
    coro_task_cancel(wait.task);
    coro_wheel_advance(&loop->wheel, wait.deadline_ms + 1);
    expect_that(task_end(waiter) == 0);
    expect_that(task_end(wait.task) == 1);
    return 0;
}

static int wait_for_all(void *argument)
{
    return crowd_wait(argument, CORO_ALL_COMPLETED, CORO_NEVER);
}

static int a_cancelled_wait_leaves_the_tasks_alone(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {{.delay_ms = 200, .result = 1},
                               {.delay_ms = 200, .result = 2},
                               {.delay_ms = 200, .result = 3}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    struct coro_task *waiter = task_start(wait_for_all, &crowd);
    task_settle();
    coro_task_cancel(waiter);
    expect_that(task_end(waiter) == -ECANCELED);
    expect_that(crowd_done(&crowd) == 0);
    expect_that(wait_for_all(&crowd) == 0);
    for (int i = 0; i < NTASKS; i++)
        expect_that(coro_task_result(crowd.tasks[i]) == i + 1);
    crowd_end(&crowd);
    return 0;
}

static int a_task_that_is_given_twice_is_waited_for_once(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1, .result = 1};
    struct coro_task *task = nap_start(&nap);
    struct coro_task *tasks[] = {task, task, task};
    expect_that(coro_wait(tasks, 3, CORO_ALL_COMPLETED, CORO_NEVER) == 0);
    expect_that(coro_wait(tasks, 3, CORO_ALL_COMPLETED, CORO_NEVER) == 0);
    expect_that(task_end(task) == 1);
    return 0;
}

static int waiting_for_nothing_is_refused(void *argument)
{
    (void)argument;
    expect_that(coro_wait(NULL, 0, CORO_ALL_COMPLETED, CORO_NEVER) == -EINVAL);
    expect_that(coro_wait(NULL, 0, CORO_FIRST_COMPLETED, 0) == -EINVAL);
    return 0;
}

static int several_can_wait_for_the_same_tasks(void *argument)
{
    (void)argument;
    struct nap naps[NTASKS] = {
        {.delay_ms = 200}, {.delay_ms = 100}, {.delay_ms = 300}};
    struct crowd crowd;
    crowd_start(&crowd, naps);
    struct coro_task *waiters[4];
    for (int i = 0; i < 4; i++)
        waiters[i] = task_start(wait_for_all, &crowd);
    task_settle();
    coro_task_cancel(waiters[1]);
    for (int i = 0; i < 4; i++)
        expect_that(task_end(waiters[i]) == (i == 1 ? -ECANCELED : 0));
    crowd_end(&crowd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(all_completed_means_whatever_their_results_are),
        task_test(first_completed_leaves_the_others_running),
        task_test(who_ends_in_the_turn_of_the_first_counts_as_well),
        task_test(first_error_comes_with_the_first_failure),
        task_test(without_an_error_first_error_means_all),
        task_test(a_cancelled_task_is_a_failure_but_no_error),
        task_test(a_late_wait_shows_both_sets_and_cancels_nothing),
        task_test(a_wait_with_no_time_left_looks_once),
        task_test(an_end_in_the_turn_of_the_deadline_counts),
        task_test(a_cancelled_wait_leaves_the_tasks_alone),
        task_test(a_task_that_is_given_twice_is_waited_for_once),
        task_test(waiting_for_nothing_is_refused),
        task_test(several_can_wait_for_the_same_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
