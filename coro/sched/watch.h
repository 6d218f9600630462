/*
 * Watching the ends of many tasks at once, from one task. Internal: what
 * coro_gather(), coro_wait() and coro_as_completed_next() have in common.
 *
 * A set keeps a reference to each task and has a direct callback on its end. It
 * notes the ends in the order in which they come, and wakes its waiter only
 * when what that waits for has come about.
 */
#ifndef CORO_SCHED_WATCH_H
#define CORO_SCHED_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "coro/sched/future.h"
#include "coro/sched/gather.h"
#include "coro/sched/task.h"

struct coro_watch; /* one task's */

struct coro_watch_set {
    struct coro_watch *watches;
    size_t nwatches;
    size_t npending;
    int first_error;     /* the first that is no cancellation, or 0 */
    int first_failure;   /* the first of any kind, or 0 */
    struct list ended;   /* watches, in the order of the ends */
    struct list waiters; /* one task; more only for the first completed */
    enum coro_wait_until until;
};

/**
 * Begins to watch @tasks; one that is given twice is watched once, and those
 * that have ended are noted in the order of the array.
 *
 * Returns 0 or -ENOMEM. Ownership: coro_watch_release().
 */
int coro_watch_init(struct coro_watch_set *set, struct coro_task *const *tasks,
                    size_t ntasks);

/** Ends it, and gives the references back. */
void coro_watch_release(struct coro_watch_set *set);

/**
 * Waits until @until has come about; at once, if it has. Returns 0, -ETIMEDOUT
 * or -ECANCELED. Context: coroutine on the loop thread. Suspends; a
 * cancellation point.
 */
int coro_watch_wait(struct coro_watch_set *set, enum coro_wait_until until,
                    int64_t deadline_ms);

/** Takes the task whose end was noted first; NULL: none. Borrowed from @set. */
struct coro_task *coro_watch_take_ended(struct coro_watch_set *set);

/** The set that has @callback on a task's end; NULL: it is something else. */
const struct coro_watch_set *coro_watch_set_of(struct coro_callback *callback);

/** The first of its tasks that has not ended; NULL: none. Borrowed. */
const struct coro_task *coro_watch_first_pending(
    const struct coro_watch_set *set);

#endif
