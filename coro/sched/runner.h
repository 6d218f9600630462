/*
 * The runner: what a program's main function does with a loop.
 *
 *     static int body(void *argument) { … the program, a coroutine … }
 *
 *     int main(void) { return coro_main(body, NULL); }
 *
 * Ctrl-C cancels the main task, which may clean up and take its time about it;
 * a second Ctrl-C ends the process as if nobody had caught it, also when the
 * loop is stuck. SIGINT is left alone where somebody else has taken it or has
 * it ignored.
 *
 * Whatever tasks are left when the runner is released are cancelled, and their
 * number told.
 */
#ifndef CORO_SCHED_RUNNER_H
#define CORO_SCHED_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

#include "coro/sched/loop.h"
#include "coro/sched/signal.h"

/* The exit status of a program that Ctrl-C has ended. */
#define CORO_EXIT_INTERRUPTED 130

/* Storage is the caller's. */
struct coro_runner {
    struct coro_loop *loop; /* NULL once released */
    struct coro_task *main; /* while it runs */
    struct coro_signals signals;
    bool was_interrupted; /* in the present run or the last one */
};

/**
 * Makes a runner with a loop of its own.
 *
 * @options   NULL for the defaults.
 *
 * Returns 0, -ENOMEM, -EMFILE or -ENFILE. Ownership: coro_runner_release().
 * Context: the thread that will run it.
 */
int coro_runner_init(struct coro_runner *runner,
                     const struct coro_loop_options *options);

/**
 * Runs @function(@argument) as the main task, until it has ended. Other tasks
 * stay as they are and go on in the next run.
 *
 * Returns 0 and the function's result in @ret_result (may be NULL), or
 *   -EINTR      Ctrl-C, and the main task ended with -ECANCELED because of it
 *               and of nothing else;
 *   -ESHUTDOWN  coro_loop_stop() was called before it had ended;
 *   -EBUSY      a loop is running in this thread;
 *   -EINVAL     the runner was released;
 *   -ENOMEM, -EMFILE, -ENFILE.
 *
 * Context: the loop's thread, not in a loop.
 */
int coro_runner_run(struct coro_runner *runner, coro_task_fn *function,
                    void *argument, int *ret_result);

/**
 * Frees the loop; returns how many tasks were left and so cancelled. Releasing
 * twice does nothing. Context: as coro_loop_free().
 */
size_t coro_runner_release(struct coro_runner *runner);

/**
 * Runs @function(@argument) in a runner of its own, as a whole program; a stack
 * that overflows meanwhile is told of, see fault.h.
 *
 * Returns the exit status: what the function returned, 1 when that is negative
 * or it could not be started, CORO_EXIT_INTERRUPTED after Ctrl-C.
 * Context: not in a loop.
 */
int coro_main(coro_task_fn *function, void *argument);

#endif
