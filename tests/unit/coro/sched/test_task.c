#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coro/core/guard.h"
#include "coro/sched/defer.h"
#include "coro/sched/future.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "coro/sched/task.h"

/* What a scenario saw. */
struct scene {
    char trace[64];
    int status[8];
    int64_t number[8];
    bool flag[8];
    struct coro_task *task;
};

static void note(struct scene *scene, const char *event)
{
    strcat(scene->trace, event);
}

static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
}

/* A task of the scenario, known by a letter. */
struct actor {
    struct scene *scene;
    const char *name;
    int nrounds;
};

static int note_each_round(void *argument)
{
    struct actor *actor = argument;
    for (int i = 0; i < actor->nrounds; i++) {
        note(actor->scene, actor->name);
        coro_relax();
    }
    return actor->nrounds;
}

static void spawn(coro_task_fn *function, void *argument,
                  struct coro_task **ret_task)
{
    coro_spawn(coro_loop_current(), function, argument, NULL, ret_task);
}

/* What tasks work with lies on the stack of the one that spawned them, which
 * therefore has to outlive them. */
static void outlive_others(void)
{
    while (coro_loop_ntasks(coro_loop_current()) > 1)
        coro_relax();
}

/* --- spawning ------------------------------------------------------------ */

static int spawn_three(void *argument)
{
    struct scene *scene = argument;
    struct actor actors[] = {{scene, "b", 1}, {scene, "a", 1}, {scene, "c", 1}};
    note(scene, "(");
    for (int i = 0; i < 3; i++)
        spawn(note_each_round, &actors[i], NULL);
    note(scene, ")");
    outlive_others();
    return 0;
}

static void tasks_begin_later_in_the_order_in_which_they_were_spawned(
    void **state)
{
    (void)state;
    struct scene scene;
    run(spawn_three, &scene);
    assert_string_equal(scene.trace, "()bac");
}

static int return_argument(void *argument)
{
    return *(int *)argument;
}

static int collect_results(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *tasks[3];
    int values[] = {7, 0, -EIO};
    for (int i = 0; i < 3; i++)
        spawn(return_argument, &values[i], &tasks[i]);
    for (int i = 2; i >= 0; i--) {
        scene->status[i] =
            coro_task_wait(tasks[i], CORO_NEVER, &scene->status[3 + i]);
        coro_task_unref(tasks[i]);
    }
    return 0;
}

static void a_task_has_the_result_of_its_function(void **state)
{
    (void)state;
    struct scene scene;
    run(collect_results, &scene);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], 0);
    assert_int_equal(scene.status[3], 7);
    assert_int_equal(scene.status[4], 0);
    assert_int_equal(scene.status[5], -EIO);
}

static int wait_too_short(void *argument)
{
    struct scene *scene = argument;
    struct actor actor = {scene, "a", 3};
    struct coro_task *task;
    spawn(note_each_round, &actor, &task);
    scene->status[1] = 99;
    scene->status[0] = coro_task_wait(task, 0, &scene->status[1]);
    scene->flag[0] = coro_task_is_cancelling(task);
    scene->status[2] = coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
    return 0;
}

static void a_wait_for_a_task_can_be_late_and_leaves_the_task_alone(
    void **state)
{
    (void)state;
    struct scene scene;
    run(wait_too_short, &scene);
    assert_int_equal(scene.status[0], -ETIMEDOUT);
    assert_int_equal(scene.status[1], 99);
    assert_int_equal(scene.status[2], 0);
    assert_false(scene.flag[0]);
    assert_string_equal(scene.trace, "aaa");
}

static int compare_names(void *argument)
{
    struct scene *scene = argument;
    int value = 0;
    struct coro_task *tasks[3];
    struct coro_spawn_options named = {.name = "fetcher"};
    coro_spawn(coro_loop_current(), return_argument, &value, &named, &tasks[0]);
    spawn(return_argument, &value, &tasks[1]);
    coro_task_wait(tasks[1], CORO_NEVER, NULL);
    snprintf(scene->trace, sizeof scene->trace, "%s %s",
             coro_task_name(tasks[0]), coro_task_name(tasks[1]));
    uint64_t second_id = coro_task_id(tasks[1]);
    scene->flag[0] = coro_task_id(tasks[0]) < second_id;
    coro_task_unref(tasks[1]);
    /* The stack of the ended task is used again, its number is not. */
    spawn(return_argument, &value, &tasks[2]);
    scene->flag[1] = second_id < coro_task_id(tasks[2]);
    coro_task_unref(tasks[0]);
    coro_task_unref(tasks[2]);
    return 0;
}

static void tasks_have_names_and_numbers_of_their_own(void **state)
{
    (void)state;
    struct scene scene;
    run(compare_names, &scene);
    assert_string_equal(scene.trace, "fetcher task");
    assert_true(scene.flag[0]);
    assert_true(scene.flag[1]);
}

static int use_large_stack(void *argument)
{
    struct scene *scene = argument;
    volatile char block[CORO_STACK_BYTES * 2];
    for (size_t i = 0; i < sizeof block; i += 1024)
        block[i] = 1;
    scene->flag[0] = block[1024] == 1;
    return 0;
}

static int spawn_large(void *argument)
{
    struct coro_task *task;
    struct coro_spawn_options options = {.large_stack = true};
    coro_spawn(coro_loop_current(), use_large_stack, argument, &options, &task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
    return 0;
}

static void a_large_stack_holds_what_an_ordinary_one_does_not(void **state)
{
    (void)state;
    struct scene scene;
    run(spawn_large, &scene);
    assert_true(scene.flag[0]);
}

/* --- lifetime ------------------------------------------------------------ */

static int keep_reference(void *argument)
{
    struct scene *scene = argument;
    int value = 12;
    int other = 13;
    struct coro_task *task, *second;
    spawn(return_argument, &value, &task);
    coro_task_ref(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
    /* As long as there is a reference nobody else gets the stack. */
    spawn(return_argument, &other, &second);
    coro_task_wait(second, CORO_NEVER, NULL);
    scene->flag[0] = second != task;
    scene->status[0] = coro_future_status(coro_task_future(task));
    scene->status[1] = (int)coro_task_state(task);
    scene->number[0] = (int64_t)coro_loop_ntasks(coro_loop_current());
    coro_task_unref(task);
    coro_task_unref(second);
    coro_task_unref(NULL);
    return 0;
}

static void a_reference_keeps_a_task_beyond_its_end(void **state)
{
    (void)state;
    struct scene scene;
    run(keep_reference, &scene);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[0], 12);
    assert_int_equal(scene.status[1], CORO_TASK_DONE);
    assert_int_equal(scene.number[0], 1);
}

static int reuse_stacks(void *argument)
{
    struct scene *scene = argument;
    int value = 0;
    for (int i = 0; i < 1000; i++) {
        spawn(return_argument, &value, NULL);
        coro_relax();
        coro_relax();
    }
    scene->number[0] = (int64_t)coro_loop_stacks(coro_loop_current())->nstacks;
    return 0;
}

static void a_thousand_tasks_one_after_the_other_need_two_stacks(void **state)
{
    (void)state;
    struct scene scene;
    run(reuse_stacks, &scene);
    assert_int_equal(scene.number[0], 2);
}

static int rest(void *argument)
{
    (void)argument;
    coro_sleep_until(CORO_NEVER);
    return 0;
}

static void forget_value(void *value)
{
    struct scene *scene = value;
    scene->number[0]++;
}

static void forget_deferred(void *argument)
{
    struct scene *scene = argument;
    scene->number[1]++;
}

/* Leaves as much behind as a task can. */
static int live_to_the_full(void *argument)
{
    if (coro_defer(forget_deferred, argument) < 0)
        return -ENOMEM;
    coro_task_cancel(coro_task_current());
    coro_sleep(1);
    coro_sleep(1);
    return coro_task_return(argument, forget_value);
}

static int spawn_on_used_stack(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *old, *new;
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    coro_group_spawn_task(&group, live_to_the_full, scene, NULL, &old);
    coro_group_wait(&group, CORO_NEVER);
    coro_task_unref(old);
    scene->number[2] = scene->number[0];
    spawn(rest, scene, &new);
    scene->flag[0] = new == old;
    scene->flag[1] = coro_task_value(new) || coro_task_is_cancelling(new);
    scene->flag[2] = new->group || new->deferred || new->is_ending;
    scene->status[0] = (int)coro_task_state(new);
    scene->status[1] = coro_task_result(new);
    scene->status[2] = (int)coro_task_ncancels(new);
    coro_relax();
    coro_task_cancel(new);
    scene->status[3] = coro_task_wait(new, CORO_NEVER, &scene->status[4]);
    coro_task_unref(new);
    return 0;
}

static void a_task_on_a_used_stack_begins_as_any_other(void **state)
{
    (void)state;
    struct scene scene;
    run(spawn_on_used_stack, &scene);
    assert_true(scene.flag[0]);
    assert_false(scene.flag[1]);
    assert_false(scene.flag[2]);
    assert_int_equal(scene.number[2], 1);
    assert_int_equal(scene.status[0], CORO_TASK_NEW);
    assert_int_equal(scene.status[1], -EINPROGRESS);
    assert_int_equal(scene.status[2], 0);
    assert_int_equal(scene.status[3], 0);
    assert_int_equal(scene.status[4], 0);
    assert_int_equal(scene.number[0], 1);
    assert_int_equal(scene.number[1], 1);
}

static int stay_for_two_suspensions(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *self = coro_task_current();
    scene->status[1] = (int)coro_task_state(self);
    coro_relax();
    coro_sleep(1);
    return 0;
}

static int watch_states(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *task;
    spawn(stay_for_two_suspensions, scene, &task);
    scene->status[0] = (int)coro_task_state(task);
    coro_relax();
    scene->status[2] = (int)coro_task_state(task);
    coro_relax();
    scene->status[3] = (int)coro_task_state(task);
    scene->number[0] = coro_task_since_ms(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    scene->number[1] = coro_task_since_ms(task);
    scene->status[4] = (int)coro_task_state(task);
    coro_task_unref(task);
    return 0;
}

static void a_task_goes_through_its_states(void **state)
{
    (void)state;
    struct scene scene;
    run(watch_states, &scene);
    assert_int_equal(scene.status[0], CORO_TASK_NEW);
    assert_int_equal(scene.status[1], CORO_TASK_RUNNING);
    assert_int_equal(scene.status[2], CORO_TASK_READY);
    assert_int_equal(scene.status[3], CORO_TASK_WAITING);
    assert_int_equal(scene.status[4], CORO_TASK_DONE);
    assert_true(scene.number[0] <= scene.number[1]);
}

static int note_current(void *argument)
{
    struct scene *scene = argument;
    scene->flag[0] = coro_task_current() == scene->task;
    coro_relax();
    scene->flag[1] = coro_task_current() == scene->task;
    return 0;
}

static int compare_current(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *self = coro_task_current();
    spawn(note_current, scene, &scene->task);
    coro_relax();
    scene->flag[2] = coro_task_current() == self && self != scene->task;
    coro_task_wait(scene->task, CORO_NEVER, NULL);
    coro_task_unref(scene->task);
    return 0;
}

static void each_task_is_the_current_one_while_it_runs(void **state)
{
    (void)state;
    struct scene scene;
    assert_null(coro_task_current());
    assert_null(coro_loop_current());
    run(compare_current, &scene);
    assert_true(scene.flag[0]);
    assert_true(scene.flag[1]);
    assert_true(scene.flag[2]);
    assert_null(coro_task_current());
}

/* --- stacks -------------------------------------------------------------- */

static int measure_idle(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *tasks[40];
    for (int i = 0; i < 40; i++)
        spawn(rest, NULL, &tasks[i]);
    coro_relax();
    for (int i = 0; i < 40; i++) {
        int64_t touched = (int64_t)coro_stack_touched_bytes(&tasks[i]->stack);
        if (touched > scene->number[0])
            scene->number[0] = touched;
        coro_task_cancel(tasks[i]);
        coro_task_unref(tasks[i]);
    }
    outlive_others();
    return 0;
}

static void an_idle_coroutine_costs_one_page(void **state)
{
    (void)state;
    struct scene scene;
    run(measure_idle, &scene);
    size_t nbytes = coro_page_bytes();
#if defined(CORO_ASAN) || defined(CORO_TSAN)
    nbytes *= 4; /* The checkers' code has larger frames. */
#endif
    assert_in_range(scene.number[0], 1, nbytes);
}

/* --- the end ------------------------------------------------------------- */

static int spawn_when_cancelled(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_sleep_until(CORO_NEVER);
    scene->status[1] = coro_spawn(coro_loop_current(), rest, NULL, NULL, NULL);
    return 0;
}

static void spawning_is_refused_while_the_loop_is_freed(void **state)
{
    (void)state;
    struct scene scene = {.trace = ""};
    struct coro_loop *loop;
    struct coro_task *first;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    coro_spawn(loop, spawn_when_cancelled, &scene, NULL, NULL);
    int value = 0;
    coro_spawn(loop, return_argument, &value, NULL, &first);
    coro_loop_run_until_complete(loop, first, NULL);
    coro_task_unref(first);
    assert_int_equal(coro_loop_free(loop), 1);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], -ESHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            tasks_begin_later_in_the_order_in_which_they_were_spawned),
        cmocka_unit_test(a_task_has_the_result_of_its_function),
        cmocka_unit_test(
            a_wait_for_a_task_can_be_late_and_leaves_the_task_alone),
        cmocka_unit_test(tasks_have_names_and_numbers_of_their_own),
        cmocka_unit_test(a_large_stack_holds_what_an_ordinary_one_does_not),
        cmocka_unit_test(a_reference_keeps_a_task_beyond_its_end),
        cmocka_unit_test(a_thousand_tasks_one_after_the_other_need_two_stacks),
        cmocka_unit_test(a_task_on_a_used_stack_begins_as_any_other),
        cmocka_unit_test(a_task_goes_through_its_states),
        cmocka_unit_test(each_task_is_the_current_one_while_it_runs),
        cmocka_unit_test(an_idle_coroutine_costs_one_page),
        cmocka_unit_test(spawning_is_refused_while_the_loop_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
