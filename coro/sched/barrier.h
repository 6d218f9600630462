/*
 * A barrier: so many tasks wait for each other, and then all go on.
 *
 *     coro_barrier_init(&barrier, 3);
 *     …
 *     int number = coro_barrier_wait(&barrier, CORO_NEVER);   each of the three
 *     if (number == 0)
 *         …                                               one of them, as it is
 *
 * It can be used again and again: who comes after the last one of a round waits
 * for the next round, even if some of the last one have not run yet. There is
 * nothing to free. One loop's thread.
 */
#ifndef CORO_SCHED_BARRIER_H
#define CORO_SCHED_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_barrier {
    struct list waiters;
    int nparties;
    int nwaiting; /* at least as many as do */
    bool is_broken;
};

/** Makes a barrier for @nparties tasks, at least 1. Context: any. */
void coro_barrier_init(struct coro_barrier *barrier, int nparties);

/** How many wait now. Context: loop thread. */
int coro_barrier_nwaiting(struct coro_barrier *barrier);

/** True from coro_barrier_abort() until coro_barrier_reset(). */
static inline bool coro_barrier_is_broken(const struct coro_barrier *barrier)
{
    return barrier->is_broken;
}

/**
 * Waits until as many as the barrier is for have come. The last one does not
 * wait.
 *
 * Returns a number that no other of this round gets, from 0 for the first that
 * came, or
 *   -ETIMEDOUT   the deadline passed first, and
 *   -ECANCELED   the task was cancelled first: the others go on waiting, for
 *                one more than before;
 *   -EPIPE       the barrier is broken, or was broken or reset meanwhile.
 *
 * Context: coroutine on the loop thread. Suspends unless it is the last; a
 * cancellation point then.
 */
int coro_barrier_wait(struct coro_barrier *barrier, int64_t deadline_ms);

/** Sends away who waits, with -EPIPE; the barrier is then as new. Loop thread. */
void coro_barrier_reset(struct coro_barrier *barrier);

/** As coro_barrier_reset(), and so is who comes later. Loop thread. */
void coro_barrier_abort(struct coro_barrier *barrier);

#endif
