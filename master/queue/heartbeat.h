/*
 * The heartbeat: what Redis knows of this process while it lives.
 *
 *     every 10 s ─▶ <id>          what it is, how busy, how large    60 s
 *                   <id>:work     the jobs that it runs              60 s
 *                   processes     the set of all such <id>
 *                   stat:…        what was processed and what failed
 *               ◀── <id>-signals  TSTP, TERM or TTIN, one a beat
 *
 * The keys are those of the Sidekiq job format, so that its dashboards and
 * exporters show this process, and their buttons work. A beat is a PING, which
 * is timed for the record, and one script. What Redis could not be told waits
 * for the next beat; what was sent and not answered is not counted twice.
 *
 * A failure is told once and never ends anything. A process that is gone
 * without heartbeat_stop() leaves the set when another one prunes it.
 */
#ifndef MASTER_QUEUE_HEARTBEAT_H
#define MASTER_QUEUE_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/buf.h"
#include "coro/base/list.h"
#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/trouble.h"
#include "worker/counters.h"
#include "worker/job.h"

#define HEARTBEAT_PERIOD_MS 10000

/* How many of the running jobs are shown: the oldest. */
#define HEARTBEAT_JOBS_MOST 1000

/* Everything is borrowed until heartbeat_stop() has returned. */
struct heartbeat_options {
    struct coro_group *group; /* of which the heartbeat's task is a member */
    struct coro_redis *redis;
    const char *identity;
    const struct job_queue *queues;
    size_t nqueues;
    size_t concurrency;
    const struct counters *counters;
    const struct list *in_flight; /* of struct job, oldest first */

    /* Whether no more jobs are taken; and what is asked of this process: a
     * number of <signal.h>. Both are called with @argument and don't suspend;
     * on_signal does not stop the heartbeat there and then. */
    bool (*is_quiet)(void *argument);
    void (*on_signal)(void *argument, int number);
    void *argument;

    int64_t period_ms; /* 0: HEARTBEAT_PERIOD_MS */
};

/* How many attempts have ended since the process began. */
struct heartbeat_totals {
    uint64_t processed; /* those that failed included */
    uint64_t failed;
};

struct heartbeat {
    struct heartbeat_options options;
    struct coro_task *task; /* while it runs */
    bool is_stopped;
    struct coro_buf info; /* JSON, always the same */
    struct heartbeat_totals told;
    int64_t rtt_us;
    int64_t prune_at_ms;
    struct trouble trouble;
    struct trouble prune_trouble;
};

/**
 * Starts to beat, at once and then every @options->period_ms; @options itself
 * is copied. Returns 0 or -ENOMEM. Context: loop thread.
 */
int heartbeat_start(struct heartbeat *heartbeat,
                    const struct heartbeat_options *options);

/**
 * Stops beating, counts what is not yet counted, and takes the process and its
 * running jobs out of Redis; its record goes by itself within a minute. To be
 * called once, after a heartbeat_start() that has succeeded.
 *
 * Returns 0, or after logging why not
 *   -ETIMEDOUT, -ECANCELED, -ENOMEM   as it says;
 *   -EIO                              Redis refused it, or a part of it.
 *
 * Context: coroutine on the loop thread, not on_signal. Suspends.
 */
int heartbeat_stop(struct heartbeat *heartbeat, int64_t deadline_ms);

#endif
