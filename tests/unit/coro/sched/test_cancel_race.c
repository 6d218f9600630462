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
#include "coro/sched/schedule.h"
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

/* --- together with a result ---------------------------------------------- */

static int take_value(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_future_wait(&scene->future, CORO_NEVER);
    scene->status[1] = coro_future_status(&scene->future);
    scene->status[2] = coro_relax();
    return 5;
}

static int set_then_cancel(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, take_value);
    coro_relax();
    coro_future_set(&scene->future, 42, NULL);
    scene->flag[0] = coro_task_cancel(scene->victim);
    return bury_victim(scene);
}

static void one_in_the_turn_of_the_result_loses_neither(void **state)
{
    (void)state;
    struct scene scene;
    run(set_then_cancel, &scene);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], 42);
    assert_int_equal(scene.status[2], -ECANCELED);
    assert_int_equal(scene.result, 5);
}

static int cancel_then_set(void *argument)
{
    struct scene *scene = argument;
    spawn_victim(scene, take_value);
    coro_relax();
    coro_task_cancel(scene->victim);
    coro_future_set(&scene->future, 42, NULL);
    return bury_victim(scene);
}

static void one_that_comes_before_the_result_is_seen_and_the_result_is_there(
    void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_then_set, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], 42);
    assert_int_equal(scene.status[2], 0);
}

static int sleep_for_an_hour(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_sleep(3600 * 1000);
    scene->status[1] = coro_relax();
    return 0;
}

static int cancel_at_the_deadline(void *argument)
{
    struct scene *scene = argument;
    struct coro_loop *loop = coro_loop_current();
    spawn_victim(scene, sleep_for_an_hour);
    coro_relax();
    /* The wheel is turned by hand: the victim's timer fires now. */
    coro_wheel_advance(&loop->wheel, loop->wheel.now_ms + 3601 * 1000);
    scene->flag[0] = coro_task_cancel(scene->victim);
    return bury_victim(scene);
}

static void one_in_the_turn_of_a_timer_is_not_lost(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_at_the_deadline, &scene);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_in_the_turn_of_the_result_loses_neither),
        cmocka_unit_test(
            one_that_comes_before_the_result_is_seen_and_the_result_is_there),
        cmocka_unit_test(one_in_the_turn_of_a_timer_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
