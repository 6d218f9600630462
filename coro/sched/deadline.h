/*
 * Condition variables that know deadlines, for threads that wait for a loop.
 *
 * Internal to coro/sched. They go by the monotonic clock, so that nobody who
 * sets the wall clock makes a wait longer or shorter.
 */
#ifndef CORO_SCHED_DEADLINE_H
#define CORO_SCHED_DEADLINE_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "coro/base/clock.h"

/** Makes @condition one for coro_cond_wait(). */
static inline void coro_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/**
 * Waits for @condition, whose @mutex is locked; it may return for no reason.
 * Returns 0, or -ETIMEDOUT when @deadline_ms has passed. Blocks the thread.
 */
static inline int coro_cond_wait(pthread_cond_t *condition,
                                 pthread_mutex_t *mutex, int64_t deadline_ms)
{
    if (deadline_ms == CORO_NEVER)
        return -pthread_cond_wait(condition, mutex);
    if (deadline_ms < 0)
        deadline_ms = 0;
    const struct timespec when = {.tv_sec = deadline_ms / 1000,
                                  .tv_nsec = deadline_ms % 1000 * 1000000};
    return -pthread_cond_timedwait(condition, mutex, &when);
}

#endif
