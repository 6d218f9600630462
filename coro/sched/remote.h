/*
 * A remote: a task in another thread's loop, seen from here.
 *
 *     struct coro_remote *remote;
 *     int status = coro_submit(loop, fetch, &page, &remote);
 *     …
 *     int result;
 *     status = coro_remote_result(remote, coro_after(500), &result);
 *     if (status == -ETIMEDOUT)
 *         coro_remote_cancel(remote);
 *     coro_remote_unref(remote);
 *
 *     any thread                                the loop's thread
 *     coro_submit() ────────── inbox ─────────▶ a task that runs the function
 *     coro_remote_cancel() ─── inbox ─────────▶ coro_task_cancel()
 *     coro_remote_result() ◀── condition ────── the task's end
 *
 * Safety: a remote is counted, and its result guarded by a lock of its own that
 * is never held while anything is called. Tasks begin in the order in which one
 * thread has submitted them. Cancelling is asking: the remote is done when the
 * task has ended, not before, so that from then on nobody uses the argument.
 */
#ifndef CORO_SCHED_REMOTE_H
#define CORO_SCHED_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/sched/task.h"

struct coro_loop;
struct coro_remote;

/**
 * Has @loop run @function(@argument) as a task, from one of its next turns on.
 *
 * @ret_remote  NULL, or where to put a reference to what becomes of it.
 *
 * Returns 0, or
 *   -ENOMEM      it will not be run;
 *   -ESHUTDOWN   the loop was stopped or freed; it will not be run.
 *
 * Ownership: coro_remote_unref(); what it refers to need not be done then.
 * @argument is used until the remote is done.
 * Context: any thread (see coro_loop_ref()); does not suspend or block.
 */
int coro_submit(struct coro_loop *loop, coro_task_fn *function, void *argument,
                struct coro_remote **ret_remote);

/** One more reference; returns @remote. Any thread. */
struct coro_remote *coro_remote_ref(struct coro_remote *remote);

/** Gives a reference back; the task goes on. NULL is allowed. Any thread. */
void coro_remote_unref(struct coro_remote *remote);

/** True once the task has ended, or can't be run any more. Any thread. */
bool coro_remote_is_done(struct coro_remote *remote);

/**
 * What the task gave to coro_task_return(); NULL if nothing, or while it is not
 * done. Borrowed from @remote; it is freed with the last reference, in the
 * thread that gives that back. Any thread.
 */
void *coro_remote_value(struct coro_remote *remote);

/**
 * Asks the task to end, as coro_task_cancel() does.
 *
 * Returns false when it has ended already. Asking twice before the loop has
 * seen it is asking once. Context: any thread; does not suspend or block.
 */
bool coro_remote_cancel(struct coro_remote *remote);

/**
 * Waits, blocking this thread, until the task has ended.
 *
 * @deadline_ms  absolute; 0 only looks. The task goes on when it has passed.
 * @ret_result   NULL, or where to put what the function returned; -ECANCELED
 *               when it was cancelled before it began.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -EDEADLK     it has not ended, and this is the thread that would run it;
 *   -ESHUTDOWN   the loop was freed before the task could begin, or end;
 *   -ENOMEM      the loop had no memory for one more task.
 *
 * Context: any thread but the loop's. Not for coroutines, whose loop it would
 * block: those use coro_remote_wait().
 */
int coro_remote_result(struct coro_remote *remote, int64_t deadline_ms,
                       int *ret_result);

/**
 * Waits, as a coroutine of any loop, until the task has ended. It is not
 * cancelled when the waiting is. One that has ended is never late.
 *
 * Returns as coro_remote_result(), but for -EDEADLK; and -ECANCELED.
 * Context: coroutine on any loop's thread. Suspends; a cancellation point.
 */
int coro_remote_wait(struct coro_remote *remote, int64_t deadline_ms,
                     int *ret_result);

/**
 * Waits, as a coroutine of any loop, for the result of the task, as coro_await()
 * does for one of its own loop: when the caller is cancelled, so is the task,
 * whoever else waits for it, and has ended in any case.
 *
 * @deadline_ms  absolute; the task goes on when it has passed.
 *
 * Returns what the function returned, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the caller was cancelled (or the task was). A result that the
 *                task had all the same is returned; the caller then sees its
 *                cancellation at its next suspension;
 *   -ESHUTDOWN, -ENOMEM   as coro_remote_result().
 *
 * Context: coroutine on any loop's thread. Suspends; a cancellation point.
 */
int coro_remote_await(struct coro_remote *remote, int64_t deadline_ms);

/* To be told of the end. Storage is the caller's until it is called. */
struct coro_remote_callback {
    struct coro_remote_callback *next;
    void (*run)(struct coro_remote_callback *callback,
                struct coro_remote *remote);
};

/**
 * Has @callback called once @remote is done, in the order in which they were
 * added: in the loop's thread, where it must not suspend, or here and now when
 * it is done already. Context: any thread.
 */
void coro_remote_add_callback(struct coro_remote *remote,
                              struct coro_remote_callback *callback);

/** Takes back a callback; false if it was, or is being, called. Any thread. */
bool coro_remote_remove_callback(struct coro_remote *remote,
                                 struct coro_remote_callback *callback);

#endif
