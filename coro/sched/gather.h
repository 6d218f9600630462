/*
 * Waiting for many tasks: for all of their results, or until some have ended.
 *
 *     struct coro_task *tasks[3];
 *     int results[3];
 *     …                                          coro_spawn() each of them
 *     int status =
 *         coro_gather(tasks, 3, CORO_RAISE_ERRORS, CORO_NEVER, results);
 *
 *     status = coro_wait(tasks, 3, CORO_FIRST_COMPLETED, coro_after(500));
 *     for (int i = 0; i < 3; i++)
 *         if (coro_task_is_done(tasks[i]))
 *             …
 *
 * The tasks are borrowed for the call, and keep their results and values. A
 * task may be given twice; it runs once.
 *
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_GATHER_H
#define CORO_SCHED_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "coro/sched/task.h"

enum coro_gather_errors {
    CORO_RAISE_ERRORS,  /* the first failure ends the wait and is returned */
    CORO_RETURN_ERRORS, /* a failure is a result like any other */
};

enum coro_wait_until {
    CORO_ALL_COMPLETED,
    CORO_FIRST_COMPLETED, /* one has ended, in whatever way */
    CORO_FIRST_ERROR,     /* one has failed and was not cancelled, or all end */
    CORO_FIRST_FAILURE,   /* one has failed or was cancelled, or all end */
};

/**
 * Waits for the results of all of @tasks.
 *
 * @errors       what a negative result means for the others: nothing. They go
 *               on in either case; with CORO_RAISE_ERRORS without being waited
 *               for. A task that was cancelled has failed with -ECANCELED.
 * @deadline_ms  absolute; CORO_NEVER waits for ever. It cancels nothing.
 * @ret_results  NULL, or @ntasks numbers in the order of @tasks, which are
 *               written unless nothing was waited for: what each returned,
 *               -EINPROGRESS for those that have not ended.
 *
 * Returns 0, or
 *   the first failure in time, with CORO_RAISE_ERRORS;
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the caller was cancelled. All of @tasks were cancelled too and
 *                have ended;
 *   -EDEADLK     the caller is one of @tasks, nothing was waited for;
 *   -ENOMEM      nothing was waited for.
 *
 * Context: coroutine on the loop thread. Suspends unless it need not wait; a
 * cancellation point.
 */
int coro_gather(struct coro_task *const *tasks, size_t ntasks,
                enum coro_gather_errors errors, int64_t deadline_ms,
                int *ret_results);

/**
 * Waits until @tasks have come so far as @until says. Which have ended and
 * which have not is then to be asked of each with coro_task_is_done(). Nothing
 * is cancelled, whether the deadline passes or the caller is cancelled.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the caller was cancelled;
 *   -EINVAL      @ntasks is 0: nothing would ever come about;
 *   -ENOMEM      nothing was waited for.
 *
 * Context: as coro_gather().
 */
int coro_wait(struct coro_task *const *tasks, size_t ntasks,
              enum coro_wait_until until, int64_t deadline_ms);

#endif
