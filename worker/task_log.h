/*
 * Log lines that say what a task is doing, for whoever asks by a signal.
 *
 *     worker: task 'fetch' waits for lines->come age=1.00 … calls="lines_wait < …"
 *
 * Context: the thread of the task's loop, on a deep stack; does not suspend.
 */
#ifndef WORKER_TASK_LOG_H
#define WORKER_TASK_LOG_H

#include <stddef.h>

#include "coro/sched/inspect.h"
#include "worker/log.h"

struct coro_symbols;

/* So many fields task_log_fields() has at most. */
#define TASK_LOG_FIELDS 5

/* Where what they point to lies. */
struct task_log_text {
    char calls[512];
};

/**
 * The fields that tell where a task stands: left (the seconds after which it
 * waits no more) and awaited_by, where there is such a thing; stack and
 * stack_size, in bytes; calls.
 *
 * Returns how many there are. They are good as long as @found and @text are.
 */
size_t task_log_fields(const struct coro_inspection *found,
                       const struct coro_symbols *symbols,
                       struct task_log_text *text,
                       struct log_field fields[TASK_LOG_FIELDS]);

/** Logs what @task is doing, in one line. */
void task_log(const char *component, const struct coro_task *task,
              const struct coro_symbols *symbols);

#endif
