/*
 * What the worker thread is seen to do while it holds its loop: the functions
 * that are being called, or, where asking it might disturb it, the system call
 * in which it sleeps. Internal to the stall watch.
 */
#ifndef MASTER_STALL_SIGHT_H
#define MASTER_STALL_SIGHT_H

#include "worker/runner.h"
#include "worker/vitals.h"

struct stall_sight {
    char system_call[32];           /* by name; "": it runs */
    char calls[VITALS_CALLS_BYTES]; /* innermost first; "": not known */
};

/**
 * Looks at the thread of @runner, as long as its loop has @pulse.
 *
 * Returns 0, whatever was seen, or -ECANCELED. Takes most often some 30 ms, at
 * the most a second. Context: coroutine with a deep stack. Suspends.
 */
int stall_sight_take(const struct runner *runner,
                     const struct coro_pulse *pulse,
                     struct stall_sight *ret_sight);

/** True when @now shows the same task at the same work as @before. */
static inline bool stall_sight_is_same(const struct coro_pulse *before,
                                       const struct coro_pulse *now)
{
    return now->task != 0 && now->task == before->task &&
           now->turns == before->turns && now->tag == before->tag;
}

#endif
