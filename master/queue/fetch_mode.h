/*
 * A mode: how jobs are moved from Redis to here, for one promise of delivery.
 */
#ifndef MASTER_QUEUE_FETCH_MODE_H
#define MASTER_QUEUE_FETCH_MODE_H

#include "master/queue/fetch.h"

/* The longest that a blocking pop blocks, in seconds; see fetch_wait. */
#define FETCH_WAIT_S 5

/* A burst brings about so many bytes at the most, unless one job is larger. */
#define FETCH_BURST_MOST_BYTES ((size_t)8 << 20)

struct fetch_mode {
    const char *name;

    /**
     * Before anything is taken, and again after a change: waits until it may
     * be. Returns 0 or -ECANCELED. Suspends. NULL: there is nothing to do.
     */
    int (*prepare)(struct fetch *fetch);

    /**
     * Takes up to @most jobs from @queue, in one round trip, and adds them to
     * @burst. Returns how many came, or -ECANCELED. Suspends.
     */
    int (*burst)(struct fetch *fetch, struct fetch_queue *queue, size_t most,
                 struct dispatch_burst *burst);

    /**
     * Waits until a job can be had from any queue, at most @timeout_s, and
     * adds it to @burst. Returns 0 when nothing came and nothing is wrong, 1
     * when the queues are to be asked by a burst, or -ECANCELED. Suspends.
     */
    int (*wait)(struct fetch *fetch, int timeout_s,
                struct dispatch_burst *burst);

    /**
     * Nothing is to be taken now: ends pops that block, and waits for answers
     * that may bring jobs. Returns 0, -ETIMEDOUT or -ECANCELED. Suspends.
     */
    int (*rest)(struct fetch *fetch, int64_t deadline_ms);
};

/* At most once: a job that was taken is gone from Redis. */
extern const struct fetch_mode fetch_at_most_once;

/* At least once: it stays there, in flight, until it is settled. */
extern const struct fetch_mode fetch_at_least_once;

#endif
