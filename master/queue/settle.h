/*
 * Settling: telling Redis what became of jobs.
 *
 *                     at-least-once                 at-most-once
 *     done            out of flight                 nothing to tell
 *     failed          out of flight, into retry     corq:dead
 *                     or dead
 *     interrupted     back to its queue             corq:dead
 *     never started   back to its queue             back to its queue
 *
 * Two tasks write in batches, one what is done, one all else, so that a dead
 * set that can't be written to holds nothing else up. While Redis is away they
 * wait; as jobs that wait for this take places from the credit, twice
 * `concurrency` of them are the most that can wait. Sending a batch again, when its answer
 * was lost, does no harm.
 */
#ifndef MASTER_QUEUE_SETTLE_H
#define MASTER_QUEUE_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "coro/base/random.h"
#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/retry.h"
#include "master/queue/trouble.h"
#include "worker/job.h"

struct owner;
struct settle;
struct settle_batch;
struct settle_mode;

#define SETTLE_DEAD_KEY "corq:dead"

/* What jobs are written to. */
enum settle_target {
    SETTLE_TARGET_OWN,    /* corq:retry, corq:dead */
    SETTLE_TARGET_SHARED, /* retry, dead */
    SETTLE_TARGET_QUEUE,  /* the one that they came from */
    SETTLE_TARGET_FLIGHT, /* the jobs in flight */
};

#define SETTLE_NTARGETS 4

/* One of the two tasks and what it has to do. */
struct settle_lane {
    struct settle *settle;
    struct list done;   /* jobs, by in_flight; in the one lane only */
    struct list back;   /* the same, in the other, as are */
    struct list failed; /* these */
    size_t npending;    /* of all three, and of what is being sent */
    struct settle_batch *batch;
    uint64_t sent_generation; /* of the connection, while one is being sent */
    bool is_sent_again;       /* after its answer was lost */
    struct coro_task *task;   /* while it runs */
    struct list work_waiters;
    struct trouble trouble;
};

struct settle {
    const struct settle_mode *mode;
    struct coro_redis *redis;
    const char *process; /* its identity, for the marks */
    struct owner *owner; /* NULL with at-most-once */
    struct retry_policy retry;
    struct coro_rng rng;
    int64_t not_before_ms[SETTLE_NTARGETS]; /* after a refusal */
    struct trouble refusals[SETTLE_NTARGETS];
    struct settle_lane acks;
    struct settle_lane moves;
    uint64_t nmarks;
    uint64_t nlost;   /* jobs that somebody else had when they were done here */
    struct list held; /* to be given back later; by in_flight */
    size_t nheld;
    bool is_holding;
    struct list empty_waiters;
    struct list sent_waiters; /* for the answer to what is being sent */
    void (*on_settled)(void *argument); /* one job is settled and freed */
    void *argument;
};

struct settle_options {
    const struct settle_mode *mode;
    struct coro_group *group; /* for the tasks */
    struct coro_redis *redis;
    const char *process;
    struct owner *owner;
    struct retry_policy retry;
    void (*on_settled)(void *argument);
    void *argument;
};

/* At most once: what was taken is gone from Redis. */
extern const struct settle_mode settle_at_most_once;

/* At least once: it is in flight there. */
extern const struct settle_mode settle_at_least_once;

/**
 * Starts the tasks. All pointers of @options are borrowed. Returns 0 or
 * -ENOMEM; then settle_release() is to be called all the same.
 * Context: loop thread.
 */
int settle_start(struct settle *settle, const struct settle_options *options);

/** Frees what @settle holds, after its tasks have ended. */
void settle_release(struct settle *settle);

/** Settles @job as its outcome says. Takes @job. */
void settle_outcome(struct settle *settle, struct job *job);

/** Settles @job as failed, for good or to be retried as its outcome says, with
 * the error that it carries. Takes @job. */
void settle_failed(struct settle *settle, struct job *job);

/** Puts @job back where it came from, untouched. Takes @job. */
void settle_give_back(struct settle *settle, struct job *job);

/**
 * Holds what is to be given back from now on until settle_let_go(): jobs that
 * come back in pieces, each in an order of its own, then go back in the order
 * in which they were taken.
 */
void settle_hold(struct settle *settle);

/** Ends that. Nothing happens when nothing was held. */
void settle_let_go(struct settle *settle);

/** Whether @target may be written to again, or was not refused. For modes. */
bool settle_may_write(const struct settle *settle, enum settle_target target);

/** How many jobs are not settled yet. */
static inline size_t settle_npending(const struct settle *settle)
{
    return settle->acks.npending + settle->moves.npending + settle->nheld;
}

/** Calls @visit for each job that is not settled yet. */
void settle_each(struct settle *settle,
                 void (*visit)(const struct job *job, void *argument),
                 void *argument);

/**
 * Waits until everything is settled. Returns 0, -ETIMEDOUT or -ECANCELED.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int settle_wait_empty(struct settle *settle, int64_t deadline_ms);

/**
 * Waits until nothing that was sent over an earlier connection than the present
 * one is unanswered. Returns and suspends as settle_wait_empty().
 */
int settle_wait_sent(struct settle *settle, int64_t deadline_ms);

/**
 * Ends the tasks that write and gives up what is not settled, also what was
 * sent and not answered, and frees it. With at-most-once each job is logged
 * with its bytes: nobody else has it.
 *
 * Returns how many there were. Context: coroutine on the loop thread. Suspends
 * for as long as the tasks take to see that they are cancelled.
 */
size_t settle_give_up(struct settle *settle);

/** Why jobs are not settled, in words; never NULL. */
const char *settle_reason(const struct settle *settle);

#endif
