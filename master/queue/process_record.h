/*
 * The JSON of a process's record in Redis: what it is, and each job that it
 * runs, in the words that dashboards for the Sidekiq job format read.
 *
 * A queue is shown by what follows "queue:" in its key, and by the whole key
 * when it does not begin so. Bytes that are not valid UTF-8 become U+FFFD.
 *
 * Context of both functions: any thread, does not suspend.
 */
#ifndef MASTER_QUEUE_PROCESS_RECORD_H
#define MASTER_QUEUE_PROCESS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/job.h"

struct coro_buf;

/* How much of a job that is not shown whole is shown. */
#define PROCESS_RECORD_SHOWN_CHARS 100

/* Everything is borrowed for the call. */
struct process_info {
    const char *identity; /* host:pid:random */
    const struct job_queue *queues;
    size_t nqueues;
    size_t concurrency;
    int64_t started_at_us; /* since 1970 */
};

/**
 * Appends what does not change about a process: an object with hostname, pid,
 * started_at, queues, weights, capsules, …
 *
 * Returns 0, or -ENOMEM (also when it would pass the limit of @out), which is
 * then as it was, and marked failed.
 */
int process_record_write_info(struct coro_buf *out,
                              const struct process_info *info);

/**
 * Appends a job that runs: {"queue":…,"payload":"…","run_at":…}, the payload
 * being JSON in a string.
 *
 * @may_be_whole  A described job is shown as it is. Without, and any raw job,
 *                as an object with the class (cut) or (raw), the beginning of
 *                the payload as the only argument, and the number as its jid.
 *
 * Returns as process_record_write_info(). Context: the master thread, while
 * the worker may have @job.
 */
int process_record_write_job(struct coro_buf *out, const struct job *job,
                             bool may_be_whole);

#endif
