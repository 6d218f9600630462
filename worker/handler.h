/*
 * Handlers: what is done with a job, and which job goes to which.
 *
 * A kind of handler ("sleep") is written once, in handlers/; a SPEC on the
 * command line makes a handler of that kind; a registry binds handlers to
 * classes of described jobs, and one to everything raw.
 *
 *     struct registry *registry = registry_new();
 *     status = registry_bind(registry, NULL, "sleep", why, sizeof why);
 *     …
 *     outcome = registry_run(registry, job);
 *
 * A registry is filled before the worker thread starts, and only read then.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include <stddef.h>

#include "worker/job.h"

/* A job as a handler sees it. */
struct handler_call {
    struct job *job;
    /* What the job is about: a raw job's payload, which may have come in an
     * envelope, or the first argument of a described one, as it stands there
     * (a string with its quotes). Not ended by a zero byte. */
    const char *subject;
    size_t subject_len;
};

struct handler_kind {
    const char *name;    /* what a SPEC begins with, up to its first ':' */
    const char *summary; /* half a line, for the help */

    /**
     * Runs one job, as a coroutine of the worker's loop: it may suspend, and
     * whatever it waits in returns -ECANCELED when the job is cancelled.
     * job_fail() notes why one failed.
     */
    enum job_outcome (*run)(const struct handler_call *call);
};

struct registry;

/** An empty registry, or NULL when there is no memory. registry_free(). */
struct registry *registry_new(void);

/** Frees @registry; NULL is allowed. No job may be running. */
void registry_free(struct registry *registry);

/**
 * Binds a handler made from @spec to jobs of class @class_name, or, when that
 * is NULL, to raw jobs.
 *
 * Returns 0, -ENOMEM, or -EINVAL with what was found and what was expected in
 * @why. Context: before the worker starts.
 */
int registry_bind(struct registry *registry, const char *class_name,
                  const char *spec, char *why, size_t why_size);

/**
 * The same for a kind of handler that is not among the built-in ones; @kind is
 * borrowed for the registry's life. Returns 0 or -ENOMEM.
 */
int registry_bind_kind(struct registry *registry, const char *class_name,
                       const struct handler_kind *kind);

/**
 * Finds the handler of @job and runs it. A job that none takes has failed. One
 * that comes in an envelope (envelope.h) is run as what is in there.
 * Context: coroutine on the worker's loop. Suspends; a cancellation point.
 */
enum job_outcome registry_run(const struct registry *registry, struct job *job);

#endif
