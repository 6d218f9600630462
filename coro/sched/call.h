/*
 * Calls: functions that the loop calls by itself, soon or at a time.
 *
 *     struct coro_call call = {0};
 *     coro_call_later(loop, &call, 500, blink, lamp);
 *     …
 *     coro_call_cancel(&call);
 *
 * They run on the loop's own stack and don't suspend. Among themselves and with
 * tasks, what becomes due first runs first. Storage is the caller's, from the
 * order until the function is called or the call cancelled; a loop that is
 * freed forgets its calls. Everything here belongs to the loop's thread; from
 * others use coro_call_soon_threadsafe(), inbox.h.
 */
#ifndef CORO_SCHED_CALL_H
#define CORO_SCHED_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/sched/future.h"
#include "coro/sched/wheel.h"

struct coro_loop;

/* Zeroed before first use. Pending at most once at a time. */
struct coro_call {
    struct coro_callback callback;
    struct coro_timer timer;
    struct coro_loop *loop;
    void (*function)(void *argument);
    void *argument;
    uint64_t tag; /* of who ordered it */
};

/** Calls @function(@argument) in the next pass, after what is ready now. */
void coro_call_soon(struct coro_loop *loop, struct coro_call *call,
                    void (*function)(void *argument), void *argument);

/**
 * Calls @function(@argument) in @delay_ms, or a little later; 0 or less: in the
 * next pass. Context: loop thread; does not suspend.
 */
void coro_call_later(struct coro_loop *loop, struct coro_call *call,
                     int64_t delay_ms, void (*function)(void *argument),
                     void *argument);

/**
 * Calls @function(@argument) at @deadline_ms of coro_now_ms(), or a little
 * later; in the next pass if that has passed. CORO_NEVER is allowed.
 */
void coro_call_at(struct coro_loop *loop, struct coro_call *call,
                  int64_t deadline_ms, void (*function)(void *argument),
                  void *argument);

/** True from the order until the function is called or the call cancelled. */
bool coro_call_is_pending(const struct coro_call *call);

/**
 * Takes the order back: the function is not called, and @call may be freed.
 * Returns false when nothing was pending. Context: loop thread.
 */
bool coro_call_cancel(struct coro_call *call);

#endif
