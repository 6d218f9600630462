/*
 * Recovering: what a living process does in Redis for one that has died, when
 * it was told so by whoever knows for certain and knows of what.
 *
 *     supervisor ──its identity, vitals, why──▶ a child that lives
 *         1. charges the one job that it died of, or counts those that it ran
 *         2. ends its lease
 *         3. gives back to their queues what it had
 *
 * The lease stays until the first is done, so that no sweeper (sweep.h) gives
 * back uncounted what is still to be counted. Each step may be cut short, and
 * all of them may be done again, by the same process or by another: nothing is
 * lost, and the dead one is counted once for each job. When nobody does it the
 * sweepers will, and charge nobody.
 *
 * A job that is charged stands behind all others that the process had, so that
 * they come first the next time.
 */
#ifndef MASTER_QUEUE_RECOVER_H
#define MASTER_QUEUE_RECOVER_H

#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis.h"
#include "worker/job.h"
#include "worker/vitals.h"

/* How many processes a job may bring down, and in how many it may be running
 * that are ended by others, before it is set aside. */
#define RECOVER_CRASHES_MOST 3
#define RECOVER_DEATHS_MOST  10

/* Everything is borrowed for the call. */
struct recover_options {
    struct coro_redis *redis;
    const struct job_queue *queues; /* those that the dead process had */
    size_t nqueues;
    const char *process; /* our identity */
};

enum recover_cause {
    RECOVER_CRASH,    /* the job that its vitals name is charged */
    RECOVER_KILLED,   /* by somebody else: all that ran are counted */
    RECOVER_INNOCENT, /* it was told to end, or it is our own fault: nobody is */
};

/* A process that is no more. Its vitals are taken for what they are, memory
 * that a dying process may have written anything to. */
struct recover_case {
    const char *identity; /* empty: it had none yet, and so nothing */
    const struct vitals *vitals;
    size_t nmarks; /* how many it has room for; by whoever made it */
    enum recover_cause cause;
    const char *what; /* "SIGSEGV at address 0x0"; or empty */
};

/**
 * Does all that. At the limit a job is set aside in the dead set that its
 * failures would go to. What Redis does not let us count is logged, and goes
 * back with the rest; so does what can't be set aside.
 *
 * Returns how many jobs went back to their queues or were set aside, or
 *   -EINVAL     that is no identity of another process;
 *   -EBUSY      its lease comes back all the time: it lives;
 *   -EREMOTEIO  Redis refuses to take back what is of one queue, which was
 *               logged, and the others were done; or it can't do anything just
 *               now. Try again after a while;
 *   -ENOMEM     or what coro_redis_call() returns: try again.
 * A call that is made again returns only what was left to do.
 *
 * Context: coroutine on the loop thread, with a large stack. Suspends; a
 * cancellation point.
 */
int64_t recover_process(const struct recover_options *options,
                        const struct recover_case *corpse, int64_t deadline_ms);

/**
 * Takes the process @identity out of the owners, where nothing is left of it.
 * Not before a pop that it left at the server can have ended, see sweep.h.
 *
 * Returns 0 or a negative errno. Context: as recover_process().
 */
int recover_forget(const struct recover_options *options, const char *identity,
                   int64_t deadline_ms);

#endif
