/*
 * Calls: what the loop calls by itself, soon or at a time, unless cancelled.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/call.h"
#include "coro/sched/loop.h"

struct scene {
    struct coro_loop *loop;
    struct coro_call calls[4];
    char trace[16];
    size_t len;
};

struct step {
    struct scene *scene;
    char letter;
};

static void note(void *argument)
{
    const struct step *step = argument;
    step->scene->trace[step->scene->len++] = step->letter;
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    return scene ? coro_loop_new(NULL, &scene->loop) : -1;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    coro_loop_free(scene->loop);
    free(scene);
    return 0;
}

static int sleep_ms(void *argument)
{
    return coro_sleep(*(int64_t *)argument);
}

static void run_for(struct scene *scene, int64_t delay_ms)
{
    struct coro_task *task;
    assert_int_equal(coro_spawn(scene->loop, sleep_ms, &delay_ms, NULL, &task),
                     0);
    assert_int_equal(coro_loop_run_until_complete(scene->loop, task, NULL), 0);
    coro_task_unref(task);
}

static void calls_come_in_the_order_of_their_times(void **state)
{
    struct scene *scene = *state;
    struct step steps[] = {{scene, 'a'}, {scene, 'b'}, {scene, 'c'}};
    int64_t now_ms = coro_now_ms();
    coro_call_at(scene->loop, &scene->calls[0], now_ms + 9, note, &steps[2]);
    coro_call_at(scene->loop, &scene->calls[1], now_ms + 5, note, &steps[1]);
    coro_call_later(scene->loop, &scene->calls[2], 1, note, &steps[0]);
    run_for(scene, 20);
    assert_string_equal(scene->trace, "abc");
}

static void what_is_due_at_once_keeps_its_order(void **state)
{
    struct scene *scene = *state;
    struct step steps[] = {
        {scene, 'a'}, {scene, 'b'}, {scene, 'c'}, {scene, 'd'}};
    coro_call_soon(scene->loop, &scene->calls[0], note, &steps[0]);
    coro_call_later(scene->loop, &scene->calls[1], 0, note, &steps[1]);
    coro_call_at(scene->loop, &scene->calls[2], 1, note, &steps[2]);
    coro_call_later(scene->loop, &scene->calls[3], -5, note, &steps[3]);
    run_for(scene, 0);
    assert_string_equal(scene->trace, "abcd");
}

static void a_cancelled_call_is_not_made(void **state)
{
    struct scene *scene = *state;
    struct step steps[] = {{scene, 'a'}, {scene, 'b'}};
    coro_call_later(scene->loop, &scene->calls[0], 1, note, &steps[0]);
    coro_call_later(scene->loop, &scene->calls[1], 2, note, &steps[1]);
    assert_true(coro_call_is_pending(&scene->calls[0]));
    assert_true(coro_call_cancel(&scene->calls[0]));
    assert_false(coro_call_is_pending(&scene->calls[0]));
    assert_false(coro_call_cancel(&scene->calls[0]));
    run_for(scene, 10);
    assert_string_equal(scene->trace, "b");
}

static void a_call_that_is_due_can_be_cancelled_wherever_it_stands(void **state)
{
    struct scene *scene = *state;
    struct step steps[] = {
        {scene, 'a'}, {scene, 'b'}, {scene, 'c'}, {scene, 'd'}};
    for (int cancelled = 0; cancelled < 4; cancelled++) {
        scene->len = 0;
        memset(scene->trace, 0, sizeof scene->trace);
        for (int i = 0; i < 4; i++)
            coro_call_soon(scene->loop, &scene->calls[i], note, &steps[i]);
        assert_true(coro_call_cancel(&scene->calls[cancelled]));
        run_for(scene, 0);
        assert_int_equal(scene->len, 3);
        assert_null(strchr(scene->trace, 'a' + cancelled));
    }
}

struct canceller {
    struct scene *scene;
    struct coro_call *victim;
    struct coro_call *again;
};

static void cancel_other(void *argument)
{
    struct canceller *self = argument;
    note(&(struct step){self->scene, 'x'});
    assert_true(coro_call_cancel(self->victim));
}

static void a_call_may_cancel_the_next_of_the_same_pass(void **state)
{
    struct scene *scene = *state;
    struct step steps[] = {{scene, 'a'}, {scene, 'b'}};
    struct canceller canceller = {.scene = scene, .victim = &scene->calls[1]};
    coro_call_soon(scene->loop, &scene->calls[0], cancel_other, &canceller);
    coro_call_soon(scene->loop, &scene->calls[1], note, &steps[0]);
    coro_call_soon(scene->loop, &scene->calls[2], note, &steps[1]);
    run_for(scene, 0);
    assert_string_equal(scene->trace, "xb");
}

static void call_again(void *argument)
{
    struct canceller *self = argument;
    note(&(struct step){self->scene, 'x'});
    if (self->scene->len < 3)
        coro_call_soon(self->scene->loop, self->again, call_again, self);
}

static void a_call_may_order_itself_again(void **state)
{
    struct scene *scene = *state;
    struct canceller self = {.scene = scene, .again = &scene->calls[0]};
    coro_call_soon(scene->loop, self.again, call_again, &self);
    run_for(scene, 5);
    assert_string_equal(scene->trace, "xxx");
}

static void a_call_that_never_comes_can_be_cancelled(void **state)
{
    struct scene *scene = *state;
    struct step step = {scene, 'a'};
    coro_call_at(scene->loop, &scene->calls[0], CORO_NEVER, note, &step);
    run_for(scene, 1);
    assert_true(coro_call_cancel(&scene->calls[0]));
    assert_string_equal(scene->trace, "");
}

static void stop_loop(void *loop)
{
    coro_loop_stop(loop);
}

static void a_call_may_stop_a_loop_that_runs_for_ever(void **state)
{
    struct scene *scene = *state;
    coro_call_later(scene->loop, &scene->calls[0], 1, stop_loop, scene->loop);
    coro_loop_run_forever(scene->loop);
}

static void a_loop_stopped_before_it_runs_makes_one_turn(void **state)
{
    struct scene *scene = *state;
    struct step step = {scene, 'a'};
    coro_call_soon(scene->loop, &scene->calls[0], note, &step);
    coro_loop_stop(scene->loop);
    coro_loop_run_forever(scene->loop);
    assert_string_equal(scene->trace, "a");
}

#define call_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        call_test(calls_come_in_the_order_of_their_times),
        call_test(what_is_due_at_once_keeps_its_order),
        call_test(a_cancelled_call_is_not_made),
        call_test(a_call_that_is_due_can_be_cancelled_wherever_it_stands),
        call_test(a_call_may_cancel_the_next_of_the_same_pass),
        call_test(a_call_may_order_itself_again),
        call_test(a_call_that_never_comes_can_be_cancelled),
        call_test(a_call_may_stop_a_loop_that_runs_for_ever),
        call_test(a_loop_stopped_before_it_runs_makes_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
