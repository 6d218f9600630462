/*
 * The loop: one thread's scheduler. It runs tasks and callbacks in the order in
 * which they became ready, fires timers, and asks libevent about I/O.
 *
 * One turn of the loop:
 *
 *     timers ─▶ sources ─▶ one pass over what is ready ─▶ flush ─▶ I/O
 *
 * A pass is bounded by what was ready when it began, so a task that keeps
 * yielding can't keep timers and I/O from being looked at: timers and sources
 * after every pass, I/O after a pass once 20 µs have gone by. Within a pass one
 * ready task hands over directly to the next.
 *
 *     static int hello(void *name) { coro_sleep(500); return puts(name); }
 *
 *     int result;
 *     int status = coro_run(hello, "world", &result);
 *
 * A loop belongs to the thread that runs it; only coro_loop_stop(),
 * coro_loop_wake(), and what inbox.h and remote.h offer, may be called from
 * others.
 */
#ifndef CORO_SCHED_LOOP_H
#define CORO_SCHED_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "coro/core/stack.h"
#include "coro/sched/future.h"
#include "coro/sched/task.h"

struct event_base;
struct coro_loop;

/*
 * A source of work that is not a file descriptor, such as a queue that other
 * threads fill. Each function may be NULL. None of them suspends.
 */
struct coro_source {
    struct list link;

    /* Once a turn, before the pass: make ready what there is to do. */
    void (*poll)(struct coro_source *source);

    /* Once a turn, after the pass: send what was collected. */
    void (*flush)(struct coro_source *source);

    /* Before the loop sleeps. False: there is work, don't sleep. From true on
     * until the next poll, new work must come with a coro_loop_wake(). */
    bool (*arm)(struct coro_source *source);
};

struct coro_loop_options {
    enum coro_guard guard;  /* the best kind of stack guard to use */
    unsigned max_threads;   /* for coro_run_in_thread(); 0: 2 for each core */
    int64_t thread_idle_ms; /* an idle one of those ends; 0: after 10 s */
};

/**
 * Makes a loop.
 *
 * @options   NULL for the defaults.
 *
 * Returns 0, or -ENOMEM, -EMFILE, -ENFILE. Ownership: coro_loop_free().
 * Context: any thread. The loop belongs to it until another one runs the loop.
 */
int coro_loop_new(const struct coro_loop_options *options,
                  struct coro_loop **ret_loop);

/**
 * Ends @loop: cancels the tasks that are left, lets them finish, waits for what
 * its threads are doing, and frees everything. Who holds a reference, see
 * coro_loop_ref(), keeps a pointer that is good for nothing but being refused.
 *
 * Returns how many tasks were left when it was called. A task that refuses to
 * end when it is cancelled a few times is dropped where it stands; whatever it
 * holds is then lost.
 *
 * Context: the loop's thread, outside of the loop (a task of another loop may
 * do it, if this one does not run). NULL is allowed.
 */
size_t coro_loop_free(struct coro_loop *loop);

/**
 * Runs until coro_loop_stop(), for one turn at least. Context: the loop's
 * thread, not in a loop.
 */
void coro_loop_run_forever(struct coro_loop *loop);

/**
 * Runs until @task has ended or coro_loop_stop() was called.
 *
 * Returns 0 when it ended (its result is then in @ret_result, which may be
 * NULL), else -EINTR. Context: the loop's thread, not in a loop.
 */
int coro_loop_run_until_complete(struct coro_loop *loop, struct coro_task *task,
                                 int *ret_result);

/**
 * Makes the run functions return after the present turn. Until the next run
 * begins, the loop refuses what other threads submit. Any thread.
 */
void coro_loop_stop(struct coro_loop *loop);

/** Ends the loop's sleep, if it sleeps. One system call. Any thread. */
void coro_loop_wake(struct coro_loop *loop);

/** The loop that runs in this thread, or NULL. */
struct coro_loop *coro_loop_current(void);

/** Queues @callback. Context: loop thread; does not suspend. */
void coro_loop_call_soon(struct coro_loop *loop,
                         struct coro_callback *callback);

/**
 * Takes @callback, which is queued, back. It takes longer the more there is in
 * the queue. Context: loop thread; does not suspend.
 */
void coro_loop_forget(struct coro_loop *loop, struct coro_callback *callback);

/** Adds a source of work. Ownership: borrowed until it is removed. */
void coro_loop_add_source(struct coro_loop *loop, struct coro_source *source);

/** Removes a source of work; one that was not added is allowed. */
void coro_loop_remove_source(struct coro_source *source);

/** The libevent base, for the parts that add events. Loop thread. */
struct event_base *coro_loop_event_base(struct coro_loop *loop);

/** When the present turn began, as coro_now_ms(), without asking the clock. */
int64_t coro_loop_now_ms(const struct coro_loop *loop);

/* What a loop is doing, for whoever watches it. */
struct coro_pulse {
    uint64_t turns; /* how often it has begun a pass over what is ready */
    uint64_t task;  /* tells the tasks of one turn apart; 0: none runs */
    uint64_t tag;   /* of that task, see tag.h */
    bool is_asleep; /* it sleeps, or looks at I/O before it would */
};

/**
 * Reads the pulse of @loop. Within one turn no task runs twice: as long as
 * `turns` and `task` stay the same, that task has been running without a
 * switch; if `tag` stays too, it is doing the same work. A task for which
 * something is done on the loop's stack counts as running. A pulse that changes
 * while it is being read shows no task.
 *
 * Context: any thread, as long as nobody frees @loop.
 */
void coro_loop_pulse(const struct coro_loop *loop,
                     struct coro_pulse *ret_pulse);

/** How many tasks there are that have not ended. */
size_t coro_loop_ntasks(const struct coro_loop *loop);

/**
 * Calls @visit for each task that has not ended, oldest first; it must not
 * suspend, spawn or end tasks.
 */
void coro_loop_each_task(struct coro_loop *loop,
                         void (*visit)(struct coro_task *task, void *argument),
                         void *argument);

/** The pool that ordinary tasks' stacks come from, for its figures. */
const struct coro_stack_pool *coro_loop_stacks(const struct coro_loop *loop);

/**
 * Makes a loop, runs @function(@argument) in it as a task, and frees it.
 *
 * Returns 0 and the function's result in @ret_result (may be NULL), or a
 * negative errno when it could not be started. Context: not in a loop.
 */
int coro_run(coro_task_fn *function, void *argument, int *ret_result);

#endif
