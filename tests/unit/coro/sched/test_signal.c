/*
 * Signals as something to await.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/signal.h"

static const int usr1[] = {SIGUSR1, 0};
static const int usr2[] = {SIGUSR2, 0};
static const int both[] = {SIGUSR1, SIGUSR2, 0};

struct scene {
    int numbers[8];
    int nnumbers;
    int statuses[4];
};

static void run(struct scene *scene, coro_task_fn *body)
{
    int result = 1;
    assert_int_equal(coro_run(body, scene, &result), 0);
    assert_int_equal(result, 0);
}

static void note(struct scene *scene, int number)
{
    scene->numbers[scene->nnumbers++] = number;
}

/* --- awaiting ------------------------------------------------------------- */

static int await_some(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals signals;
    int status = coro_signals_open(&signals, coro_loop_current(), both);
    raise(SIGUSR2);
    raise(SIGUSR1);
    for (int i = 0; i < 2; i++)
        note(scene, coro_signals_wait(&signals, CORO_NEVER));
    raise(SIGUSR1);
    raise(SIGUSR1);
    note(scene, coro_signals_wait(&signals, CORO_NEVER));
    note(scene, coro_signals_wait(&signals, coro_after(5)));
    coro_signals_close(&signals);
    coro_signals_close(&signals);
    return status;
}

static void signals_are_awaited_lowest_first_and_once(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, await_some);
    assert_int_equal(scene.numbers[0], SIGUSR1);
    assert_int_equal(scene.numbers[1], SIGUSR2);
    assert_int_equal(scene.numbers[2], SIGUSR1);
    assert_int_equal(scene.numbers[3], -ETIMEDOUT);
}

static void *send_from_a_thread(void *argument)
{
    (void)argument;
    raise(SIGUSR1);
    return NULL;
}

static int await_from_a_thread(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals signals;
    int status = coro_signals_open(&signals, coro_loop_current(), usr1);
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, send_from_a_thread, NULL);
        note(scene, coro_signals_wait(&signals, CORO_NEVER));
        pthread_join(thread, NULL);
    }
    coro_signals_close(&signals);
    return status;
}

static void a_signal_wakes_a_loop_that_sleeps(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, await_from_a_thread);
    for (int i = 0; i < 8; i++)
        assert_int_equal(scene.numbers[i], SIGUSR1);
}

struct waiter {
    struct coro_signals *signals;
    int status;
};

static int wait_one(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status = coro_signals_wait(waiter->signals, CORO_NEVER);
    return 0;
}

static int two_wait(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals signals;
    struct waiter waiters[2] = {{&signals, 0}, {&signals, 0}};
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    int status = coro_signals_open(&signals, coro_loop_current(), usr1);
    for (int i = 0; i < 2; i++)
        coro_group_spawn(&group, wait_one, &waiters[i], NULL);
    coro_relax();
    raise(SIGUSR1);
    coro_sleep(2);
    coro_group_close(&group);
    coro_signals_close(&signals);
    scene->statuses[0] = waiters[0].status;
    scene->statuses[1] = waiters[1].status;
    return status;
}

static void a_signal_is_given_to_one_of_those_who_wait(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, two_wait);
    assert_int_equal(scene.statuses[0], SIGUSR1);
    assert_int_equal(scene.statuses[1], -ECANCELED);
}

static int two_sets(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals one, two;
    int status = coro_signals_open(&one, coro_loop_current(), usr1);
    if (status == 0)
        status = coro_signals_open(&two, coro_loop_current(), both);
    raise(SIGUSR1);
    note(scene, coro_signals_wait(&one, CORO_NEVER));
    note(scene, coro_signals_wait(&two, CORO_NEVER));
    coro_signals_close(&one);
    raise(SIGUSR1);
    note(scene, coro_signals_wait(&two, CORO_NEVER));
    coro_signals_close(&two);
    return status;
}

static void each_set_gets_the_signal(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, two_sets);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.numbers[i], SIGUSR1);
}

static void on_signal(void *argument, int number)
{
    note(argument, number);
}

static int be_called(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals signals;
    int status = coro_signals_open(&signals, coro_loop_current(), both);
    signals.on_signal = on_signal;
    signals.argument = scene;
    raise(SIGUSR1);
    raise(SIGUSR2);
    while (scene->nnumbers < 2)
        coro_relax();
    coro_signals_close(&signals);
    return status;
}

static void a_set_may_have_a_function_called_instead(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, be_called);
    assert_int_equal(scene.numbers[0], SIGUSR1);
    assert_int_equal(scene.numbers[1], SIGUSR2);
}

/* --- taking and giving back ----------------------------------------------- */

static bool does(int number, void (*handler)(int))
{
    struct sigaction action;
    sigaction(number, NULL, &action);
    return action.sa_handler == handler;
}

static int open_and_close(void *argument)
{
    struct scene *scene = argument;
    struct coro_signals one, two;
    scene->statuses[0] = coro_signals_open(&one, coro_loop_current(), usr2);
    scene->statuses[1] = coro_signals_open(&two, coro_loop_current(), usr2);
    coro_signals_close(&two);
    scene->statuses[2] = !does(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    coro_signals_close(&one);
    scene->statuses[3] = does(SIGUSR2, SIG_IGN);
    return coro_relax();
}

static void what_was_done_before_is_done_again_after_the_last_set(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    signal(SIGUSR2, SIG_IGN);
    run(&scene, open_and_close);
    signal(SIGUSR2, SIG_DFL);
    assert_int_equal(scene.statuses[0], 0);
    assert_int_equal(scene.statuses[1], 0);
    assert_true(scene.statuses[2]);
    assert_true(scene.statuses[3]);
}

static int open_wrongly(void *argument)
{
    struct scene *scene = argument;
    struct coro_loop *loop = coro_loop_current();
    struct coro_loop *other;
    struct coro_signals one, two;
    scene->statuses[0] = coro_signals_open(&one, loop, (int[]){SIGKILL, 0});
    scene->statuses[1] = coro_signals_open(&one, loop, (int[]){0});
    scene->statuses[2] = coro_signals_open(&one, loop, (int[]){65, 0});
    coro_signals_open(&one, loop, (int[]){SIGUSR1, SIGUSR1, 0});
    int status = coro_loop_new(NULL, &other);
    scene->statuses[3] = coro_signals_open(&two, other, usr1);
    coro_signals_close(&two);
    coro_loop_free(other);
    coro_signals_close(&one);
    return status;
}

static void what_cannot_be_taken_is_refused(void **state)
{
    struct scene scene = {.nnumbers = 0};
    (void)state;
    run(&scene, open_wrongly);
    assert_int_equal(scene.statuses[0], -EINVAL);
    assert_int_equal(scene.statuses[1], -EINVAL);
    assert_int_equal(scene.statuses[2], -EINVAL);
    assert_int_equal(scene.statuses[3], -EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_awaited_lowest_first_and_once),
        cmocka_unit_test(a_signal_wakes_a_loop_that_sleeps),
        cmocka_unit_test(a_signal_is_given_to_one_of_those_who_wait),
        cmocka_unit_test(each_set_gets_the_signal),
        cmocka_unit_test(a_set_may_have_a_function_called_instead),
        cmocka_unit_test(what_was_done_before_is_done_again_after_the_last_set),
        cmocka_unit_test(what_cannot_be_taken_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
