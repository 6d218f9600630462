/*
 * The fetcher: takes jobs from the queues, as many as can start now.
 *
 * Two operations take turns:
 *
 *     burst   up to `credit` jobs at once from each queue in its order, over
 *             the command connection
 *     wait    when all queues are empty: one blocking pop, over the blocking
 *             connection, until something comes
 *
 * How each is done is the business of a mode (fetch_mode.h); the order of the
 * queues, the credit, errors and their waits are decided here, for all modes.
 */
#ifndef MASTER_QUEUE_FETCH_H
#define MASTER_QUEUE_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "coro/base/random.h"
#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/dispatch.h"
#include "master/queue/trouble.h"

struct fetch_mode;
struct lines;
struct owner;

/* A queue that is taken from. */
struct fetch_queue {
    const struct job_queue *queue;
    int64_t not_before_ms;  /* left alone until then, after an error */
    struct trouble trouble; /* of this queue alone */
    size_t burst_most;      /* jobs a burst: grows while they are small */
    size_t largest_bytes;   /* of the jobs of late */
};

struct fetch {
    struct fetch_queue *queues; /* in the order in which they were given */
    struct fetch_queue **order; /* in which they are asked this time */
    const char **words;         /* of the wait's command */
    size_t *lens;
    bool *are_wanted; /* by place: whether to wait for a push to that queue */
    size_t nqueues;
    const struct fetch_mode *mode;
    struct coro_redis *commands;
    struct coro_redis *blocking; /* at-most-once: for its one blocking pop */
    struct owner *owner;         /* at-least-once, as are … */
    struct lines *lines;         /* … these, for its blocking pops */
    struct dispatch *dispatch;
    size_t max_payload_bytes;
    uint64_t last_number;  /* of a job */
    bool has_pop_count;    /* RPOP with a count: Redis 6.2 */
    bool is_quiet;         /* takes nothing more */
    bool is_waiting;       /* a blocking pop is outstanding */
    size_t nasked;         /* jobs that an unanswered command may bring */
    int64_t rest_until_ms; /* when resting has to be looked after again */
    struct list quiet_waiters;
    /* When the last of those was answered, by the wall clock. */
    int64_t answered_at_us;
    struct coro_rng rng;
    struct trouble trouble;
    struct trouble wait_trouble; /* of the blocking pop alone */
};

struct fetch_options {
    const struct job_queue
        *queues; /* borrowed, for as long as there are jobs */
    size_t nqueues;
    const struct fetch_mode *mode;
    struct coro_redis *commands;
    struct coro_redis *blocking; /* or NULL; as are */
    struct owner *owner;         /* these, with another */
    struct lines *lines;         /* mode */
    struct dispatch *dispatch;
    size_t max_payload_bytes;
};

/** Prepares @fetch. Returns 0 or -ENOMEM. Ownership: fetch_release(). */
int fetch_init(struct fetch *fetch, const struct fetch_options *options);

/** Frees what @fetch holds, after its task has ended and its jobs are gone. */
void fetch_release(struct fetch *fetch);

/** Starts to take jobs, as a task in @group. Returns 0 or -ENOMEM. */
int fetch_start(struct fetch *fetch, struct coro_group *group);

/**
 * Takes no more jobs; a pop that blocks is ended. What it brings at the last
 * moment is given back.
 *
 * Returns 0 when nothing is outstanding any more, -ETIMEDOUT or -ECANCELED.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int fetch_quiet(struct fetch *fetch, int64_t deadline_ms);

/* --- for modes ------------------------------------------------------------ */

/**
 * Makes a job of an element of a reply and adds it to @burst; too large a
 * payload is set aside. While there is no memory it waits. May suspend then.
 *
 * @attempt  its number in flight, or 0 where there is no such thing.
 */
void fetch_take(struct fetch *fetch, struct fetch_queue *queue,
                struct dispatch_burst *burst,
                const struct coro_redis_reply *payload, uint64_t attempt);

/**
 * Deals with an answer that is no job: waits as long as it demands, or leaves
 * the queue (NULL: all of them) alone for a while. May suspend.
 * Returns 0, or -ECANCELED.
 */
int fetch_handle_error(struct fetch *fetch, struct fetch_queue *queue,
                       const struct coro_redis_reply *reply);

/** A command is being sent that may bring up to @most jobs. */
void fetch_asks(struct fetch *fetch, size_t most);

/** It was answered, or its connection was lost. */
void fetch_was_answered(struct fetch *fetch);

/** Whether @queue may be asked now, and has not failed of late. */
bool fetch_may_ask(const struct fetch_queue *queue);

#endif
