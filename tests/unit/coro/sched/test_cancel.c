#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "coro/sched/task.h"

/* What a scenario saw; the victim is the task that is cancelled. */
struct scene {
    struct coro_future future;
    struct coro_task *victim;
    int status[8];
    int nsteps;
    bool flag[8];
    int result;
};

/* Runs @scenario; the scene's result is the victim's. */
static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    coro_future_init(&scene->future);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
}

static void spawn_victim(struct scene *scene, coro_task_fn *function)
{
    coro_spawn(coro_loop_current(), function, scene, NULL, &scene->victim);
}

/* Waits for the victim's end and keeps its result. */
static int bury_victim(struct scene *scene)
{
    int status = coro_task_wait(scene->victim, CORO_NEVER, &scene->result);
    coro_task_unref(scene->victim);
    return status;
}

/* --- before the first step ----------------------------------------------- */

static int count_step(void *argument)
{
    struct scene *scene = argument;
    scene->nsteps++;
    return 5;
}

static int cancel_at_once(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, count_step);
    scene->flag[0] = coro_task_cancel(scene->victim);
    scene->flag[1] = coro_task_is_cancelling(scene->victim);
    return bury_victim(scene);
}

static void a_task_cancelled_before_its_first_step_never_runs(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_at_once, &scene);
    assert_true(scene.flag[0]);
    assert_true(scene.flag[1]);
    assert_int_equal(scene.nsteps, 0);
    assert_int_equal(scene.result, -ECANCELED);
}

static int cancel_and_uncancel_at_once(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, count_step);
    coro_task_cancel(scene->victim);
    scene->flag[0] = coro_task_uncancel(scene->victim);
    scene->flag[1] = coro_task_uncancel(scene->victim);
    return bury_victim(scene);
}

static void a_cancellation_can_be_taken_back_before_it_is_seen(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_and_uncancel_at_once, &scene);
    assert_true(scene.flag[0]);
    assert_false(scene.flag[1]);
    assert_int_equal(scene.nsteps, 1);
    assert_int_equal(scene.result, 5);
}

/* --- while waiting ------------------------------------------------------- */

static int wait_four_times(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_future_wait(&scene->future, CORO_NEVER);
    scene->nsteps++;
    scene->status[1] = coro_sleep(1);
    scene->status[2] = coro_relax();
    scene->status[3] = coro_future_wait(&scene->future, coro_after(1));
    return 5;
}

static int cancel_waiting(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, wait_four_times);
    coro_relax();
    scene->flag[0] = coro_task_cancel(scene->victim);
    scene->flag[1] = coro_task_is_cancelling(scene->victim);
    scene->flag[2] = scene->nsteps == 0;
    return bury_victim(scene);
}

static void a_waiting_task_sees_it_where_it_waits(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_waiting, &scene);
    assert_true(scene.flag[0]);
    assert_true(scene.flag[2]);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_false(coro_future_is_done(&scene.future));
}

static void a_task_that_ignores_it_goes_on_and_has_its_own_result(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_waiting, &scene);
    assert_int_equal(scene.status[1], 0);
    assert_int_equal(scene.status[2], 0);
    assert_int_equal(scene.status[3], -ETIMEDOUT);
    assert_int_equal(scene.result, 5);
}

static int cancel_thrice(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, wait_four_times);
    coro_relax();
    for (int i = 0; i < 3; i++)
        scene->flag[i] = coro_task_cancel(scene->victim);
    return bury_victim(scene);
}

static void cancelling_again_in_the_same_turn_is_cancelling_once(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_thrice, &scene);
    for (int i = 0; i < 3; i++)
        assert_true(scene.flag[i]);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], 0);
    assert_int_equal(scene.status[2], 0);
}

static int cancel_each_wait(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, wait_four_times);
    for (int i = 0; i < 2; i++) {
        coro_relax();
        coro_task_cancel(scene->victim);
    }
    return bury_victim(scene);
}

static void cancelling_again_after_it_was_seen_is_another_one(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_each_wait, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], -ECANCELED);
    assert_int_equal(scene.status[2], 0);
}

static int sleep_long(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_sleep(3600 * 1000);
    return scene->status[0];
}

static int cancel_sleeper(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, sleep_long);
    coro_relax();
    coro_task_cancel(scene->victim);
    return bury_victim(scene);
}

static void a_sleeping_task_is_woken_by_it(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_sleeper, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.result, -ECANCELED);
}

/* --- after the end ------------------------------------------------------- */

static int cancel_ended(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, count_step);
    coro_relax();
    scene->flag[0] = coro_task_cancel(scene->victim);
    scene->flag[1] = coro_task_is_cancelling(scene->victim);
    return bury_victim(scene);
}

static void a_task_that_has_ended_can_not_be_cancelled(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_ended, &scene);
    assert_false(scene.flag[0]);
    assert_false(scene.flag[1]);
    assert_int_equal(scene.result, 5);
}

static int cancel_self_and_end(void *argument)
{
    struct scene *scene = argument;
    scene->flag[0] = coro_task_cancel(coro_task_current());
    return 5;
}

static int watch_self_canceller(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, cancel_self_and_end);
    coro_relax();
    scene->flag[1] = coro_task_is_cancelling(scene->victim);
    return bury_victim(scene);
}

static void a_task_that_ends_before_it_sees_it_was_not_cancelled(void **state)
{
    (void)state;
    struct scene scene;
    run(watch_self_canceller, &scene);
    assert_true(scene.flag[0]);
    assert_false(scene.flag[1]);
    assert_int_equal(scene.result, 5);
}

/* --- the running and the ready task -------------------------------------- */

static int cancel_self(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *self = coro_task_current();
    coro_task_cancel(self);
    coro_task_cancel(self);
    scene->flag[0] = coro_task_is_cancelling(self);
    scene->status[0] = coro_relax();
    scene->flag[1] = coro_task_is_cancelling(self);
    scene->status[1] = coro_relax();
    coro_task_cancel(self);
    scene->status[2] = coro_sleep(1);
    coro_task_cancel(self);
    scene->status[3] = coro_future_wait(&scene->future, CORO_NEVER);
    coro_task_cancel(self);
    scene->status[4] = coro_future_wait(&scene->future, 0);
    coro_task_cancel(self);
    scene->flag[2] = coro_task_uncancel(self);
    scene->status[5] = coro_sleep(1);
    return 0;
}

static void the_running_task_sees_it_at_its_next_suspension(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_self, &scene);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_false(scene.flag[1]);
    assert_int_equal(scene.status[1], 0);
    assert_int_equal(scene.status[2], -ECANCELED);
    assert_int_equal(scene.status[3], -ECANCELED);
    assert_int_equal(scene.status[4], -ECANCELED);
    assert_true(scene.flag[2]);
    assert_int_equal(scene.status[5], 0);
}

static int wait_for_done_when_cancelled(void *argument)
{
    struct scene *scene = argument;
    coro_future_set(&scene->future, 0, NULL);
    coro_task_cancel(coro_task_current());
    scene->status[0] = coro_future_wait(&scene->future, CORO_NEVER);
    scene->status[1] = coro_relax();
    return 0;
}

static void a_call_that_does_not_suspend_leaves_it_to_the_next(void **state)
{
    (void)state;
    struct scene scene;
    run(wait_for_done_when_cancelled, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], -ECANCELED);
}

static int relax_thrice(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++)
        scene->status[i] = coro_relax();
    return 0;
}

static int cancel_ready(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, relax_thrice);
    coro_relax();
    coro_task_cancel(scene->victim);
    coro_task_cancel(scene->victim);
    return bury_victim(scene);
}

static void a_ready_task_sees_it_once_and_at_its_next_suspension(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_ready, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], -ECANCELED);
    assert_int_equal(scene.status[2], 0);
}

/* --- whom it concerns ---------------------------------------------------- */

static int set_after_a_while(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_sleep(3);
    return 9;
}

static int wait_for_victim(void *argument)
{
    struct scene *scene = argument;
    scene->status[1] = coro_task_wait(scene->victim, CORO_NEVER, NULL);
    return 0;
}

static int cancel_the_waiter(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *waiter;
    spawn_victim(scene, set_after_a_while);
    coro_spawn(coro_loop_current(), wait_for_victim, scene, NULL, &waiter);
    coro_relax();
    coro_task_cancel(waiter);
    coro_task_wait(waiter, CORO_NEVER, NULL);
    coro_task_unref(waiter);
    return bury_victim(scene);
}

static void cancelling_who_waits_for_a_task_leaves_that_task_alone(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_the_waiter, &scene);
    assert_int_equal(scene.status[1], -ECANCELED);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.result, 9);
}

static int refuse_to_end(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++)
        scene->nsteps += coro_sleep_until(CORO_NEVER) == -ECANCELED;
    return 3;
}

static int cancel_until_it_ends(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, refuse_to_end);
    do
        coro_relax();
    while (coro_task_cancel(scene->victim));
    return bury_victim(scene);
}

static void each_cancellation_ends_one_wait(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_until_it_ends, &scene);
    assert_int_equal(scene.nsteps, 3);
    assert_int_equal(scene.result, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_cancelled_before_its_first_step_never_runs),
        cmocka_unit_test(a_cancellation_can_be_taken_back_before_it_is_seen),
        cmocka_unit_test(a_waiting_task_sees_it_where_it_waits),
        cmocka_unit_test(a_task_that_ignores_it_goes_on_and_has_its_own_result),
        cmocka_unit_test(cancelling_again_in_the_same_turn_is_cancelling_once),
        cmocka_unit_test(cancelling_again_after_it_was_seen_is_another_one),
        cmocka_unit_test(a_sleeping_task_is_woken_by_it),
        cmocka_unit_test(a_task_that_has_ended_can_not_be_cancelled),
        cmocka_unit_test(a_task_that_ends_before_it_sees_it_was_not_cancelled),
        cmocka_unit_test(the_running_task_sees_it_at_its_next_suspension),
        cmocka_unit_test(a_call_that_does_not_suspend_leaves_it_to_the_next),
        cmocka_unit_test(a_ready_task_sees_it_once_and_at_its_next_suspension),
        cmocka_unit_test(
            cancelling_who_waits_for_a_task_leaves_that_task_alone),
        cmocka_unit_test(each_cancellation_ends_one_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
