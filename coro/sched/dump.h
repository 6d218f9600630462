/*
 * What every task of a loop is doing, and every generator: for whoever has to
 * find out why a program stands still.
 *
 *     task 7 'fetch' has waited for queue->getters for 3.204 s, at most 1.796 s
 *     more; awaited by task 1 'main' and 2 more; stack 1872 of 61440 bytes
 *         coro_queue_get+0x4c
 *         fetch+0x30
 *         task_main+0x5a
 *         and 96 more like it: 8 9 10 11 …
 *     task 1 'main' has waited for task 7 'fetch' and 96 more for 3.204 s; …
 *     …
 *     1 generators
 *     generator 'count' is suspended; made by task 1; stack 520 of 61440 bytes
 *
 * Suspended tasks are looked at as they stand; nothing is resumed, and their
 * stacks stay as they are. What a task waits for is the name that the source
 * has for it, or the task whose end that is; among those alike, 8→12 is task 8
 * that waits for task 12. A generator that runs in a task is in the calls of
 * that. See core/backtrace.h and core/symbol.h for what limits there are
 * to the calls and their names.
 */
#ifndef CORO_SCHED_DUMP_H
#define CORO_SCHED_DUMP_H

#include <stddef.h>

#include "coro/sched/inspect.h"
#include "coro/sched/loop.h"

/** Takes @len bytes of a dump at @text, one line at a time. */
typedef void coro_dump_fn(void *argument, const char *text, size_t len);

/**
 * Gives a dump of all tasks of @loop to @write, oldest first, and of all
 * generators of its thread; what does the same in the same place is told of
 * together.
 *
 * Context: the loop's thread, in a task or not; does not suspend. @write is
 * called on the loop's stack and must not suspend either.
 */
void coro_dump(struct coro_loop *loop, coro_dump_fn *write, void *argument);

/** coro_dump() to the descriptor @fd; what can't be written is lost. */
void coro_dump_fd(struct coro_loop *loop, int fd);

#endif
