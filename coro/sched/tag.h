/*
 * Tags: whose work is being done. A tag is a number that means something to
 * whoever set it, and is passed on to whatever is begun in its name:
 *
 *     coro_tag_set(order->number);
 *     …                                  anywhere below, at any time, even in
 *     coro_tag()                         a signal handler
 *
 *     task ──▶ tasks that it spawns, here or in another loop
 *          ──▶ work that it gives to threads (executor.h)
 *          ──▶ calls that it orders (call.h, inbox.h)
 *          ──▶ what is called on the loop's stack for it, and what frees its
 *              value
 *
 * It is passed on at the moment when the other thing is begun; a later change
 * reaches nobody. It is a value and not a pointer: whoever reads it need not
 * know whether what it stands for is still there. A generator does the work of
 * whoever resumes it.
 */
#ifndef CORO_SCHED_TAG_H
#define CORO_SCHED_TAG_H

#include <stdint.h>

/**
 * The tag of what runs in this thread: a task, work that was given to it, or
 * what was begun by one of these; 0: none. Context: any thread; any signal.
 */
uint64_t coro_tag(void);

/**
 * Gives the running task, or outside of tasks the thread, another tag.
 * Context: any thread.
 */
void coro_tag_set(uint64_t tag);

/** Calls @function(@argument) under @tag; it must not suspend. Any thread. */
void coro_tag_call(uint64_t tag, void (*function)(void *argument),
                   void *argument);

#endif
