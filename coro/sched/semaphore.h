/*
 * A semaphore: at most so many at once.
 *
 *     coro_semaphore_init(&slots, 10, 10);
 *     …
 *     int status = coro_semaphore_acquire(&slots, deadline_ms);
 *     if (status < 0)
 *         return status;
 *     …                                     may suspend
 *     coro_semaphore_release(&slots);
 *
 * First come, first served: what is released is handed to the first who waits,
 * and nobody can slip in between. There is nothing to free. One loop's thread.
 */
#ifndef CORO_SCHED_SEMAPHORE_H
#define CORO_SCHED_SEMAPHORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"

/* The limit of a semaphore that has none. */
#define CORO_SEMAPHORE_UNBOUNDED SIZE_MAX

struct coro_semaphore {
    struct list waiters;
    size_t nfree; /* 0 while anybody waits */
    size_t limit;
};

/**
 * Makes @semaphore one of which @nfree can be had, which is no more than
 * @limit. Releasing beyond that limit is refused. Context: any.
 */
static inline void coro_semaphore_init(struct coro_semaphore *semaphore,
                                       size_t nfree, size_t limit)
{
    list_init(&semaphore->waiters);
    semaphore->nfree = nfree;
    semaphore->limit = limit;
}

/** How many can be had without waiting. */
static inline size_t coro_semaphore_nfree(
    const struct coro_semaphore *semaphore)
{
    return semaphore->nfree;
}

/**
 * Waits until there is one for the caller.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the task was cancelled while it waited. One that is cancelled
 *                after it was given what it waited for has that, and sees the
 *                cancellation at its next suspension.
 *
 * Context: coroutine on the loop thread. Suspends unless there is one; a
 * cancellation point then.
 */
int coro_semaphore_acquire(struct coro_semaphore *semaphore,
                           int64_t deadline_ms);

/**
 * Gives one back: to the first who waits, if anybody does.
 *
 * Returns 0, or -EOVERFLOW when as many as the limit says are free. Context:
 * loop thread; does not suspend.
 */
int coro_semaphore_release(struct coro_semaphore *semaphore);

#endif
