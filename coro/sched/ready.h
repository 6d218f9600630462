/*
 * The run queue: tasks and callbacks of a loop that are ready, in the order in
 * which they became so. Internal to the scheduler's hot path; loop thread.
 *
 * A pass runs what was there when it began, up to `pass_last`; there is always
 * something in the queue while that is set.
 */
#ifndef CORO_SCHED_READY_H
#define CORO_SCHED_READY_H

#include <stddef.h>

#include "coro/base/list.h"
#include "coro/sched/schedule.h"

/** The task whose place in the queue @ready is. */
static inline struct coro_task *coro_ready_task(struct coro_callback *ready)
{
    return list_entry(ready, struct coro_task, ready);
}

/** Puts @ready at the end. */
static inline void coro_ready_push(struct coro_loop *loop,
                                   struct coro_callback *ready)
{
    ready->next = NULL;
    if (loop->ready_first)
        loop->ready_last->next = ready;
    else
        loop->ready_first = ready;
    loop->ready_last = ready;
}

/** Takes the first one, which there must be. */
static inline struct coro_callback *coro_ready_pop(struct coro_loop *loop)
{
    struct coro_callback *first = loop->ready_first;
    loop->ready_first = first->next;
    if (first == loop->pass_last)
        loop->pass_last = NULL;
    return first;
}

/* The line of a task that is @offset bytes from its block's beginning. (A
 * function that does nothing else is left out, if it is not inlined early.) */
static inline __attribute__((always_inline)) void coro_ready_fetch_line(
    const struct coro_callback *ready, ptrdiff_t offset)
{
    __builtin_prefetch((const char *)ready - offsetof(struct coro_task, ready) +
                       offset);
}

/** Has the processor load what a switch to the task of @ready, if there is one,
 * will need: its first line, and its topmost frames, which lie below that. */
static inline __attribute__((always_inline)) void coro_ready_fetch_frames(
    const struct coro_callback *ready)
{
    if (!ready)
        return;
    coro_ready_fetch_line(ready, 0);
    coro_ready_fetch_line(ready, -64);
    coro_ready_fetch_line(ready, -128);
}

/** The same for all of a life that has not begun. */
static inline __attribute__((always_inline)) void coro_ready_fetch_life(
    const struct coro_callback *ready)
{
    if (!ready)
        return;
    coro_ready_fetch_line(ready, 0);
    coro_ready_fetch_line(ready, -64);
    coro_ready_fetch_line(ready, offsetof(struct coro_task, function));
    coro_ready_fetch_line(ready, offsetof(struct coro_task, ended));
}

#endif
