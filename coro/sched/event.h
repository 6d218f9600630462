/*
 * An event: something that has happened or has not, for any number of tasks to
 * wait for.
 *
 *     coro_event_wait(&ready, CORO_NEVER);     many tasks
 *     coro_event_set(&ready);                  one; all of them go on
 *
 * A future is for a result that comes once; an event can be cleared and set
 * again. There is nothing to free. One loop's thread.
 */
#ifndef CORO_SCHED_EVENT_H
#define CORO_SCHED_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_event {
    struct list waiters;
    bool is_set;
};

/** Makes @event one that has not happened. Context: any. */
static inline void coro_event_init(struct coro_event *event)
{
    list_init(&event->waiters);
    event->is_set = false;
}

/** True from coro_event_set() until coro_event_clear(). */
static inline bool coro_event_is_set(const struct coro_event *event)
{
    return event->is_set;
}

/**
 * Sets @event. Whoever waits goes on, in the order in which they came, also
 * when it is cleared before they run. Context: loop thread; does not suspend.
 */
void coro_event_set(struct coro_event *event);

/** Takes it back, for those who wait from now on. Context: loop thread. */
static inline void coro_event_clear(struct coro_event *event)
{
    event->is_set = false;
}

/**
 * Waits until @event is set. Returns 0, -ETIMEDOUT or -ECANCELED. Context:
 * coroutine on the loop thread. Suspends unless it is set; a cancellation point
 * then.
 */
int coro_event_wait(struct coro_event *event, int64_t deadline_ms);

#endif
