/*
 * The executor: blocking work in threads, awaited by coroutines.
 *
 *     static int hash(void *file) { … reads, computes, may take its time … }
 *
 *     int result;
 *     int status = coro_run_in_thread(hash, file, CORO_NEVER, &result);
 *
 *     coroutine ──▶ queue, first come first served ──▶ a thread of the pool
 *         ▲                                                    │
 *         └────────────────── the loop's inbox ◀───────────────┘
 *
 * Each loop has a pool of its own, made when it is first used. A thread is
 * started when none is idle and there are fewer than coro_loop_options allows;
 * one that stays idle ends. coro_loop_free() waits for what runs and drops what
 * waits.
 *
 * Safety: the work runs with no lock held, and with all signals blocked but
 * those of faults (fault.h). It is no coroutine and must not suspend; what it
 * wants of the loop it submits, like any other thread. A thread can't be made
 * to stop: when the coroutine that waits is cancelled or late, the work goes on
 * and its result is dropped. So @argument must not lie on that coroutine's
 * stack, unless it never is.
 */
#ifndef CORO_SCHED_EXECUTOR_H
#define CORO_SCHED_EXECUTOR_H

#include <stddef.h>
#include <stdint.h>

/* What runs in a thread. */
struct coro_thread_work {
    int (*function)(void *argument);
    void *argument;

    /* NULL, or called with the argument when nobody waits any more, after the
     * work has ended or instead of it. Any thread; does not block. */
    void (*drop)(void *argument);
};

/**
 * Runs @function(@argument) in a thread and waits for its end.
 *
 * @deadline_ms  absolute; if it has passed, nothing is started.
 * @ret_result   NULL, or where to put what the function returned.
 *
 * Returns 0, or
 *   -ETIMEDOUT, -ECANCELED   it may run later or still be running: @argument
 *                            has to stay (see coro_run_work_in_thread());
 *   -ENOMEM, -EAGAIN         there is no thread to be had; it does not run;
 *   -ESHUTDOWN               the loop is being freed; it does not run.
 *
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_run_in_thread(int (*function)(void *argument), void *argument,
                       int64_t deadline_ms, int *ret_result);

/**
 * As coro_run_in_thread(), for work that knows how to free its argument.
 *
 * Ownership: when it returns 0 the argument is the caller's again, after
 * -ETIMEDOUT and -ECANCELED it belongs to drop(), whenever that will be; after
 * any other status it was never given away. A time-out that is over from the
 * start gives the argument to drop() at once.
 */
int coro_run_work_in_thread(const struct coro_thread_work *work,
                            int64_t deadline_ms, int *ret_result);

/** How many threads the running loop's pool has, idle ones too. Loop thread. */
size_t coro_executor_nthreads(void);

#endif
