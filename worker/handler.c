#include "worker/handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/nearest.h"
#include "worker/envelope.h"
#include "worker/handlers/handlers.h"

/* How much of a class name is looked at and shown. */
#define CLASS_MAX_BYTES 256

/* How much of a kind that is not known is shown. */
#define SPEC_SHOWN_BYTES 100

struct binding {
    struct binding *next;
    const struct handler_kind *kind;
    char class_name[];
};

struct registry {
    const struct handler_kind *raw; /* NULL: raw jobs are not taken */
    struct binding *bindings;       /* by class; few, so a list */
    struct binding **end;           /* of it, where the next one goes */
};

static const struct handler_kind *const kinds[] = {
    &handler_fail,
    &handler_fault,
    &handler_noop,
    &handler_sleep,
};

#define NKINDS (sizeof kinds / sizeof *kinds)

struct registry *registry_new(void)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry)
        registry->end = &registry->bindings;
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    while (registry->bindings) {
        struct binding *binding = registry->bindings;
        registry->bindings = binding->next;
        free(binding);
    }
    free(registry);
}

static const struct handler_kind *find_kind(const char *spec, char *why,
                                            size_t why_size)
{
    const char *names[NKINDS];
    for (size_t i = 0; i < NKINDS; i++) {
        if (strcmp(spec, kinds[i]->name) == 0)
            return kinds[i];
        names[i] = kinds[i]->name;
    }
    const char *near = coro_nearest(spec, names, NKINDS);
    /* Behind a ':', in a misplaced URL, there may be a password. */
    size_t shown = strcspn(spec, ":");
    snprintf(why, why_size,
             "found '%.*s', expected one of: fail, fault, noop, sleep%s%s%s",
             shown < SPEC_SHOWN_BYTES ? (int)shown : SPEC_SHOWN_BYTES, spec,
             near ? "; did you mean '" : "", near ? near : "",
             near ? "'?" : "");
    return NULL;
}

int registry_bind_kind(struct registry *registry, const char *class_name,
                       const struct handler_kind *kind)
{
    if (!class_name) {
        registry->raw = kind;
        return 0;
    }
    size_t size = strlen(class_name) + 1;
    struct binding *binding = malloc(sizeof *binding + size);
    if (!binding)
        return -ENOMEM;
    memcpy(binding->class_name, class_name, size);
    binding->kind = kind;
    binding->next = NULL;
    *registry->end = binding;
    registry->end = &binding->next;
    return 0;
}

int registry_bind(struct registry *registry, const char *class_name,
                  const char *spec, char *why, size_t why_size)
{
    const struct handler_kind *kind = find_kind(spec, why, why_size);
    return kind ? registry_bind_kind(registry, class_name, kind) : -EINVAL;
}

static const struct handler_kind *find_bound(const struct registry *registry,
                                             const char *name, size_t len)
{
    for (const struct binding *b = registry->bindings; b; b = b->next)
        if (strlen(b->class_name) == len &&
            memcmp(b->class_name, name, len) == 0)
            return b->kind;
    return NULL;
}

/* "A, B" in the order in which they were bound; cut where it gets long. */
static void list_classes(const struct registry *registry, struct coro_buf *out)
{
    for (const struct binding *b = registry->bindings; b; b = b->next) {
        if (out->len > 0)
            coro_buf_append_string(out, ", ");
        coro_buf_append_string(out, b->class_name);
    }
    if (out->len == 0)
        coro_buf_append_string(out, "none");
}

static enum job_outcome refuse_class(const struct registry *registry,
                                     struct job *job, const char *name,
                                     size_t len)
{
    struct coro_buf classes;
    coro_buf_init(&classes, 1000);
    list_classes(registry, &classes);
    enum job_outcome outcome = job_fail(
        job, "NoHandler", "no handler for class '%.*s'; classes with one: %s",
        (int)len, name,
        classes.data ? classes.data : "(no memory to list them)");
    coro_buf_release(&classes);
    return outcome;
}

static enum job_outcome run_described(const struct registry *registry,
                                      struct job *job,
                                      const struct scan_result *scan)
{
    struct coro_buf name;
    coro_buf_init(&name, CLASS_MAX_BYTES);
    if (scan_string_decode(scan->class, &name) < 0) {
        coro_buf_release(&name);
        return job_fail(job, "NoHandler", "the class is longer than %d bytes",
                        CLASS_MAX_BYTES);
    }
    const struct handler_kind *kind = find_bound(registry, name.data, name.len);
    enum job_outcome outcome = JOB_OUTCOME_NONE;
    if (!kind)
        outcome =
            refuse_class(registry, job, name.data ? name.data : "", name.len);
    coro_buf_release(&name);
    if (!kind)
        return outcome;
    return kind->run(
        &(struct handler_call){job, scan->first_arg.at, scan->first_arg.len});
}

static enum job_outcome run_raw(const struct registry *registry,
                                struct job *job, const char *payload,
                                size_t len)
{
    if (!registry->raw)
        return job_fail(job, "NoHandler",
                        "the payload is not a job with a class, and there is "
                        "no default handler");
    return registry->raw->run(&(struct handler_call){job, payload, len});
}

/* Runs what was in an envelope. One within it is a payload like any other. */
static enum job_outcome run_opened(const struct registry *registry,
                                   struct job *job,
                                   const struct coro_buf *payload)
{
    struct scan_result scan;
    /* A described job may have been put into one, by whoever. */
    if (scan_job(payload->data, payload->len, &scan) == SCAN_DESCRIBED)
        return run_described(registry, job, &scan);
    return run_raw(registry, job, payload->data, payload->len);
}

static enum job_outcome run_envelope(const struct registry *registry,
                                     struct job *job)
{
    struct coro_buf key, payload;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&payload, CORO_BUF_NO_LIMIT);
    enum job_outcome outcome;
    int status = envelope_read(job->payload, job->payload_len, &key, &payload);
    coro_buf_release(&key);
    if (status == 0)
        outcome = run_opened(registry, job, &payload);
    else if (status == -EINVAL)
        outcome = run_raw(registry, job, job->payload, job->payload_len);
    else
        outcome = job_retry(job, -1, "NoMemory",
                            "no memory to open the job's envelope");
    coro_buf_release(&payload);
    return outcome;
}

enum job_outcome registry_run(const struct registry *registry, struct job *job)
{
    struct scan_result scan;
    switch (scan_job(job->payload, job->payload_len, &scan)) {
    case SCAN_DESCRIBED:
        return run_described(registry, job, &scan);
    case SCAN_ENVELOPE:
        return run_envelope(registry, job);
    default:
        return run_raw(registry, job, job->payload, job->payload_len);
    }
}
