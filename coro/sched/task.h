/*
 * A task: a function that runs as a coroutine of a loop.
 *
 *            spawn            first turn             returns
 *     (new) ───────▶ READY ───────────▶ RUNNING ───────────────▶ DONE
 *                      ▲                   │
 *                      │ woken: done,      │ suspends
 *                      │ late, cancelled   ▼
 *                      └──────────────  WAITING
 *
 * RUNNING to WAITING is made by the task itself, WAITING to READY by whoever
 * completes what it waits for, READY to RUNNING by the loop only.
 *
 * Cancelling is an error like any other: the suspending call in which the task
 * waits returns -ECANCELED, and the task does what it likes about it. A task
 * that is not waiting sees it at its next suspension, so that nothing that it
 * has been given is lost. A task cancelled before its first step never runs.
 *
 * A task's result is a number, as a function's is, and may come with a value:
 *
 *     static int fetch(void *url)
 *     {
 *         char *page = …;
 *         return page ? coro_task_return(page, free) : -EIO;
 *     }
 *
 *     struct coro_task *task;
 *     coro_spawn(loop, fetch, url, NULL, &task);
 *     if (coro_await(task, CORO_NEVER) == 0)         (see await.h)
 *         puts(coro_task_value(task));
 *     coro_task_unref(task);
 *
 * Everything here belongs to the loop's thread.
 */
#ifndef CORO_SCHED_TASK_H
#define CORO_SCHED_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/clock.h"
#include "coro/base/list.h"

struct coro_loop;
struct coro_task;
struct coro_future;

typedef int coro_task_fn(void *argument);

enum coro_task_state {
    CORO_TASK_NEW,
    CORO_TASK_READY,
    CORO_TASK_RUNNING,
    CORO_TASK_WAITING,
    CORO_TASK_DONE,
};

struct coro_spawn_options {
    const char *name; /* borrowed: must outlive the task; NULL: "task" */
    bool large_stack; /* 256 KiB, for code that calls heavy libraries */
};

/**
 * Makes a task that will run @function(@argument) from the loop's next pass on.
 *
 * @options   NULL for the defaults.
 * @ret_task  NULL, or where to put a reference to the task.
 *
 * Returns 0, -ENOMEM, or -ESHUTDOWN when the loop is being freed.
 *
 * Ownership: a reference that was asked for must be given back with
 * coro_task_unref(). Context: loop thread; does not suspend.
 */
int coro_spawn(struct coro_loop *loop, coro_task_fn *function, void *argument,
               const struct coro_spawn_options *options,
               struct coro_task **ret_task);

/** One more reference; returns @task. */
struct coro_task *coro_task_ref(struct coro_task *task);

/**
 * Gives a reference back; a running task goes on. NULL is allowed. A reference
 * is only good for as long as the task's loop.
 */
void coro_task_unref(struct coro_task *task);

/** The task that runs now, or NULL outside of tasks. Any thread. */
struct coro_task *coro_task_current(void);

/**
 * Puts references to the tasks of @loop that have not ended, oldest first, into
 * @ret_tasks, at most @max of them.
 *
 * Returns how many there are, which may be more than @max. Ownership: each
 * reference is given back with coro_task_unref(). Context: loop thread.
 */
size_t coro_task_all(struct coro_loop *loop, struct coro_task **ret_tasks,
                     size_t max);

/* --- results ------------------------------------------------------------- */

/**
 * Gives the running task's end a value, beside the number that its function
 * returns. It reads best as the last thing that function does:
 *
 *     return coro_task_return(page, free);
 *
 * @value       whatever the two sides agree about; NULL takes it back.
 * @free_value  called with @value when nobody has taken it until the last
 *              reference to the task is gone; it must not suspend. NULL: the
 *              value is not freed.
 *
 * Returns 0, always. Context: coroutine on the loop thread; does not suspend.
 */
int coro_task_return(void *value, void (*free_value)(void *value));

/** True once @task has ended. */
bool coro_task_is_done(const struct coro_task *task);

/** True once @task has ended with -ECANCELED, whoever made it do so. */
bool coro_task_is_cancelled(const struct coro_task *task);

/**
 * What the function of @task returned: -ECANCELED if it never ran, -EINPROGRESS
 * while @task has not ended.
 */
int coro_task_result(const struct coro_task *task);

/** The value of a task that has ended, or NULL. Borrowed from @task. */
void *coro_task_value(const struct coro_task *task);

/** As coro_task_value(). Ownership: the value becomes the caller's. */
void *coro_task_take_value(struct coro_task *task);

/* --- cancelling ---------------------------------------------------------- */

/**
 * Asks @task to end.
 *
 * Returns false when it has ended already. Asking twice before the task has
 * seen it is asking once. Does not suspend.
 */
bool coro_task_cancel(struct coro_task *task);

/**
 * Takes back one cancellation: forgets it, if the task has not seen it, and
 * counts it no longer. Returns whether there was one that it had not seen.
 */
bool coro_task_uncancel(struct coro_task *task);

/** True when a cancellation is waiting to be seen. */
bool coro_task_is_cancelling(const struct coro_task *task);

/**
 * How often @task was asked to end, seen or not, less what was taken back. This
 * is how a scope that cancels its own task knows whether others did so too.
 */
unsigned coro_task_ncancels(const struct coro_task *task);

/* --- waiting ------------------------------------------------------------- */

/**
 * Waits until @task has ended; it is not cancelled when the waiting is. To have
 * the result as the caller's own, see await.h.
 *
 * @ret_result  NULL, or where to put what its function returned (-ECANCELED if
 *              it never ran).
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed first;
 *   -ECANCELED   the waiting task was cancelled;
 *   -EDEADLK     @task is the one that asks.
 *
 * Context: coroutine on the loop thread. Suspends unless it has ended; a
 * cancellation point.
 */
int coro_task_wait(struct coro_task *task, int64_t deadline_ms,
                   int *ret_result);

/** What the task's end can be waited for, and watched with callbacks. */
struct coro_future *coro_task_future(struct coro_task *task);

enum coro_task_state coro_task_state(const struct coro_task *task);

/** Gives @task another name, which is borrowed and must outlive it. */
void coro_task_set_name(struct coro_task *task, const char *name);

/** The name it was given. Borrowed. */
const char *coro_task_name(const struct coro_task *task);

/** A number that no other task of this loop had before. */
uint64_t coro_task_id(const struct coro_task *task);

/** When the task last became ready, began to run or to wait: coro_now_ms(). */
int64_t coro_task_since_ms(const struct coro_task *task);

/**
 * Sleeps for @delay_ms, at least; 0 or less is coro_relax().
 *
 * Returns 0, or -ECANCELED. Context: coroutine on the loop thread. Suspends; a
 * cancellation point.
 */
int coro_sleep(int64_t delay_ms);

/** Sleeps until @deadline_ms; as coro_sleep(). CORO_NEVER: until cancelled. */
int coro_sleep_until(int64_t deadline_ms);

/**
 * Lets everything else that is ready run once.
 *
 * Returns 0, or -ECANCELED. Context: coroutine on the loop thread. Suspends; a
 * cancellation point.
 */
int coro_relax(void);

/**
 * Calls @function(@argument) on the loop's stack, for what would need more than
 * a coroutine should keep (formatting, above all). It must not suspend. From
 * outside a task it is an ordinary call. Context: loop thread.
 */
void coro_call_on_loop_stack(void (*function)(void *argument), void *argument);

#endif
