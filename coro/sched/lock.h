/*
 * A lock for coroutines of one loop: for what must not be done by two at once
 * although it has waits in the middle.
 *
 * Between two suspensions a coroutine is alone anyway and needs no lock.
 *
 *     int status = coro_lock_acquire(&lock, deadline_ms);
 *     if (status < 0)
 *         return status;
 *     …                                     may suspend
 *     coro_lock_release(&lock);
 *
 * First come, first served: a release hands the lock to the first who waits,
 * and nobody can slip in between. There is nothing to free, so that release has
 * the meaning here that everybody knows.
 */
#ifndef CORO_SCHED_LOCK_H
#define CORO_SCHED_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_lock {
    struct list waiters;
    bool is_locked; /* also while it is handed on */
};

/** Makes @lock one that is free. Context: any. */
static inline void coro_lock_init(struct coro_lock *lock)
{
    list_init(&lock->waiters);
    lock->is_locked = false;
}

/** True while somebody has the lock. */
static inline bool coro_lock_is_locked(const struct coro_lock *lock)
{
    return lock->is_locked;
}

/**
 * Waits until the lock is the caller's. It is no recursive lock.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the task was cancelled while it waited. One that is cancelled
 *                after the lock was handed to it has the lock, and sees the
 *                cancellation at its next suspension.
 *
 * Context: coroutine on the loop thread. Suspends unless the lock is free; a
 * cancellation point then.
 */
int coro_lock_acquire(struct coro_lock *lock, int64_t deadline_ms);

/**
 * Hands the lock to the first who waits, or leaves it free. Returns 0, or
 * -EPERM when nobody has it. Context: loop thread; does not suspend.
 */
int coro_lock_release(struct coro_lock *lock);

#endif
