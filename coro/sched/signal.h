/*
 * Signals as something to await.
 *
 *     struct coro_signals signals;
 *     int status = coro_signals_open(&signals, loop, (int[]){SIGINT, SIGTERM, 0});
 *     …
 *     int number = coro_signals_wait(&signals, CORO_NEVER);
 *     …
 *     coro_signals_close(&signals);
 *
 * While a signal is in some open set it does nothing but be noted: a handler,
 * in whatever thread, sets a bit and writes to an eventfd, and the loop does the
 * rest in its next turn. As with the kernel, one that comes twice before it is
 * seen came once. When the last set that has it is closed, what was done about
 * the signal before is done again.
 *
 * Signals belong to the process, so only one loop of it takes them at a time.
 * Everything here belongs to that loop's thread. Who blocks a signal in every
 * thread won't see it here either.
 */
#ifndef CORO_SCHED_SIGNAL_H
#define CORO_SCHED_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_loop;

/* Storage is the caller's. */
struct coro_signals {
    struct list link;
    struct list waiters;
    uint64_t mask;    /* which signals it is for; bit n - 1 is signal n */
    uint64_t pending; /* which of them have come and were not waited for */

    /* NULL, or called instead of noting it, on the loop's stack; it does not
     * suspend. May be set between open and the next suspension. */
    void (*on_signal)(void *argument, int number);
    void *argument;
};

/**
 * Opens @signals for the signals @numbers, which end with 0.
 *
 * Returns 0, or
 *   -EINVAL   there is none, or one of them can't be caught;
 *   -EBUSY    another loop takes the signals of this process;
 *   -ENOMEM, -EMFILE, -ENFILE.
 *
 * Ownership: coro_signals_close(), before the loop is freed.
 * Context: loop thread; does not suspend.
 */
int coro_signals_open(struct coro_signals *signals, struct coro_loop *loop,
                      const int *numbers);

/** Closes @signals; nobody may wait for it. Closing twice does nothing. */
void coro_signals_close(struct coro_signals *signals);

/**
 * Waits for one of the signals; of several that have come, the lowest number.
 *
 * Returns the signal's number, -ETIMEDOUT or -ECANCELED. When several tasks
 * wait for the same set, each signal is given to one of them.
 *
 * Context: coroutine on the loop thread. Suspends unless one has come; a
 * cancellation point then.
 */
int coro_signals_wait(struct coro_signals *signals, int64_t deadline_ms);

#endif
