#include "coro/sched/runner.h"

#include <errno.h>
#include <signal.h>

#include "coro/sched/fault.h"
#include "coro/sched/task.h"

int coro_runner_init(struct coro_runner *runner,
                     const struct coro_loop_options *options)
{
    *runner = (struct coro_runner){.loop = NULL};
    return coro_loop_new(options, &runner->loop);
}

static void interrupt(void *argument, int number)
{
    struct coro_runner *runner = argument;
    (void)number;
    runner->was_interrupted = true;
    coro_task_cancel(runner->main);
}

static int take_interrupt(struct coro_runner *runner)
{
    struct sigaction action;
    sigaction(SIGINT, NULL, &action);
    if ((action.sa_flags & SA_SIGINFO) || action.sa_handler != SIG_DFL)
        return 0;
    int status =
        coro_signals_open(&runner->signals, runner->loop, (int[]){SIGINT, 0});
    if (status < 0)
        return status == -EBUSY ? 0 : status;
    runner->signals.on_signal = interrupt;
    runner->signals.argument = runner;
    /* The second one is the kernel's. */
    sigaction(SIGINT, NULL, &action);
    action.sa_flags |= (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    return 0;
}

static int run_main(struct coro_runner *runner, int *ret_result)
{
    int result = 0;
    int status =
        coro_loop_run_until_complete(runner->loop, runner->main, &result);
    if (status < 0)
        return -ESHUTDOWN;
    if (ret_result)
        *ret_result = result;
    /* Cancelled by others as well: that is then the reason. */
    bool is_reason = coro_task_ncancels(runner->main) <= 1;
    return runner->was_interrupted && result == -ECANCELED && is_reason ? -EINTR
                                                                        : 0;
}

int coro_runner_run(struct coro_runner *runner, coro_task_fn *function,
                    void *argument, int *ret_result)
{
    if (!runner->loop)
        return -EINVAL;
    if (coro_loop_current())
        return -EBUSY;
    runner->was_interrupted = false;
    runner->signals = (struct coro_signals){.mask = 0};
    int status = take_interrupt(runner);
    if (status < 0)
        return status;
    status =
        coro_spawn(runner->loop, function, argument,
                   &(struct coro_spawn_options){.name = "main"}, &runner->main);
    if (status == 0) {
        status = run_main(runner, ret_result);
        coro_task_unref(runner->main);
        runner->main = NULL;
    }
    coro_signals_close(&runner->signals);
    return status;
}

size_t coro_runner_release(struct coro_runner *runner)
{
    struct coro_loop *loop = runner->loop;
    runner->loop = NULL;
    return coro_loop_free(loop);
}

int coro_main(coro_task_fn *function, void *argument)
{
    struct coro_runner runner;
    int result = 0;
    bool is_watched = coro_fault_watch() != 0;
    int status = coro_runner_init(&runner, NULL);
    if (status == 0)
        status = coro_runner_run(&runner, function, argument, &result);
    coro_runner_release(&runner);
    if (!is_watched)
        coro_fault_unwatch();
    if (status == -EINTR)
        return CORO_EXIT_INTERRUPTED;
    return status < 0 || result < 0 ? 1 : result;
}
