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

/* What a scenario saw: letters in the order of events, and some statuses. */
struct scene {
    struct coro_loop *loop;
    struct coro_future future;
    char trace[64];
    int status[8];
    int value;
};

static void note(struct scene *scene, const char *event)
{
    strcat(scene->trace, event);
}

static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    coro_future_init(&scene->future);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
}

/* A task of the scenario, known by a letter. */
struct waiter {
    struct scene *scene;
    const char *name;
    int64_t deadline_ms;
    int status;
};

static int wait_in_task(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status =
        coro_future_wait(&waiter->scene->future, waiter->deadline_ms);
    note(waiter->scene, waiter->name);
    return 0;
}

/* A callback of the scenario, known by a letter. */
struct call {
    struct coro_callback callback;
    struct scene *scene;
    const char *name;
};

static void on_call(struct coro_callback *callback)
{
    struct call *call = list_entry(callback, struct call, callback);
    note(call->scene, call->name);
}

static void add_call(struct call *call, struct scene *scene, const char *name)
{
    *call = (struct call){{.run = on_call}, scene, name};
    coro_future_add_callback(&scene->future, &call->callback);
}

/* --- setting ------------------------------------------------------------- */

static void a_new_future_is_in_progress(void **state)
{
    (void)state;
    struct coro_future future;
    coro_future_init(&future);
    assert_false(coro_future_is_done(&future));
    assert_int_equal(coro_future_status(&future), -EINPROGRESS);
}

static void a_future_holds_its_status_and_value(void **state)
{
    (void)state;
    struct coro_future future;
    int value = 5;
    coro_future_init(&future);
    assert_int_equal(coro_future_set(&future, 3, &value), 0);
    assert_true(coro_future_is_done(&future));
    assert_int_equal(coro_future_status(&future), 3);
    assert_ptr_equal(future.value, &value);
}

static void setting_twice_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct coro_future future;
    int value = 5;
    coro_future_init(&future);
    coro_future_set(&future, -EIO, &value);
    assert_int_equal(coro_future_set(&future, 0, NULL), -EALREADY);
    assert_int_equal(coro_future_status(&future), -EIO);
    assert_ptr_equal(future.value, &value);
}

/* --- waiting ------------------------------------------------------------- */

static int several_wait(void *argument)
{
    struct scene *scene = argument;
    struct waiter a = {scene, "a", CORO_NEVER, 1};
    struct waiter b = {scene, "b", CORO_NEVER, 1};
    struct waiter c = {scene, "c", CORO_NEVER, 1};
    coro_spawn(coro_loop_current(), wait_in_task, &b, NULL, NULL);
    coro_spawn(coro_loop_current(), wait_in_task, &a, NULL, NULL);
    coro_spawn(coro_loop_current(), wait_in_task, &c, NULL, NULL);
    coro_relax();
    note(scene, "(");
    coro_future_set(&scene->future, 0, NULL);
    note(scene, ")");
    coro_relax();
    scene->status[0] = a.status;
    scene->status[1] = b.status;
    scene->status[2] = c.status;
    return 0;
}

static void waiters_go_on_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct scene scene;
    run(several_wait, &scene);
    assert_string_equal(scene.trace, "()bac");
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], 0);
}

static int wait_for_done(void *argument)
{
    struct scene *scene = argument;
    coro_future_set(&scene->future, -EIO, NULL);
    scene->status[0] = coro_future_wait(&scene->future, CORO_NEVER);
    scene->status[1] = coro_future_wait(&scene->future, 0);
    scene->status[2] = coro_future_wait(&scene->future, INT64_MIN);
    return 0;
}

static void a_done_future_is_never_late(void **state)
{
    (void)state;
    struct scene scene;
    run(wait_for_done, &scene);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], 0);
}

static int wait_for_pending(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_future_wait(&scene->future, 0);
    scene->status[1] = coro_future_wait(&scene->future, INT64_MIN);
    int64_t deadline_ms = coro_after(3);
    scene->status[2] = coro_future_wait(&scene->future, deadline_ms);
    scene->value = coro_now_ms() >= deadline_ms;
    scene->status[3] = coro_future_status(&scene->future);
    return 0;
}

static void a_pending_future_is_late_at_the_deadline_and_not_before(
    void **state)
{
    (void)state;
    struct scene scene;
    run(wait_for_pending, &scene);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], -ETIMEDOUT);
    assert_true(scene.value);
    assert_int_equal(scene.status[3], -EINPROGRESS);
}

static int set_after_time_out(void *argument)
{
    struct scene *scene = argument;
    struct waiter a = {scene, "a", coro_after(2), 1};
    struct waiter b = {scene, "b", CORO_NEVER, 1};
    coro_spawn(coro_loop_current(), wait_in_task, &a, NULL, NULL);
    coro_spawn(coro_loop_current(), wait_in_task, &b, NULL, NULL);
    while (a.status == 1)
        coro_sleep(1);
    coro_future_set(&scene->future, 0, NULL);
    coro_relax();
    scene->status[0] = a.status;
    scene->status[1] = b.status;
    return 0;
}

static void a_waiter_that_gave_up_is_not_woken_again(void **state)
{
    (void)state;
    struct scene scene;
    run(set_after_time_out, &scene);
    assert_string_equal(scene.trace, "ab");
    assert_int_equal(scene.status[0], -ETIMEDOUT);
    assert_int_equal(scene.status[1], 0);
}

static int sleep_and_set(void *argument)
{
    struct waiter *setter = argument;
    coro_sleep_until(setter->deadline_ms);
    setter->status = coro_future_set(&setter->scene->future, 7, NULL);
    return 0;
}

/* Both timers fire in the same turn, before any task runs in it; of the tasks
 * the setter comes first. So the deadline comes before the result, but the
 * waiter runs after both. The wheel is turned by hand. */
static int set_in_the_turn_of_the_deadline(void *argument)
{
    struct scene *scene = argument;
    struct coro_loop *loop = coro_loop_current();
    int64_t deadline_ms = coro_after(3600 * 1000);
    struct waiter setter = {scene, "", deadline_ms, 1};
    struct waiter waiter = {scene, "a", deadline_ms, 1};
    coro_spawn(loop, sleep_and_set, &setter, NULL, NULL);
    coro_spawn(loop, wait_in_task, &waiter, NULL, NULL);
    coro_relax();
    coro_wheel_advance(&loop->wheel, deadline_ms);
    while (coro_loop_ntasks(loop) > 1)
        coro_relax();
    scene->status[0] = waiter.status;
    scene->status[1] = coro_future_status(&scene->future);
    return 0;
}

static void a_future_set_in_the_turn_of_the_deadline_is_not_late(void **state)
{
    (void)state;
    struct scene scene;
    run(set_in_the_turn_of_the_deadline, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], 7);
}

/* --- callbacks ----------------------------------------------------------- */

static int call_back(void *argument)
{
    struct scene *scene = argument;
    struct call b, a, c;
    add_call(&b, scene, "b");
    add_call(&a, scene, "a");
    add_call(&c, scene, "c");
    note(scene, "(");
    coro_future_set(&scene->future, 0, NULL);
    note(scene, ")");
    coro_relax();
    return 0;
}

static void callbacks_come_in_order_and_never_inside_the_setter(void **state)
{
    (void)state;
    struct scene scene;
    run(call_back, &scene);
    assert_string_equal(scene.trace, "()bac");
}

static int add_to_done(void *argument)
{
    struct scene *scene = argument;
    struct call a;
    coro_future_set(&scene->future, 0, NULL);
    note(scene, "(");
    add_call(&a, scene, "a");
    note(scene, ")");
    coro_relax();
    return 0;
}

static void a_callback_added_to_a_done_future_comes_in_the_next_pass(
    void **state)
{
    (void)state;
    struct scene scene;
    run(add_to_done, &scene);
    assert_string_equal(scene.trace, "()a");
}

static int remove_calls(void *argument)
{
    struct scene *scene = argument;
    struct coro_future *future = &scene->future;
    struct call a, b, c, d;
    add_call(&a, scene, "a");
    add_call(&b, scene, "b");
    add_call(&c, scene, "c");
    add_call(&d, scene, "d");
    scene->status[0] = coro_future_remove_callback(future, &b.callback);
    scene->status[1] = coro_future_remove_callback(future, &b.callback);
    scene->status[2] = coro_future_remove_callback(future, &d.callback);
    coro_future_set(future, 0, NULL);
    scene->status[3] = coro_future_remove_callback(future, &a.callback);
    coro_relax();
    return 0;
}

static void a_removed_callback_is_not_called(void **state)
{
    (void)state;
    struct scene scene;
    run(remove_calls, &scene);
    assert_string_equal(scene.trace, "ac");
    assert_true(scene.status[0]);
    assert_false(scene.status[1]);
    assert_true(scene.status[2]);
    assert_false(scene.status[3]);
}

static void on_call_remove_itself(struct coro_callback *callback)
{
    struct call *call = list_entry(callback, struct call, callback);
    note(call->scene, call->name);
    call->scene->status[0] =
        coro_future_remove_callback(&call->scene->future, callback);
    call->scene->status[1] = coro_future_set(&call->scene->future, 0, NULL);
}

static int use_future_in_callback(void *argument)
{
    struct scene *scene = argument;
    struct call a;
    add_call(&a, scene, "a");
    a.callback.run = on_call_remove_itself;
    coro_future_set(&scene->future, 0, NULL);
    coro_relax();
    return 0;
}

static void a_callback_may_use_its_future(void **state)
{
    (void)state;
    struct scene scene;
    run(use_future_in_callback, &scene);
    assert_string_equal(scene.trace, "a");
    assert_false(scene.status[0]);
    assert_int_equal(scene.status[1], -EALREADY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_future_is_in_progress),
        cmocka_unit_test(a_future_holds_its_status_and_value),
        cmocka_unit_test(setting_twice_is_refused_and_changes_nothing),
        cmocka_unit_test(waiters_go_on_in_the_order_in_which_they_came),
        cmocka_unit_test(a_done_future_is_never_late),
        cmocka_unit_test(
            a_pending_future_is_late_at_the_deadline_and_not_before),
        cmocka_unit_test(a_waiter_that_gave_up_is_not_woken_again),
        cmocka_unit_test(a_future_set_in_the_turn_of_the_deadline_is_not_late),
        cmocka_unit_test(callbacks_come_in_order_and_never_inside_the_setter),
        cmocka_unit_test(
            a_callback_added_to_a_done_future_comes_in_the_next_pass),
        cmocka_unit_test(a_removed_callback_is_not_called),
        cmocka_unit_test(a_callback_may_use_its_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
