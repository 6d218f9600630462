#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "coro/sched/timeout.h"
#include "tests/support/task_test.h"

/* Has every timer up to @deadline_ms fire now, as when the loop was busy. */
static void pass_time_until(int64_t deadline_ms)
{
    coro_wheel_advance(&coro_loop_current()->wheel, deadline_ms + 1);
}

/* --- one limit ----------------------------------------------------------- */

static int work_that_takes_too_long_ends_with_a_time_out(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(2));
    int status = coro_sleep_until(CORO_NEVER);
    expect_that(status == -ECANCELED); /* This is what the work sees. */
    expect_that(coro_timeout_end(&limit, status) == -ETIMEDOUT);
    expect_that(coro_timeout_has_expired(&limit));
    return 0;
}

static int a_limit_leaves_no_cancellation_behind(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(1));
    coro_timeout_end(&limit, coro_sleep_until(CORO_NEVER));
    expect_that(coro_task_ncancels(coro_task_current()) == 0);
    expect_that(coro_relax() == 0);
    return 0;
}

static int work_that_is_done_in_time_is_not_disturbed(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    int64_t deadline_ms = coro_after(60000);
    coro_timeout_begin(&limit, deadline_ms);
    expect_that(coro_timeout_deadline_ms(&limit) == deadline_ms);
    expect_that(coro_timeout_end(&limit, 42 + coro_sleep(1)) == 42);
    expect_that(!coro_timeout_has_expired(&limit));
    pass_time_until(deadline_ms);
    expect_that(coro_relax() == 0);
    return 0;
}

static int a_limit_may_be_none(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, CORO_NEVER);
    expect_that(coro_timeout_end(&limit, coro_sleep(1)) == 0);
    expect_that(coro_timeout_deadline_ms(&limit) == CORO_NEVER);
    expect_that(!coro_timeout_has_expired(&limit));
    return 0;
}

static int a_limit_that_has_passed_acts_at_the_next_suspension(void *argument)
{
    (void)argument;
    const int64_t passed_ms[] = {coro_now_ms(), coro_now_ms() - 11000, 0};
    for (int i = 0; i < 3; i++) {
        struct coro_timeout limit;
        coro_timeout_begin(&limit, passed_ms[i]);
        expect_that(coro_timeout_end(&limit, coro_relax()) == -ETIMEDOUT);
        expect_that(coro_timeout_deadline_ms(&limit) == passed_ms[i]);
        coro_timeout_begin(&limit, passed_ms[i]);
        expect_that(coro_timeout_end(&limit, coro_sleep(10000)) == -ETIMEDOUT);
    }
    return 0;
}

static int work_that_never_suspends_is_never_late(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, 0);
    expect_that(coro_timeout_end(&limit, 42) == 42);
    expect_that(coro_timeout_has_expired(&limit));
    expect_that(coro_relax() == 0);
    return 0;
}

static int other_errors_pass_through(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(60000));
    expect_that(coro_timeout_end(&limit, -EIO) == -EIO);
    coro_timeout_begin(&limit, coro_after(1));
    expect_that(coro_sleep_until(CORO_NEVER) == -ECANCELED);
    expect_that(coro_timeout_end(&limit, -EPIPE) == -EPIPE);
    expect_that(coro_relax() == 0);
    return 0;
}

static int a_limit_can_be_moved_until_it_has_expired(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(1));
    expect_that(coro_timeout_move(&limit, CORO_NEVER) == 0);
    expect_that(coro_timeout_deadline_ms(&limit) == CORO_NEVER);
    expect_that(coro_sleep(5) == 0);
    expect_that(coro_timeout_move(&limit, coro_after(1)) == 0);
    expect_that(coro_sleep_until(CORO_NEVER) == -ECANCELED);
    expect_that(coro_timeout_move(&limit, coro_after(60000)) == -ETIMEDOUT);
    expect_that(coro_timeout_end(&limit, -ECANCELED) == -ETIMEDOUT);
    return 0;
}

static int time_out_and_end(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(1));
    int status = coro_timeout_end(&limit, coro_sleep_until(CORO_NEVER));
    return status == -ETIMEDOUT ? 5 : -1;
}

static int a_task_that_timed_out_was_not_cancelled(void *argument)
{
    struct coro_task *task = task_start(time_out_and_end, argument);
    expect_that(coro_task_wait(task, CORO_NEVER, NULL) == 0);
    expect_that(!coro_task_is_cancelled(task));
    expect_that(task_end(task) == 5);
    return 0;
}

/* --- a limit and a cancellation ------------------------------------------ */

static int a_cancellation_from_outside_is_no_time_out(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(60000));
    coro_task_cancel(coro_task_current());
    int status = coro_sleep_until(CORO_NEVER);
    expect_that(coro_timeout_end(&limit, status) == -ECANCELED);
    expect_that(!coro_timeout_has_expired(&limit));
    return 0;
}

struct limited {
    int64_t deadline_ms;
    int status;
};

static int sleep_within_limit(void *argument)
{
    struct limited *limited = argument;
    struct coro_timeout limit;
    coro_timeout_begin(&limit, limited->deadline_ms);
    limited->status = coro_timeout_end(&limit, coro_sleep_until(CORO_NEVER));
    return 0;
}

static int a_time_out_and_a_cancellation_at_once_are_told_apart(void *argument)
{
    (void)argument;
    /* The cancellation is stronger, whichever came first. */
    for (int is_first = 0; is_first < 2; is_first++) {
        struct limited limited = {
            .deadline_ms = coro_loop_now_ms(coro_loop_current()) + 3600000};
        struct coro_task *task = task_start(sleep_within_limit, &limited);
        task_settle();
        if (is_first)
            coro_task_cancel(task);
        pass_time_until(limited.deadline_ms);
        if (!is_first)
            coro_task_cancel(task);
        task_end(task);
        expect_that(limited.status == -ECANCELED);
    }
    return 0;
}

static int one_that_was_cancelled_before_the_limit_stays_so(void *argument)
{
    (void)argument;
    struct coro_timeout limit;
    coro_task_cancel(coro_task_current());
    coro_timeout_begin(&limit, 0);
    expect_that(coro_timeout_end(&limit, coro_relax()) == -ECANCELED);

    coro_task_cancel(coro_task_current());
    coro_timeout_begin(&limit, 0);
    expect_that(coro_timeout_end(&limit, 0) == 0);
    expect_that(coro_relax() == -ECANCELED);
    return 0;
}

/* --- nested limits ------------------------------------------------------- */

static int of_nested_limits_the_nearest_ends_first(void *argument)
{
    (void)argument;
    struct coro_timeout outer, inner;
    coro_timeout_begin(&outer, coro_after(60000));
    coro_timeout_begin(&inner, coro_after(1));
    int status = coro_timeout_end(&inner, coro_sleep_until(CORO_NEVER));
    expect_that(status == -ETIMEDOUT);
    expect_that(coro_timeout_end(&outer, 0) == 0);

    coro_timeout_begin(&outer, coro_after(1));
    coro_timeout_begin(&inner, coro_after(60000));
    status = coro_timeout_end(&inner, coro_sleep_until(CORO_NEVER));
    expect_that(status == -ECANCELED); /* It was not the inner one's time. */
    expect_that(coro_timeout_end(&outer, status) == -ETIMEDOUT);
    return 0;
}

static int nested_limits_that_expire_at_once_act_as_the_outer(void *argument)
{
    (void)argument;
    struct coro_timeout outer, inner;
    coro_timeout_begin(&outer, 0);
    coro_timeout_begin(&inner, 0);
    int status = coro_timeout_end(&inner, coro_sleep_until(CORO_NEVER));
    expect_that(status == -ECANCELED);
    expect_that(coro_timeout_end(&outer, status) == -ETIMEDOUT);
    expect_that(coro_relax() == 0);
    return 0;
}

static int an_outer_limit_acts_after_the_inner_one_has(void *argument)
{
    (void)argument;
    struct coro_timeout outer, inner;
    coro_timeout_begin(&outer, coro_after(20));
    coro_timeout_begin(&inner, coro_after(1));
    int status = coro_timeout_end(&inner, coro_sleep_until(CORO_NEVER));
    expect_that(status == -ETIMEDOUT);
    status = coro_sleep_until(CORO_NEVER);
    expect_that(coro_timeout_end(&outer, status) == -ETIMEDOUT);
    return 0;
}

static int the_clean_up_after_a_time_out_can_have_a_limit(void *argument)
{
    (void)argument;
    struct coro_timeout outer, inner;
    coro_timeout_begin(&outer, coro_after(1));
    int status = coro_sleep_until(CORO_NEVER);
    coro_timeout_begin(&inner, coro_after(1));
    expect_that(coro_timeout_end(&inner, coro_sleep_until(CORO_NEVER)) ==
                -ETIMEDOUT);
    expect_that(coro_timeout_end(&outer, status) == -ETIMEDOUT);
    expect_that(coro_relax() == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(work_that_takes_too_long_ends_with_a_time_out),
        task_test(a_limit_leaves_no_cancellation_behind),
        task_test(work_that_is_done_in_time_is_not_disturbed),
        task_test(a_limit_may_be_none),
        task_test(a_limit_that_has_passed_acts_at_the_next_suspension),
        task_test(work_that_never_suspends_is_never_late),
        task_test(other_errors_pass_through),
        task_test(a_limit_can_be_moved_until_it_has_expired),
        task_test(a_task_that_timed_out_was_not_cancelled),
        task_test(a_cancellation_from_outside_is_no_time_out),
        task_test(a_time_out_and_a_cancellation_at_once_are_told_apart),
        task_test(one_that_was_cancelled_before_the_limit_stays_so),
        task_test(of_nested_limits_the_nearest_ends_first),
        task_test(nested_limits_that_expire_at_once_act_as_the_outer),
        task_test(an_outer_limit_acts_after_the_inner_one_has),
        task_test(the_clean_up_after_a_time_out_can_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
