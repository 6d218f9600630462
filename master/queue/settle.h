/*
 * Settling: what has to be written to Redis about jobs that did not simply end.
 *
 *     settle_dead()      ─▶ the dead set, in an envelope, with the reason
 *     settle_give_back() ─▶ the end of its queue that is taken from next
 *
 * A task of its own writes them in batches. While Redis is away they wait; as a
 * job keeps its place among the `concurrency` until it is settled, that many
 * are the most that can wait. Sending a batch again, when its answer was lost,
 * does no harm.
 */
#ifndef MASTER_QUEUE_SETTLE_H
#define MASTER_QUEUE_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/trouble.h"
#include "worker/job.h"

/* How many entries the dead set keeps, and for how long; and how long each is
 * kept however many there are. */
#define SETTLE_DEAD_MOST    10000
#define SETTLE_DEAD_DAYS    180
#define SETTLE_DEAD_GRACE_S 3600

#define SETTLE_DEAD_KEY "corq:dead"

struct settle {
    struct coro_redis *redis;
    const char *process; /* its identity, for the marks */
    struct list dead;    /* jobs, by in_flight */
    struct list back;    /* the same, in the order in which they were taken */
    size_t npending;
    bool sends_dead; /* what is being sent goes to the dead set */
    uint64_t nmarks;
    struct coro_task *task; /* the one that writes, while it runs */
    struct list work_waiters;
    struct list empty_waiters;
    struct trouble trouble;
    void (*on_settled)(void *argument); /* one job is settled and freed */
    void *argument;
};

/**
 * Starts the task that settles, in @group. @redis and @process are borrowed.
 * Returns 0 or -ENOMEM. Context: loop thread.
 */
int settle_start(struct settle *settle, struct coro_group *group,
                 struct coro_redis *redis, const char *process,
                 void (*on_settled)(void *argument), void *argument);

/** Sets @job aside with the error that it carries. Takes @job. */
void settle_dead(struct settle *settle, struct job *job);

/** Puts @job back where it came from, untouched. Takes @job. */
void settle_give_back(struct settle *settle, struct job *job);

/**
 * Waits until everything is settled. Returns 0, -ETIMEDOUT or -ECANCELED.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int settle_wait_empty(struct settle *settle, int64_t deadline_ms);

/**
 * Ends the task that writes and gives up what is not settled, also what was
 * sent and not answered: logs each job with its bytes, and frees it.
 *
 * Returns how many there were. Context: coroutine on the loop thread. Suspends
 * for as long as the task takes to see that it is cancelled.
 */
size_t settle_give_up(struct settle *settle);

#endif
