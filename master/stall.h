/*
 * The stall watch: whether a job holds the worker thread, so that none of the
 * others goes on.
 *
 *     every tenth of a second, while there are jobs
 *     master ── pulse ──▶ worker's loop: the same task, in the same turn?
 *        │                     no: all is well
 *        ▼ yes, for
 *     --stall-warn    a line in the log: which job, and what it does; again
 *                     after ten times as long, and a line when it is over.
 *                     Until then jobs that wait here go back, for others
 *     --stall-abort   the job is noted as the cause in the vitals, and the
 *                     process ends; others see to its jobs
 *
 * Only what was seen counts as held: not the time in which the master could not
 * look, because the whole process stood still, nor the one in which the worker
 * waited for a processor.
 */
#ifndef MASTER_STALL_H
#define MASTER_STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/sched/group.h"
#include "master/queue/dispatch.h"

#define STALL_CLASS_BYTES   100
#define STALL_PAYLOAD_BYTES 200

/* Everything is borrowed until stall_stop() has returned. */
struct stall_options {
    struct coro_group *group; /* of which the watch's task is a member */
    struct dispatch *dispatch;
    int64_t warn_ms;  /* 0: it doesn't */
    int64_t abort_ms; /* the same; nor for what is no job, or when the dispatch
                         is draining */
};

/* A job that may end at any time, as far as the log is to tell of it. */
struct stall_job {
    uint64_t number;               /* 0: it is no job's doing */
    const struct job_queue *queue; /* NULL: not known any more */
    char class_name[STALL_CLASS_BYTES];
    size_t class_len; /* 0: it has none */
    char payload[STALL_PAYLOAD_BYTES];
    size_t payload_len; /* of what is in there */
};

struct stall {
    struct stall_options options;
    struct coro_task *task; /* NULL: nothing is watched */
    int64_t period_ms;

    /* Since the pulse changed, as it was at the last look. */
    struct coro_pulse pulse;
    struct coro_thread thread;
    int64_t looked_ms;
    int64_t cpu_ns; /* that the thread had used */
    int64_t cpu_first_ns;
    int64_t held_ms;
    int64_t next_warn_ms;
    bool is_told; /* and noted in `job` */
    struct stall_job job;
};

/**
 * Starts to watch the worker of @options->dispatch, which has been started;
 * @options itself is copied. With no time given it does nothing.
 *
 * Returns 0 or -ENOMEM. Context: loop thread.
 */
int stall_start(struct stall *stall, const struct stall_options *options);

/**
 * Ends the watch, before the worker's thread is asked to end; once. Context:
 * coroutine on the loop thread. Suspends.
 */
void stall_stop(struct stall *stall);

#endif
