/*
 * Gives back to a queue what a process has of it in Redis: its own when it
 * ends, or a dead one's.
 *
 * Newest first and the inbox before what is in flight, each to the end that is
 * taken from next: so the jobs stand there again in the order in which they
 * were taken, before all that was pushed since. Each call to Redis moves a few
 * at most and is whole, so whoever is killed between two of them has lost
 * nothing, and the next one goes on from there.
 *
 * Context of all functions here: coroutine on the loop thread, with a large
 * stack. They suspend and are cancellation points.
 */
#ifndef MASTER_QUEUE_REQUEUE_H
#define MASTER_QUEUE_REQUEUE_H

#include "master/queue/owner.h"

struct requeue {
    struct coro_redis *redis;
    const struct owner_key *lease; /* of the process that has the jobs */
    const struct owner_queue *queue;
    bool are_orphans; /* nothing is done while the lease is there */
    char why[160];    /* what Redis said, after -EREMOTEIO */
};

/**
 * Gives the inbox back. Returns how many jobs that were, or
 *   -EBUSY      the process lives after all;
 *   -EREMOTEIO  Redis refused; see why;
 *   or what coro_redis_call() returns. What was moved until then stays moved.
 */
int64_t requeue_inbox(struct requeue *requeue, int64_t deadline_ms);

/** Gives back all that is in flight. Returns as requeue_inbox(). */
int64_t requeue_inflight(struct requeue *requeue, int64_t deadline_ms);

/**
 * Gives back the @nattempts named ones, which are sorted, the oldest first.
 * Returns as requeue_inbox().
 */
int64_t requeue_attempts(struct requeue *requeue, const char *const *attempts,
                         size_t nattempts, int64_t deadline_ms);

/**
 * Takes @queue's member out of the owners when nothing is left of it. Returns 1
 * then, 0 when there is something, or a negative errno.
 */
int requeue_forget(struct coro_redis *redis, const struct owner_key *lease,
                   const struct owner_queue *queue, int64_t deadline_ms);

#endif
