/*
 * A job: some bytes from a queue, and what becomes of them.
 *
 *               master            worker            worker
 *     (taken) ──────────▶ WAITING ──────▶ STARTED ──────────▶ outcome, back to
 *                            │  run             returns       the master
 *                            │ master: shutdown
 *                            ▼
 *                         REVOKED: never runs
 *
 * The phase is the one word that both threads may change, by compare-and-swap,
 * so that each job is exactly once either started or given back. All else
 * belongs to whoever has the job at the time; the payload and the queue are
 * never changed and may be read by both.
 */
#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "worker/message.h"
#include "worker/scan.h"

enum job_phase {
    JOB_PHASE_WAITING,
    JOB_PHASE_STARTED,
    JOB_PHASE_REVOKED,
};

enum job_outcome {
    JOB_OUTCOME_NONE,        /* not yet, or never started */
    JOB_OUTCOME_DONE,        /* */
    JOB_OUTCOME_FAILED,      /* for good */
    JOB_OUTCOME_RETRY,       /* failed, and may be tried again */
    JOB_OUTCOME_INTERRUPTED, /* it was cancelled before its end */
};

/* A queue: a Redis list, named by its key. Outlives all jobs. */
struct job_queue {
    const char *key;
    size_t key_len;
    unsigned weight; /* 0: strict priority */
    uint32_t place;  /* among the process's queues, from 0 on */
};

struct job {
    struct message message;
    _Atomic(enum job_phase) phase;
    enum job_outcome outcome;
    const struct job_queue *queue;
    uint64_t number;         /* counts up; no other job of the process had it */
    const char *error_class; /* static; NULL when nothing failed */
    char *error_message;     /* NULL when there is no more to say */
    int64_t retry_delay_ms;  /* after JOB_OUTCOME_RETRY; -1: as configured */
    uint64_t attempt;        /* the master's: its number while in flight */
    struct list in_flight;   /* the master's; in no list when it has no job */
    int64_t taken_at_us;     /* since 1970, by the wall clock; 0: not known */
    size_t payload_len;
    char payload[]; /* and a zero byte that does not count */
};

/**
 * A new waiting job with a copy of the @len bytes at @payload.
 * Returns NULL when there is no memory. Ownership: job_free(). Any thread.
 */
struct job *job_new(const struct job_queue *queue, uint64_t number,
                    const void *payload, size_t len);

/** Frees @job. NULL is allowed. Context: whoever owns it. */
void job_free(struct job *job);

/** Worker: true when the job is ours to run, false when it was revoked. */
bool job_start(struct job *job);

/** Master: true when the job will not run, false when it was started. */
bool job_revoke(struct job *job);

/**
 * Notes that @job failed: a class, which is static, and a message formatted as
 * by printf(); a message there is no memory for is left out.
 * Returns JOB_OUTCOME_FAILED, for a handler to return.
 * Context: any; a coroutine's own stack is not used for formatting.
 */
enum job_outcome job_fail(struct job *job, const char *error_class,
                          const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * The same for a failure that another try may mend.
 *
 * @delay_ms  how long to wait before it, at least 0; -1 as configured.
 *
 * Returns JOB_OUTCOME_RETRY, for a handler to return.
 * Context: any; a coroutine's own stack is not used for formatting.
 */
enum job_outcome job_retry(struct job *job, int64_t delay_ms,
                           const char *error_class, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/**
 * Logs a line of level info about @job, formatted as by printf().
 * Context: any; a coroutine's own stack is not used for formatting.
 */
void job_log(const struct job *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
