/*
 * A hierarchical timer wheel: four levels of 256 slots, one millisecond a tick.
 *
 * Adding and removing a timer takes a few nanoseconds however many there are.
 * A timer lies in the slot of its level that its deadline falls into; when the
 * wheel's time reaches a slot of a higher level, its timers move down. Due
 * times beyond the wheel's range (49 days) wait in its last slot and move again.
 *
 * Internal to the loop: programs use deadlines. One thread at a time.
 */
#ifndef CORO_SCHED_WHEEL_H
#define CORO_SCHED_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/list.h"

#define CORO_WHEEL_LEVELS 4
#define CORO_WHEEL_SLOTS  256

/* Storage is the caller's, and stays where it is while the timer is armed. */
struct coro_timer {
    struct list link; /* in a slot; in no list when not armed */
    int64_t deadline_ms;
    void (*fire)(struct coro_timer *timer);
};

struct coro_wheel {
    int64_t now_ms; /* everything due up to here has fired */
    uint64_t occupied[CORO_WHEEL_LEVELS][CORO_WHEEL_SLOTS / 64];
    struct list slots[CORO_WHEEL_LEVELS][CORO_WHEEL_SLOTS];
};

/** Makes an empty wheel that stands at @now_ms. */
void coro_wheel_init(struct coro_wheel *wheel, int64_t now_ms);

/** Makes @timer one that is not armed, calling @fire when it is due. */
static inline void coro_timer_init(struct coro_timer *timer,
                                   void (*fire)(struct coro_timer *))
{
    list_init(&timer->link);
    timer->fire = fire;
}

/** True while @timer waits to fire. */
static inline bool coro_timer_is_armed(const struct coro_timer *timer)
{
    return !list_is_empty(&timer->link);
}

/**
 * Arms @timer, which is not armed, for @deadline_ms. A deadline that has passed
 * fires at the wheel's next tick. CORO_NEVER is allowed, and does nothing.
 */
void coro_wheel_add(struct coro_wheel *wheel, struct coro_timer *timer,
                    int64_t deadline_ms);

/** Disarms @timer; nothing happens when it is not armed. */
static inline void coro_timer_stop(struct coro_timer *timer)
{
    list_remove(&timer->link);
}

/**
 * Moves the wheel to @now_ms and fires what is due, in the order of deadlines.
 * A timer is no longer armed when its function is called, which may add and
 * stop timers.
 */
void coro_wheel_advance(struct coro_wheel *wheel, int64_t now_ms);

/**
 * When coro_wheel_advance() is to be called next, at the latest; CORO_NEVER
 * when no timer is armed. It may be sooner than the first timer is due.
 */
int64_t coro_wheel_next_ms(struct coro_wheel *wheel);

#endif
