/*
 * How long to wait before the next attempt.
 *
 * The wait doubles from `first_ms` to `max_ms` and each is spread by half of
 * itself, so that many clients of a server that came back do not all call at
 * once. A success alone does not reset it: a server that accepts and then
 * drops us must not be called in a tight loop. Only after
 * CORO_BACKOFF_HEALTHY_MS of health does the next failure start from the
 * beginning. Time is a parameter, nothing here reads a clock:
 *
 *     coro_backoff_init(&backoff, 50, 5000, seed);
 *     for (;;) {
 *         if (attempt() == 0) {
 *             coro_backoff_success(&backoff, coro_now_ms());
 *             work_until_it_breaks();
 *         }
 *         coro_backoff_failure(&backoff, coro_now_ms());
 *         coro_sleep_until(coro_after(coro_backoff_next_ms(&backoff)));
 *     }
 *
 * Context of every function here: any thread, does not suspend; one thread at
 * a time for each back-off.
 */
#ifndef CORO_BASE_BACKOFF_H
#define CORO_BASE_BACKOFF_H

#include <stdint.h>

#include "coro/base/random.h"

#define CORO_BACKOFF_FIRST_MS   50
#define CORO_BACKOFF_MAX_MS     5000
#define CORO_BACKOFF_HEALTHY_MS 10000

struct coro_backoff {
    int64_t first_ms;
    int64_t max_ms;
    int64_t wait_ms;          /* the next wait, before it is spread */
    int64_t healthy_since_ms; /* CORO_NEVER while not healthy */
    struct coro_rng rng;
};

/** @first_ms at least 1, @max_ms at least that; the same @seed, same waits. */
void coro_backoff_init(struct coro_backoff *backoff, int64_t first_ms,
                       int64_t max_ms, uint64_t seed);

/**
 * The next wait in milliseconds: 50 to 150 % of the current step, and never
 * above max_ms. The step after it is twice as long.
 */
int64_t coro_backoff_next_ms(struct coro_backoff *backoff);

/** It works at @now_ms. Calling it again while it works changes nothing. */
void coro_backoff_success(struct coro_backoff *backoff, int64_t now_ms);

/**
 * It does not work at @now_ms. If it had worked for CORO_BACKOFF_HEALTHY_MS or
 * more, the waits begin again at first_ms.
 */
void coro_backoff_failure(struct coro_backoff *backoff, int64_t now_ms);

#endif
