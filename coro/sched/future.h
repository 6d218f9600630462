/*
 * A future: a result that is not there yet.
 *
 * Somebody sets it once; tasks that wait for it then go on, in the order in
 * which they came, and its callbacks are called, in the order in which they
 * were added, when control is back in the loop: never inside the setter.
 *
 *     struct coro_future reply;
 *     coro_future_init(&reply);
 *     …
 *     int status = coro_future_await(&reply, coro_after(500));
 *
 * A future that nobody will set any more is cancelled: its result is then
 * -ECANCELED. What in asyncio is an InvalidStateError is an error here too:
 * -EALREADY when it is set twice, -EINPROGRESS when it is asked too early.
 *
 * Storage is the caller's. Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_FUTURE_H
#define CORO_SCHED_FUTURE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_loop;

/*
 * Something for the loop to do in its next pass, after what is already ready
 * then. `run` is called on the loop's own stack and does not suspend. Storage
 * is the caller's until `run` is called; being in the queue twice is refused.
 */
struct coro_callback {
    struct coro_callback *next;
    void (*run)(struct coro_callback *callback);
    bool is_queued;
    bool is_direct; /* internal: a future calls it at once, not by the loop */
};

enum coro_future_state {
    CORO_FUTURE_PENDING,
    CORO_FUTURE_DONE,
};

struct coro_future {
    struct list waiters;             /* tasks, first come first */
    struct coro_callback *callbacks; /* in the order in which they were added */
    void *value;
    int status;
    enum coro_future_state state;
};

/** Makes @future one that is pending. Context: any. */
static inline void coro_future_init(struct coro_future *future)
{
    list_init(&future->waiters);
    future->callbacks = NULL;
    future->value = NULL;
    future->status = 0;
    future->state = CORO_FUTURE_PENDING;
}

/**
 * Sets the result: @status (0 or positive for success, a negative errno for
 * failure) and @value, whose meaning and ownership are between the two sides.
 *
 * Returns 0, or -EALREADY when the future is done; it is then unchanged.
 *
 * Context: loop thread; does not suspend. Waiters run later.
 */
int coro_future_set(struct coro_future *future, int status, void *value);

/** True once a result is there. */
static inline bool coro_future_is_done(const struct coro_future *future)
{
    return future->state == CORO_FUTURE_DONE;
}

/**
 * The result's status.
 *
 * Returns what was set, or -EINPROGRESS while the future is pending (which
 * nobody should set).
 */
static inline int coro_future_status(const struct coro_future *future)
{
    return coro_future_is_done(future) ? future->status : -EINPROGRESS;
}

/** The result's value, or NULL while the future is pending. Borrowed. */
static inline void *coro_future_value(const struct coro_future *future)
{
    return future->value;
}

/**
 * Ends a pending future as one that has no result: its status is -ECANCELED.
 * Returns false when it is done, and then changes nothing.
 *
 * Context: loop thread; does not suspend. Waiters run later.
 */
static inline bool coro_future_cancel(struct coro_future *future)
{
    return coro_future_set(future, -ECANCELED, NULL) == 0;
}

/** True once the future was cancelled. */
static inline bool coro_future_is_cancelled(const struct coro_future *future)
{
    return coro_future_status(future) == -ECANCELED;
}

/**
 * Waits until @future is done.
 *
 * @deadline_ms  absolute; CORO_NEVER waits for ever. A future that is done is
 *               never reported as late.
 *
 * Returns 0 when the future is done (ask coro_future_status() for its result),
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the task was cancelled; the future is as it was.
 *
 * Context: coroutine on the loop thread. Suspends unless the future is done; a
 * cancellation point.
 */
int coro_future_wait(struct coro_future *future, int64_t deadline_ms);

/**
 * Waits for @future and takes its status as if it were the caller's own.
 *
 * Returns what the future was set to, or coro_future_wait()'s error. To tell an
 * error of the future from one of the waiting, use that and
 * coro_future_status().
 *
 * Context: as coro_future_wait().
 */
int coro_future_await(struct coro_future *future, int64_t deadline_ms);

/**
 * Has @callback called once @future is done; at the loop's next pass if it
 * already is. Ownership: @callback is borrowed until it is called or removed.
 */
void coro_future_add_callback(struct coro_future *future,
                              struct coro_callback *callback);

/** Takes back a callback that was added and not yet due; false if it was. */
bool coro_future_remove_callback(struct coro_future *future,
                                 struct coro_callback *callback);

#endif
