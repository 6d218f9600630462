/*
 * A condition: waiting for something that a lock protects to change.
 *
 *     coro_lock_acquire(&lock, CORO_NEVER);
 *     status = coro_condition_wait_for(&changed, is_ready, &state, deadline_ms);
 *     …                                            the lock is held in any case
 *     coro_lock_release(&lock);
 *
 * and on the other side, also with the lock:
 *
 *     state.is_ready = true;
 *     coro_condition_notify(&changed, 1);
 *
 * There is nothing to free. One loop's thread.
 */
#ifndef CORO_SCHED_CONDITION_H
#define CORO_SCHED_CONDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "coro/sched/lock.h"

struct coro_condition {
    struct coro_lock *lock;
    struct list waiters;
};

/** Makes @condition one of what @lock, which is borrowed, protects. */
static inline void coro_condition_init(struct coro_condition *condition,
                                       struct coro_lock *lock)
{
    condition->lock = lock;
    list_init(&condition->waiters);
}

/**
 * Gives the lock back, waits to be notified, and takes the lock again, for
 * which it waits however long it takes.
 *
 * Returns with the lock held
 *   0            it was notified. When the task was cancelled too, after that,
 *                it sees this at its next suspension: neither is lost;
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the task was cancelled first;
 * or, with nothing done,
 *   -EPERM       nobody has the lock.
 *
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_condition_wait(struct coro_condition *condition, int64_t deadline_ms);

/**
 * Waits until @is_so(@argument) is true, which is asked at once and whenever
 * notified, with the lock held; it does not suspend.
 *
 * Returns 0 when it is true, else as coro_condition_wait(). Context: as that.
 */
int coro_condition_wait_for(struct coro_condition *condition,
                            bool (*is_so)(void *argument), void *argument,
                            int64_t deadline_ms);

/**
 * Notifies the first @ntasks that wait, or as many as there are. They go on
 * once the caller has given the lock back.
 *
 * Returns 0, or -EPERM when nobody has the lock. Context: loop thread; does not
 * suspend.
 */
int coro_condition_notify(struct coro_condition *condition, size_t ntasks);

/** Notifies all that wait; as coro_condition_notify(). */
int coro_condition_notify_all(struct coro_condition *condition);

#endif
