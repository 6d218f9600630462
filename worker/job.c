#include "worker/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/sched/task.h"
#include "worker/log.h"

/* A line about a job is cut to this many bytes. */
#define LINE_MAX_BYTES 512

struct job *job_new(const struct job_queue *queue, uint64_t number,
                    const void *payload, size_t len)
{
    struct job *job = malloc(sizeof *job + len + 1);
    if (!job)
        return NULL;
    job->message.kind = MESSAGE_JOB;
    atomic_init(&job->phase, JOB_PHASE_WAITING);
    job->outcome = JOB_OUTCOME_NONE;
    job->queue = queue;
    job->number = number;
    job->error_class = NULL;
    job->error_message = NULL;
    job->retry_delay_ms = -1;
    job->attempt = 0;
    list_init(&job->in_flight);
    job->taken_at_us = 0;
    job->payload_len = len;
    memcpy(job->payload, payload, len);
    job->payload[len] = '\0';
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->error_message);
    free(job);
}

static bool leave_waiting(struct job *job, enum job_phase phase)
{
    enum job_phase expected = JOB_PHASE_WAITING;
    return atomic_compare_exchange_strong(&job->phase, &expected, phase);
}

bool job_start(struct job *job)
{
    return leave_waiting(job, JOB_PHASE_STARTED);
}

bool job_revoke(struct job *job)
{
    return leave_waiting(job, JOB_PHASE_REVOKED);
}

/* Formatting takes kilobytes of stack, which a coroutine would keep for its
 * whole life: it is done on the loop's. */
struct text {
    const struct job *job;
    const char *format;
    va_list *arguments;
    char *formatted;
};

static void format_text(void *argument)
{
    struct text *text = argument;
    if (vasprintf(&text->formatted, text->format, *text->arguments) < 0)
        text->formatted = NULL;
}

static void note_failure(struct job *job, const char *error_class,
                         const char *format, va_list *arguments)
{
    struct text text = {.format = format, .arguments = arguments};
    coro_call_on_loop_stack(format_text, &text);
    free(job->error_message);
    job->error_class = error_class;
    job->error_message = text.formatted;
}

enum job_outcome job_fail(struct job *job, const char *error_class,
                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_failure(job, error_class, format, &arguments);
    va_end(arguments);
    return JOB_OUTCOME_FAILED;
}

enum job_outcome job_retry(struct job *job, int64_t delay_ms,
                           const char *error_class, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_failure(job, error_class, format, &arguments);
    va_end(arguments);
    job->retry_delay_ms = delay_ms;
    return JOB_OUTCOME_RETRY;
}

static void log_text(void *argument)
{
    struct text *text = argument;
    const struct job *job = text->job;
    char line[LINE_MAX_BYTES];
    vsnprintf(line, sizeof line, text->format, *text->arguments);
    const struct log_field fields[] = {
        log_bytes("queue", job->queue->key, job->queue->key_len),
        log_int("job", (int64_t)job->number),
    };
    log_line(LOG_LEVEL_INFO, NULL, fields, 2, "%s", line);
}

void job_log(const struct job *job, const char *format, ...)
{
    if (!log_is_on(LOG_LEVEL_INFO))
        return;
    va_list arguments;
    va_start(arguments, format);
    struct text text = {.job = job, .format = format, .arguments = &arguments};
    coro_call_on_loop_stack(log_text, &text);
    va_end(arguments);
}
