/*
 * Looking at one task as it stands: what it waits for and who waits for it,
 * since when, how deep, where. Nothing is resumed. See dump.h for all of them.
 */
#ifndef CORO_SCHED_INSPECT_H
#define CORO_SCHED_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include "coro/sched/task.h"

struct coro_symbols;

/* More calls than these are left out, beginning with the outermost. */
#define CORO_INSPECT_FRAMES 32

/* What there is to know of a task. */
struct coro_inspection {
    const char *name; /* borrowed from the task */
    uint64_t id;
    enum coro_task_state state;
    char waits_for[96];  /* in words, or "task 7 'fetch'"; empty: it does not */
    char awaited_by[96]; /* who waits for its end: "task 1 'main' and 2 more" */
    int64_t since_ms;    /* of the last change of state: coro_now_ms() */
    int64_t deadline_ms; /* until when it waits at most, or CORO_NEVER */
    size_t stack_bytes;  /* what there is of it */
    size_t high_water_bytes; /* what was ever used, see coro_stack_high_water */
    size_t nframes;
    uintptr_t frames[CORO_INSPECT_FRAMES]; /* its calls, innermost first */
};

/**
 * Looks at @task, which may be the one that calls this.
 *
 * Context: the thread of its loop; does not suspend; needs a deep stack.
 */
void coro_task_inspect(const struct coro_task *task,
                       struct coro_inspection *ret_inspection);

/** "new", "ready", "running", "waiting", "done". */
const char *coro_task_state_name(enum coro_task_state state);

/**
 * Writes the calls of @inspection to @text, as a string in one line: "innermost
 * < … < outermost". The switch itself, which is the same in all, is left out,
 * and what does not fit ends in "…".
 */
void coro_inspection_calls(const struct coro_inspection *inspection,
                           const struct coro_symbols *symbols, char *text,
                           size_t capacity);

/* --- for dumps ------------------------------------------------------------ */

/**
 * Puts the calls of @task into @frames, which has room for CORO_INSPECT_FRAMES;
 * where it stands in a generator, those go on with the calls of whoever resumed
 * that. Returns how many there are.
 */
size_t coro_task_calls(const struct coro_task *task, uintptr_t *frames);

/** How many of the first of @frames are the switch, the same for all. */
size_t coro_first_call(const uintptr_t *frames, size_t nframes,
                       const struct coro_symbols *symbols);

#endif
