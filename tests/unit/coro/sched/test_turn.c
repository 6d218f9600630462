#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

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

/* --- fairness ------------------------------------------------------------ */

static int relax_by_turns(void *argument)
{
    struct scene *scene = argument;
    struct actor a = {scene, "a", 4};
    struct actor b = {scene, "b", 2};
    struct actor c = {scene, "c", 3};
    spawn(note_each_round, &a, NULL);
    spawn(note_each_round, &b, NULL);
    spawn(note_each_round, &c, NULL);
    outlive_others();
    return 0;
}

static void tasks_that_relax_take_turns(void **state)
{
    (void)state;
    struct scene scene;
    run(relax_by_turns, &scene);
    assert_string_equal(scene.trace, "abcabcaca");
}

static int sleep_and_flag(void *argument)
{
    struct scene *scene = argument;
    coro_sleep(3);
    scene->flag[0] = true;
    return 0;
}

/* Keeps yielding until the first flag is up, or far too long. */
static void relax_until_flagged(struct scene *scene)
{
    int64_t give_up_ms = coro_now_ms() + 10000;
    while (!scene->flag[0] && coro_now_ms() < give_up_ms)
        coro_relax();
}

static int relax_beside_sleeper(void *argument)
{
    spawn(sleep_and_flag, argument, NULL);
    relax_until_flagged(argument);
    return 0;
}

static void a_task_that_keeps_yielding_does_not_starve_timers(void **state)
{
    (void)state;
    struct scene scene;
    run(relax_beside_sleeper, &scene);
    assert_true(scene.flag[0]);
}

static void on_readable(evutil_socket_t fd, short events, void *argument)
{
    struct scene *scene = argument;
    char byte;
    (void)events;
    scene->flag[0] = read(fd, &byte, 1) == 1;
}

static int relax_beside_pipe(void *argument)
{
    struct scene *scene = argument;
    int ends[2];
    if (pipe(ends) < 0)
        return -errno;
    struct event *event = event_new(coro_loop_event_base(coro_loop_current()),
                                    ends[0], EV_READ, on_readable, scene);
    event_add(event, NULL);
    scene->status[0] = (int)write(ends[1], "x", 1);
    relax_until_flagged(scene);
    event_free(event);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void a_task_that_keeps_yielding_does_not_starve_io(void **state)
{
    (void)state;
    struct scene scene;
    run(relax_beside_pipe, &scene);
    assert_true(scene.flag[0]);
}

/* --- sleeping ------------------------------------------------------------ */

static int sleep_some(void *argument)
{
    struct scene *scene = argument;
    scene->status[7] = 0;
    for (int i = 0; i < 4; i++) {
        int64_t before_ns = coro_now_ns();
        scene->status[7] |= coro_sleep(i);
        scene->number[i] = coro_now_ns() - before_ns;
    }
    scene->status[7] |= coro_sleep(-1);
    scene->status[7] |= coro_sleep(INT64_MIN);
    scene->status[7] |= coro_sleep_until(0);
    return 0;
}

static void a_sleep_is_never_shorter_than_asked(void **state)
{
    (void)state;
    struct scene scene;
    run(sleep_some, &scene);
    assert_int_equal(scene.status[7], 0);
    for (int i = 0; i < 4; i++)
        assert_true(scene.number[i] >= i * 1000000);
}

static int cancel_for_ever(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_sleep_until(CORO_NEVER);
    return 0;
}

static int end_endless_sleep(void *argument)
{
    struct coro_task *task;
    spawn(cancel_for_ever, argument, &task);
    coro_sleep(1);
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
    return 0;
}

static void a_sleep_without_end_is_ended_by_cancelling(void **state)
{
    (void)state;
    struct scene scene;
    run(end_endless_sleep, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
}

/* --- errands ------------------------------------------------------------- */

static void look_around(void *argument)
{
    struct scene *scene = argument;
    const struct coro_stack *stack = &scene->task->stack;
    char here;
    char *escaped = &here;
    __asm__ volatile("" : "+r"(escaped) : : "memory");
    scene->flag[0] = escaped >= stack->bottom && escaped < stack->top;
    scene->flag[1] = coro_task_current() != NULL;
    note(scene, "e");
}

static __attribute__((noinline)) int go_deep(struct scene *scene, int depth)
{
    volatile char block[256];
    block[0] = (char)depth;
    if (depth == 0)
        coro_call_on_loop_stack(look_around, scene);
    else
        go_deep(scene, depth - 1);
    return block[0];
}

static int send_on_errand(void *argument)
{
    struct scene *scene = argument;
    struct actor other = {scene, "x", 1};
    scene->task = coro_task_current();
    spawn(note_each_round, &other, NULL);
    note(scene, "(");
    scene->status[0] = go_deep(scene, 20);
    scene->flag[2] = coro_task_current() == scene->task;
    note(scene, ")");
    outlive_others();
    return 0;
}

static void an_errand_runs_on_the_loops_stack_before_anything_else(void **state)
{
    (void)state;
    struct scene scene;
    run(send_on_errand, &scene);
    assert_false(scene.flag[0]);
    assert_false(scene.flag[1]);
    assert_true(scene.flag[2]);
    assert_int_equal(scene.status[0], 20);
    assert_string_equal(scene.trace, "(e)x");
}

static void note_nested(void *argument)
{
    note(argument, "n");
    coro_call_on_loop_stack(look_around, argument);
}

static void an_errand_outside_of_tasks_is_a_plain_call(void **state)
{
    (void)state;
    struct scene scene = {.trace = ""};
    struct coro_task task = {.state = 0};
    scene.task = &task;
    coro_call_on_loop_stack(note_nested, &scene);
    assert_string_equal(scene.trace, "ne");
}

static int send_often(void *argument)
{
    struct scene *scene = argument;
    struct actor a = {scene, "a", 3};
    struct actor b = {scene, "b", 3};
    scene->task = coro_task_current();
    spawn(note_each_round, &a, NULL);
    spawn(note_each_round, &b, NULL);
    for (int i = 0; i < 3; i++) {
        coro_call_on_loop_stack(look_around, scene);
        coro_call_on_loop_stack(look_around, scene);
        scene->status[i] = coro_relax();
    }
    outlive_others();
    return 0;
}

static void errands_do_not_change_whose_turn_it_is(void **state)
{
    (void)state;
    struct scene scene;
    run(send_often, &scene);
    assert_string_equal(scene.trace, "eeabeeabeeab");
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_relax_take_turns),
        cmocka_unit_test(a_task_that_keeps_yielding_does_not_starve_timers),
        cmocka_unit_test(a_task_that_keeps_yielding_does_not_starve_io),
        cmocka_unit_test(a_sleep_is_never_shorter_than_asked),
        cmocka_unit_test(a_sleep_without_end_is_ended_by_cancelling),
        cmocka_unit_test(
            an_errand_runs_on_the_loops_stack_before_anything_else),
        cmocka_unit_test(an_errand_outside_of_tasks_is_a_plain_call),
        cmocka_unit_test(errands_do_not_change_whose_turn_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
