/*
 * Awaiting a task: its result becomes the caller's own, as if the caller had
 * called the task's function itself. The three calls differ in what becomes of
 * the task when the caller does not wait to the end:
 *
 *                       the deadline passes     the caller is cancelled
 *     coro_await()      the task goes on        the task is cancelled
 *     coro_wait_for()   the task is cancelled   the task is cancelled
 *     coro_shield()     the task goes on        the task goes on
 *
 *     struct coro_task *task;
 *     int status = coro_spawn(loop, fetch, url, NULL, &task);
 *     if (status < 0)
 *         return status;
 *     status = coro_wait_for(task, coro_after(500));
 *     coro_task_unref(task);
 *
 * Where a task is cancelled, its end is waited for, however long it takes: what
 * these calls return is never about something that still runs. A result that
 * the task had all the same is returned; the caller then sees its cancellation
 * at its next suspension, and neither is lost.
 *
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_AWAIT_H
#define CORO_SCHED_AWAIT_H

#include <stdint.h>

#include "coro/sched/task.h"

/**
 * Waits for the result of @task. When the caller is cancelled, so is @task,
 * unless somebody else waits for it too.
 *
 * @deadline_ms  absolute; CORO_NEVER waits for ever. A task that has ended is
 *               never late.
 *
 * Returns what the task's function returned, or
 *   -ETIMEDOUT   the deadline passed first; @task goes on;
 *   -ECANCELED   the caller was cancelled (or @task was: it is done then);
 *   -EDEADLK     @task is the caller.
 *
 * Context: coroutine on the loop thread. Suspends unless @task has ended; a
 * cancellation point.
 */
int coro_await(struct coro_task *task, int64_t deadline_ms);

/**
 * Waits for the result of @task, which is cancelled when it is not there in
 * time, or when the caller is cancelled, and has ended in any case. One that
 * has not begun when its deadline has passed never runs.
 *
 * Returns what the task's function returned, or
 *   -ETIMEDOUT   the deadline passed, and @task ended because of that;
 *   -ECANCELED   the caller was cancelled (or somebody else cancelled @task);
 *   -EDEADLK     @task is the caller.
 *
 * Context: as coro_await().
 */
int coro_wait_for(struct coro_task *task, int64_t deadline_ms);

/**
 * Waits for the result of @task, which goes on whatever becomes of the caller.
 * Returns as coro_await(). Context: as coro_await().
 */
int coro_shield(struct coro_task *task, int64_t deadline_ms);

#endif
