/*
 * The pool: N long-lived worker coroutines, each taking a job, running its
 * handler, handing back the outcome, and taking the next.
 *
 *     pool_add() ─▶ queue ─▶ coroutine ─▶ handler ─▶ outbox ─▶ up
 *
 * Outcomes are collected and go up once a turn of the loop. Everything here
 * belongs to the worker's loop.
 *
 * Which job a coroutine runs is noted where it outlives the process, and the
 * job's number is its tag (coro/sched/tag.h), so that whatever goes wrong in
 * the job's name can be told to be its doing.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <stddef.h>

#include "coro/sched/group.h"
#include "coro/sched/queue.h"
#include "coro/sched/submit.h"
#include "worker/handler.h"
#include "worker/vitals.h"

struct pool_slot;

struct pool_options {
    size_t concurrency; /* how many jobs at once */
    const struct registry *registry;
    struct coro_submit *up; /* where outcomes go */
    struct vitals *vitals;  /* with a mark for each coroutine, at least */
};

struct pool {
    struct pool_options options;
    struct coro_loop *loop;
    struct coro_group group;
    struct coro_queue jobs;
    struct pool_slot *slots;
    size_t nslots; /* coroutines that have been started */
    struct coro_source outbox;
    struct coro_submit_node *newest;
    struct coro_submit_node *oldest;
    bool is_stopping;
    struct message fewer;
};

/**
 * Makes a pool of coroutines of @loop, which start when it runs.
 *
 * Returns 0 or -ENOMEM. Ownership: pool_release(). Context: loop thread, or
 * before the loop runs.
 */
int pool_init(struct pool *pool, struct coro_loop *loop,
              const struct pool_options *options);

/** Frees what an initialised pool holds, after its loop was freed. */
void pool_release(struct pool *pool);

/** Gives @job, with at most `concurrency` of them here at once, to the pool. */
void pool_add(struct pool *pool, struct job *job);

/**
 * The job that runs under @number, or NULL. It may end at any moment, except in
 * the coroutine that runs it. Context: any thread; any signal.
 */
const struct job *pool_find(const struct pool *pool, uint64_t number);

/** Cancels every job that runs. Loop thread; does not suspend. */
void pool_cancel_jobs(struct pool *pool);

/** Logs what each coroutine does. Loop thread; needs a deep stack. */
void pool_dump(const struct pool *pool);

/** Ends all coroutines, cancelling their jobs. Does not suspend. */
void pool_stop(struct pool *pool);

#endif
