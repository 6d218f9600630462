/*
 * What `corq push` sends: the bytes of a job, and where they go.
 *
 *     raw, now                  ─▶ its queue, as it is
 *     raw, later or --retry     ─▶ corq:schedule or its queue, in an envelope
 *     described, queue:…        ─▶ its queue or schedule, with the members that
 *                                  other programs of the format expect
 *     described, another key    ─▶ its queue, as it is, or corq:schedule
 */
#ifndef MASTER_CLI_PUSH_JOB_H
#define MASTER_CLI_PUSH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/buf.h"

/* What was asked for. Everything is borrowed for the call. */
struct push_request {
    const char *key; /* of the queue */
    const char *payload;
    size_t payload_len;
    int64_t now_us;
    int64_t due_us; /* not after now_us: at once */
    int64_t retry;  /* how often it may be retried; -1: not told */
    bool needs_jid; /* a described job gets one wherever it goes */
};

struct push_job {
    const char *set;       /* where it waits; NULL: it goes to its queue */
    const char *name;      /* of a queue that other programs show, or NULL;
                              points into the request's key */
    struct coro_buf bytes; /* of the job */
    struct coro_buf jid;   /* empty: it has none */
};

/**
 * Makes the job that was asked for.
 *
 * Returns 0 or a negative errno (no memory, no random numbers). Ownership:
 * push_job_release(), also after a failure. Context: any thread.
 */
int push_job_make(const struct push_request *request, struct push_job *ret_job);

/** Frees what @job holds. */
void push_job_release(struct push_job *job);

/**
 * Appends a described job of @class_name with @args, which is JSON text, to
 * @out.
 *
 * Returns 0, -EILSEQ when @class_name is not valid UTF-8, -EINVAL when @args is
 * no JSON array (nested too deeply is none), or -ENOMEM. Context: any thread.
 */
int push_job_describe(const char *class_name, const char *args,
                      struct coro_buf *out);

#endif
