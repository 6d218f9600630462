/*
 * A time limit for a piece of a task's work, however many waits that makes.
 *
 *     struct coro_timeout limit;
 *     coro_timeout_begin(&limit, coro_after(500));
 *     int status = shake_hands(peer);         a function with many waits
 *     status = coro_timeout_end(&limit, status);
 *
 * When the time is up the task is cancelled, so that the work is told with
 * -ECANCELED wherever it waits; coro_timeout_end() turns that into -ETIMEDOUT.
 * It does not when the task was cancelled by somebody else as well: that is
 * then the stronger reason, and stays -ECANCELED.
 *
 * Limits nest, and the nearest ends first. One wait needs no limit of its own,
 * since it takes a deadline.
 *
 * A limit lies in the frame that begins and ends it. Everything here belongs to
 * one loop's thread.
 */
#ifndef CORO_SCHED_TIMEOUT_H
#define CORO_SCHED_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/sched/task.h"
#include "coro/sched/wheel.h"

struct coro_timeout {
    struct coro_timer timer;
    struct coro_task *task;
    unsigned ncancels; /* of the task, when the limit began */
    int64_t deadline_ms;
    bool has_expired;
};

/**
 * Begins a limit for the running task.
 *
 * @deadline_ms  absolute; CORO_NEVER: none, for now. One that has passed acts
 *               at the next suspension.
 *
 * Context: coroutine on the loop thread; does not suspend.
 */
void coro_timeout_begin(struct coro_timeout *limit, int64_t deadline_ms);

/** Moves the deadline of a limit that has not expired; else -ETIMEDOUT. */
int coro_timeout_move(struct coro_timeout *limit, int64_t deadline_ms);

/** The deadline, CORO_NEVER if there is none. */
int64_t coro_timeout_deadline_ms(const struct coro_timeout *limit);

/** True once the time was up, also after the limit has ended. */
bool coro_timeout_has_expired(const struct coro_timeout *limit);

/**
 * Ends a limit; to be called once, in each way out of the work.
 *
 * @status  how the work went.
 *
 * Returns @status, or -ETIMEDOUT when that is -ECANCELED because of this limit
 * only. Context: the task that began it; does not suspend.
 */
int coro_timeout_end(struct coro_timeout *limit, int status);

#endif
