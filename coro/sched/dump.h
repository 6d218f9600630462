/*
 * What every task of a loop is doing: for whoever has to find out why a program
 * stands still.
 *
 *     task 7 'fetch' has waited for queue->getters for 3.204 s, at most 1.796 s
 *     more; stack 1872 of 61440 bytes
 *         coro_queue_get+0x4c
 *         fetch+0x30
 *         task_main+0x5a
 *         and 96 more like it: 8 9 10 11 …
 *
 * Suspended tasks are looked at as they stand; nothing is resumed, and their
 * stacks stay as they are. What a task waits for is the name that the source
 * has for it. See core/backtrace.h and core/symbol.h for what limits there are
 * to the calls and their names.
 */
#ifndef CORO_SCHED_DUMP_H
#define CORO_SCHED_DUMP_H

#include <stddef.h>
#include <stdint.h>

#include "coro/sched/loop.h"
#include "coro/sched/task.h"

struct coro_symbols;

/* More calls than these are left out, beginning with the outermost. */
#define CORO_INSPECT_FRAMES 32

/* What there is to know of a task. */
struct coro_inspection {
    const char *name; /* borrowed from the task */
    uint64_t id;
    enum coro_task_state state;
    char waits_for[40];      /* empty unless it waits */
    int64_t since_ms;        /* of the last change of state: coro_now_ms() */
    int64_t deadline_ms;     /* until when it waits at most, or CORO_NEVER */
    size_t stack_bytes;      /* what there is of it */
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

/** Takes @len bytes of a dump at @text, one line at a time. */
typedef void coro_dump_fn(void *argument, const char *text, size_t len);

/**
 * Gives a dump of all tasks of @loop to @write, oldest first; tasks that do the
 * same in the same place are told of together.
 *
 * Context: the loop's thread, in a task or not; does not suspend. @write is
 * called on the loop's stack and must not suspend either.
 */
void coro_dump(struct coro_loop *loop, coro_dump_fn *write, void *argument);

/** coro_dump() to the descriptor @fd; what can't be written is lost. */
void coro_dump_fd(struct coro_loop *loop, int fd);

#endif
