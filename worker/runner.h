/*
 * The worker thread: a loop of its own with the pool in it.
 *
 *     struct runner *runner;
 *     status = runner_start(&options, &runner);
 *     runner_submit(runner, newest, oldest);        jobs, any number
 *     …                                             outcomes come up
 *     runner_request(runner, MESSAGE_CANCEL_ALL);
 *     runner_request(runner, MESSAGE_STOP);
 *     …                                             MESSAGE_STOPPED comes up
 *     runner_join(runner);
 *
 * It is a daemon thread: a handler that neither ends nor yields keeps the
 * thread, but not the process. Then runner_abandon() is called in place of
 * runner_join(), and nothing that the thread may touch is freed.
 */
#ifndef WORKER_RUNNER_H
#define WORKER_RUNNER_H

#include "coro/core/symbol.h"
#include "coro/core/thread.h"
#include "coro/sched/loop.h"
#include "worker/pool.h"

struct runner;

/**
 * Starts the thread.
 *
 * @options  see pool.h; what it points to must outlive the thread.
 *
 * Returns 0 or a negative errno. All signals but those of faults are blocked
 * in the thread.
 * Ownership: runner_join() or runner_abandon(). Context: the master thread.
 */
int runner_start(const struct pool_options *options,
                 struct runner **ret_runner);

/**
 * Sends jobs down, linked by next from @newest to @oldest. Never more than
 * `concurrency` of them may be down there at once. Context: any thread.
 */
void runner_submit(struct runner *runner, struct job *newest,
                   struct job *oldest);

/**
 * Sends a message without contents down. Returns 0, -ENOMEM, or -ESHUTDOWN when
 * the thread is ending. Context: any thread, but none after MESSAGE_STOP.
 */
int runner_request(struct runner *runner, enum message_kind kind);

/**
 * What the thread's loop is doing. Context: any thread, before MESSAGE_STOP is
 * sent; or a handler of a signal in the thread itself.
 */
void runner_pulse(const struct runner *runner, struct coro_pulse *ret_pulse);

/**
 * The thread, to be looked at and sampled (coro/core/sample.h). Returns false
 * as long as it has not begun to run jobs. Context: any thread.
 */
bool runner_thread(const struct runner *runner, struct coro_thread *ret_thread);

/** Names for addresses, borrowed until runner_join(). Context: any thread. */
const struct coro_symbols *runner_symbols(const struct runner *runner);

/** Waits for the thread's end, after MESSAGE_STOPPED, and frees it. */
void runner_join(struct runner *runner);

/**
 * Waits for nothing: the thread ends when it ends, or with the process. @runner
 * stays, because the thread uses it. Context: the master thread.
 */
void runner_abandon(struct runner *runner);

#endif
