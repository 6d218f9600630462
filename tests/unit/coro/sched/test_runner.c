/*
 * The runner, which Ctrl-C ends, and a whole program in it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/call.h"
#include "coro/sched/loop.h"
#include "coro/sched/runner.h"
#include "coro/sched/signal.h"

static const int usr1[] = {SIGUSR1, 0};

static bool does(int number, void (*handler)(int))
{
    struct sigaction action;
    sigaction(number, NULL, &action);
    return action.sa_handler == handler;
}

/* --- the runner ----------------------------------------------------------- */

static int return_number(void *argument)
{
    coro_relax();
    return *(int *)argument;
}

static int sleep_for_ever(void *argument)
{
    (void)argument;
    return coro_sleep_until(CORO_NEVER);
}

static int interrupt_and_sleep(void *argument)
{
    (void)argument;
    raise(SIGINT);
    return coro_sleep_until(CORO_NEVER);
}

static int interrupt_and_go_on(void *argument)
{
    if (interrupt_and_sleep(argument) == -ECANCELED)
        coro_relax();
    return 5;
}

static void a_runner_runs_several_in_one_loop(void **state)
{
    struct coro_runner runner;
    int numbers[] = {3, -EPROTO};
    int result = 0;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    struct coro_loop *loop = runner.loop;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            coro_runner_run(&runner, return_number, &numbers[i], &result), 0);
        assert_int_equal(result, numbers[i]);
        assert_ptr_equal(runner.loop, loop);
    }
    assert_int_equal(coro_runner_release(&runner), 0);
    assert_int_equal(coro_runner_release(&runner), 0);
    assert_int_equal(coro_runner_run(&runner, return_number, NULL, NULL),
                     -EINVAL);
}

static int leave_two(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++)
        coro_spawn(coro_loop_current(), sleep_for_ever, NULL, NULL, NULL);
    return coro_relax();
}

static void releasing_cancels_what_is_left_and_says_how_much(void **state)
{
    struct coro_runner runner;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(coro_runner_run(&runner, leave_two, NULL, NULL), 0);
    assert_int_equal(coro_runner_release(&runner), 2);
}

static void ctrl_c_cancels_the_main_task(void **state)
{
    struct coro_runner runner;
    int number = 1;
    int result = 0;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(
        coro_runner_run(&runner, interrupt_and_sleep, NULL, &result), -EINTR);
    assert_int_equal(result, -ECANCELED);
    assert_true(runner.was_interrupted);
    assert_true(does(SIGINT, SIG_DFL));
    assert_int_equal(coro_runner_run(&runner, return_number, &number, &result),
                     0);
    assert_false(runner.was_interrupted);
    coro_runner_release(&runner);
}

static void interrupt_from_a_callback(void *argument)
{
    (void)argument;
    raise(SIGINT);
}

static int relax_for_ever(void *argument)
{
    struct coro_call call = {0};
    (void)argument;
    coro_call_later(coro_loop_current(), &call, 1, interrupt_from_a_callback,
                    NULL);
    int status = 0;
    while (status == 0)
        status = coro_relax();
    return status;
}

static int wait_for_a_future(void *argument)
{
    struct coro_future *future = argument;
    struct coro_call call = {0};
    coro_call_later(coro_loop_current(), &call, 1, interrupt_from_a_callback,
                    NULL);
    return coro_future_wait(future, CORO_NEVER);
}

static void ctrl_c_reaches_one_that_never_waits_and_one_that_does(void **state)
{
    struct coro_runner runner;
    struct coro_future future;
    (void)state;
    coro_future_init(&future);
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(coro_runner_run(&runner, relax_for_ever, NULL, NULL),
                     -EINTR);
    assert_int_equal(coro_runner_run(&runner, wait_for_a_future, &future, NULL),
                     -EINTR);
    assert_false(coro_future_is_done(&future));
    coro_runner_release(&runner);
}

static int cancel_and_interrupt(void *argument)
{
    coro_task_cancel(argument);
    raise(SIGINT);
    return 0;
}

static int be_cancelled_twice(void *argument)
{
    (void)argument;
    coro_spawn(coro_loop_current(), cancel_and_interrupt, coro_task_current(),
               NULL, NULL);
    coro_relax();
    coro_relax();
    return coro_sleep_until(CORO_NEVER);
}

static void ctrl_c_beside_another_cancellation_is_not_the_reason(void **state)
{
    struct coro_runner runner;
    int result = 0;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(
        coro_runner_run(&runner, be_cancelled_twice, NULL, &result), 0);
    assert_int_equal(result, -ECANCELED);
    coro_runner_release(&runner);
}

static void a_main_task_that_goes_on_after_ctrl_c_has_its_result(void **state)
{
    struct coro_runner runner;
    int result = 0;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(
        coro_runner_run(&runner, interrupt_and_go_on, NULL, &result), 0);
    assert_int_equal(result, 5);
    assert_true(runner.was_interrupted);
    coro_runner_release(&runner);
}

static int stop_the_loop(void *argument)
{
    (void)argument;
    coro_loop_stop(coro_loop_current());
    return coro_sleep_until(CORO_NEVER);
}

static int run_within(void *argument)
{
    struct coro_runner *runner = argument;
    return coro_runner_run(runner, sleep_for_ever, NULL, NULL);
}

static void a_run_that_is_stopped_or_nested_says_so(void **state)
{
    struct coro_runner runner;
    int result = 0;
    (void)state;
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(coro_runner_run(&runner, run_within, &runner, &result), 0);
    assert_int_equal(result, -EBUSY);
    assert_int_equal(coro_runner_run(&runner, stop_the_loop, NULL, NULL),
                     -ESHUTDOWN);
    assert_int_equal(coro_runner_release(&runner), 1);
}

static void a_handler_of_somebody_else_is_left_alone(void **state)
{
    struct coro_runner runner;
    int number = 1;
    (void)state;
    signal(SIGINT, SIG_IGN);
    assert_int_equal(coro_runner_init(&runner, NULL), 0);
    assert_int_equal(coro_runner_run(&runner, return_number, &number, NULL), 0);
    coro_runner_release(&runner);
    assert_true(does(SIGINT, SIG_IGN));
    signal(SIGINT, SIG_DFL);
}

static int run_beside_other_signals(void *argument)
{
    struct coro_signals *signals = argument;
    int status = coro_signals_open(signals, coro_loop_current(), usr1);
    return status;
}

static void a_runner_beside_a_loop_that_takes_signals_does_without(void **state)
{
    struct coro_runner one, two;
    struct coro_signals signals;
    int number = 1;
    int result = -1;
    (void)state;
    assert_int_equal(coro_runner_init(&one, NULL), 0);
    assert_int_equal(coro_runner_init(&two, NULL), 0);
    coro_runner_run(&one, run_beside_other_signals, &signals, &result);
    assert_int_equal(result, 0);
    assert_int_equal(coro_runner_run(&two, return_number, &number, &result), 0);
    assert_int_equal(result, 1);
    coro_signals_close(&signals);
    coro_runner_release(&two);
    coro_runner_release(&one);
}

/* --- a whole program ------------------------------------------------------ */

static int interrupt_twice(void *argument)
{
    (void)argument;
    raise(SIGINT);
    raise(SIGINT);
    return 0;
}

/* What waitpid() says about a process that is coro_main(@body). */
static int status_of_program(coro_task_fn *body, void *argument)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(coro_main(body, argument));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_program_ends_with_what_its_main_task_says(void **state)
{
    int numbers[] = {0, 3, -EIO};
    (void)state;
    assert_int_equal(coro_main(return_number, &numbers[0]), 0);
    assert_int_equal(coro_main(return_number, &numbers[1]), 3);
    assert_int_equal(coro_main(return_number, &numbers[2]), 1);
    assert_int_equal(coro_main(interrupt_and_sleep, NULL), 130);
    assert_int_equal(coro_main(interrupt_and_go_on, NULL), 5);
}

static void the_second_ctrl_c_ends_a_program_that_is_stuck(void **state)
{
    (void)state;
    int status = status_of_program(interrupt_twice, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

int main(void)
{
    signal(SIGINT, SIG_DFL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runner_runs_several_in_one_loop),
        cmocka_unit_test(releasing_cancels_what_is_left_and_says_how_much),
        cmocka_unit_test(ctrl_c_cancels_the_main_task),
        cmocka_unit_test(ctrl_c_reaches_one_that_never_waits_and_one_that_does),
        cmocka_unit_test(ctrl_c_beside_another_cancellation_is_not_the_reason),
        cmocka_unit_test(a_main_task_that_goes_on_after_ctrl_c_has_its_result),
        cmocka_unit_test(a_run_that_is_stopped_or_nested_says_so),
        cmocka_unit_test(a_handler_of_somebody_else_is_left_alone),
        cmocka_unit_test(
            a_runner_beside_a_loop_that_takes_signals_does_without),
        cmocka_unit_test(a_program_ends_with_what_its_main_task_says),
        cmocka_unit_test(the_second_ctrl_c_ends_a_program_that_is_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
