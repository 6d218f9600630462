/*
 * Blame: when a thread of this process does what it must not, the job in whose
 * name it did so is noted in the vitals, from the signal handler, where the
 * supervisor finds it when the process is no more.
 *
 *     fault ──▶ 1  the signal, where, and the job's number; then the cause: from
 *                  here on there is something to be found
 *               2  the beginning of the job's payload      either may fault
 *               3  the calls, by name                      itself, or hang
 *
 * So is a job that calls exit(): it takes all others along, too. Of one that
 * calls _exit() nothing is known here.
 *
 * What was sent by somebody is nobody's fault, and is not noted. Neither is
 * what comes after a cause was noted already.
 */
#ifndef WORKER_BLAME_H
#define WORKER_BLAME_H

#include <sys/types.h>

#include "coro/core/symbol.h"
#include "worker/pool.h"
#include "worker/vitals.h"

struct blame {
    pid_t pid; /* what is forked off by a job has our memory, too */
    struct vitals *vitals;
    const struct pool *pool;
    struct coro_symbols symbols; /* opened beforehand: it allocates */
};

/**
 * From now on notes faults of this process in @vitals, with the jobs of @pool;
 * of one pool at a time.
 *
 * Ownership: blame_stop(). Context: while no other thread starts or stops it.
 */
void blame_start(struct blame *blame, struct vitals *vitals,
                 const struct pool *pool);

/**
 * Notes in @vitals that this process is about to end itself because of a stall,
 * unless a cause was noted already: @job, known to us as @number, has held the
 * worker for @stalled_ms.
 *
 * @job    NULL: it is not known which; @number is then 0, or nobody's any more.
 * @calls  a backtrace of what it does, a string; may be empty.
 *
 * Context: a thread that does not run jobs; @job must not be freed meanwhile.
 */
void blame_stall(struct vitals *vitals, const struct job *job, uint64_t number,
                 int64_t stalled_ms, const char *calls);

/** Ends what blame_start() has begun. */
void blame_stop(struct blame *blame);

#endif
