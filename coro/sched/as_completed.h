/*
 * Taking tasks in the order in which they end.
 *
 *     struct coro_as_completed each;
 *     int status = coro_as_completed_init(&each, tasks, ntasks);
 *     if (status < 0)
 *         return status;
 *     struct coro_task *task;
 *     while ((status = coro_as_completed_next(&each, deadline_ms, &task)) > 0)
 *         use(coro_task_result(task));
 *     coro_as_completed_release(&each);
 *
 * Several tasks may take from one of these at a time.
 *
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_AS_COMPLETED_H
#define CORO_SCHED_AS_COMPLETED_H

#include <stddef.h>
#include <stdint.h>

#include "coro/sched/task.h"
#include "coro/sched/watch.h"

struct coro_as_completed {
    struct coro_watch_set set;
};

/**
 * Begins with @tasks; one that is given twice comes once. Those that have ended
 * come first, in the order of the array.
 *
 * Returns 0 or -ENOMEM. Ownership: coro_as_completed_release(); @each keeps a
 * reference to each task until then. Context: loop thread.
 */
int coro_as_completed_init(struct coro_as_completed *each,
                           struct coro_task *const *tasks, size_t ntasks);

/** Ends it, at any time. The tasks that are left go on. */
void coro_as_completed_release(struct coro_as_completed *each);

/**
 * Waits for the next task that has ended.
 *
 * @deadline_ms  absolute: the same one for each call bounds them all.
 * @ret_task     the task. Borrowed from @each.
 *
 * Returns 1, or 0 when each task has been handed out, or
 *   -ETIMEDOUT   the deadline passed first; it may be called again;
 *   -ECANCELED   the caller was cancelled; the tasks go on.
 *
 * Context: coroutine on the loop thread. Suspends unless one has ended; a
 * cancellation point.
 */
int coro_as_completed_next(struct coro_as_completed *each, int64_t deadline_ms,
                           struct coro_task **ret_task);

#endif
