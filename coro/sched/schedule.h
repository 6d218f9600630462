/*
 * The heart of the scheduler: the run queue, the switch, parking and waking.
 * Internal to coro/sched, and to coro/io for parking.
 *
 * There is exactly one place where a task's stack is left, suspend() in
 * schedule.c. A suspending function sets up what it waits for and ends in a
 * call to it, so that from await to switch it is one frame. Whoever wakes the
 * task has undone that set-up by then.
 */
#ifndef CORO_SCHED_SCHEDULE_H
#define CORO_SCHED_SCHEDULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "coro/base/ensure.h"
#include "coro/core/context.h"
#include "coro/core/sanitize.h"
#include "coro/core/stack.h"
#include "coro/sched/defer.h"
#include "coro/sched/future.h"
#include "coro/sched/generator.h"
#include "coro/sched/group.h"
#include "coro/sched/inbox.h"
#include "coro/sched/loop.h"
#include "coro/sched/peers.h"
#include "coro/sched/task.h"
#include "coro/sched/wheel.h"

/* One byte and no bit fields: to set one of those would read it first, and the
 * first touch of a new page, when it is a read, costs another page fault. */
#define CORO_TASK_HAS_CANARY 1 /* the stack has no better guard */
#define CORO_TASK_IS_LARGE   2 /* it belongs to the loop's large stacks */

/* Begins a line of the caches. */
#define CORO_CACHE_LINE _Alignas(64)

/*
 * Lies at the top of its own stack, in whole cache lines: a switch touches the
 * first, and the frames of a task that waits lie just below. A life without a
 * wait touches the first, third and fourth.
 *
 * A task that is freed keeps its stack, and the next one gets both. What was
 * undone when it ended (that it is in no list, has nothing deferred, is
 * referred to by no future) is then not done again.
 */
struct coro_task {
    struct coro_context context;
    struct coro_callback ready; /* its place in the run queue, or among idle */
    int64_t since_ms;   /* of the last change of state, by the loop's clock */
    int wake_status;    /* what the suspending call will return */
    uint8_t state;      /* enum coro_task_state */
    bool is_cancelling; /* asked to end, not yet seen */
    bool is_ending;     /* its function has returned: it can't suspend */
    uint8_t traits;     /* of its stack: CORO_TASK_HAS_CANARY and so on */

    /* A wait. */
    CORO_CACHE_LINE struct coro_loop *loop;
    const char *waits_for;   /* what it waits for, or waited for last */
    struct list waiting;     /* in what it waits for, if that is a list */
    struct coro_timer timer; /* the deadline of its present wait */

    /* A life. */
    CORO_CACHE_LINE coro_task_fn *function;
    void *argument;
    const char *name;
    uint64_t id;
    struct list all;       /* in the loop's list of tasks */
    _Atomic(uint64_t) tag; /* whose work it does; other threads may read it at
                            * any time, and find nothing but tags here */

    /* Its end. */
    CORO_CACHE_LINE struct coro_future ended;
    struct coro_group *group;          /* its owner, or NULL */
    struct coro_defer_block *deferred; /* what is undone when it ends */
    unsigned nrefs;    /* the loop's own until it ended, and handles */
    unsigned ncancels; /* asked for and not taken back */

    /* Seldom needed, or always the same on this stack. */
    CORO_CACHE_LINE struct list in_group;
    struct coro_gen *generator;       /* the innermost one it stands in */
    const struct coro_awaits *awaits; /* whose ends it waits for, or NULL */
    void (*free_value)(void *value);  /* of ended.value; NULL without one */
    struct coro_stack stack;
    struct coro_sanitize notes;
};

/* What a task asked to be called on the loop's stack. */
struct coro_errand {
    void (*function)(void *argument);
    void *argument;
    struct coro_task *task;
};

struct coro_loop {
    struct coro_context context; /* of the loop's own frame, while tasks run */
    _Atomic(struct coro_task *) current; /* written by its own thread only */
    struct coro_callback *ready_first;
    struct coro_callback *ready_last;
    struct coro_callback *pass_last; /* of the present pass; NULL: it is over */
    struct coro_task *ended;         /* left its stack for ever; to be buried */
    const void *owner;               /* the thread that it belongs to */
    struct coro_errand errand;
    _Atomic(struct coro_task *) served; /* whose errand is being run */
    _Atomic(uint64_t) npasses;
    atomic_bool is_asleep; /* or is looking at I/O, ready to sleep */
    struct coro_sanitize notes;

    struct coro_stack_pool stacks;
    struct coro_stack_pool large_stacks;
    struct coro_callback *idle; /* tasks to be used again, last one first */
    struct coro_callback *idle_large;
    struct list tasks;
    size_t ntasks;
    uint64_t last_id;
    bool is_closing;
    bool is_running;
    struct coro_task *dropped; /* whose deferred functions are being called */

    struct coro_wheel wheel;
    struct list sources;
    struct event_base *base;
    struct event *timer_event;
    struct event *wake_event;
    int timer_fd;
    int wake_fd;
    int64_t timer_set_ms; /* what timer_fd is set to */
    int64_t now_ns;       /* when the present turn began */
    int64_t io_looked_ns;
    atomic_bool stop;

    /* What other threads have to do with; the memory goes with the last one. */
    atomic_uint nrefs;
    atomic_bool is_stopped;
    struct coro_inbox inbox;
    struct list remotes;            /* whose tasks run */
    struct coro_executor *executor; /* NULL until it is needed */
    unsigned max_threads;
    int64_t thread_idle_ms;
};

/** The task that runs, or NULL. Context: any thread, while @loop lives. */
static inline struct coro_task *coro_loop_running(const struct coro_loop *loop)
{
    return atomic_load_explicit(&loop->current, memory_order_relaxed);
}

/** The same, or the one for which the loop's own frame is doing something. */
static inline struct coro_task *coro_loop_served(const struct coro_loop *loop)
{
    struct coro_task *task = coro_loop_running(loop);
    return task ? task
                : atomic_load_explicit(&loop->served, memory_order_relaxed);
}

/** True when something is in the run queue. */
static inline bool coro_schedule_has_ready(const struct coro_loop *loop)
{
    return loop->ready_first != NULL;
}

/** Runs what is ready now, once each. Context: loop thread, not in a task. */
void coro_schedule_pass(struct coro_loop *loop);

/** Makes @loop this thread's current one, or none (NULL). */
void coro_schedule_enter(struct coro_loop *loop);

/** Makes @loop the calling thread's own. */
void coro_schedule_own(struct coro_loop *loop);

/** True in the thread that @loop belongs to. Context: any thread. */
bool coro_schedule_is_own(const struct coro_loop *loop);

/**
 * Suspends the running task until it is woken.
 *
 * @waiters      the list to wait in, at its end; NULL: none.
 * @deadline_ms  absolute; CORO_NEVER: none.
 * @waits_for    what it waits for, in words, for a dump. coro_park() takes the
 *               expression that names the list.
 *
 * Returns the status that coro_wake() was given, -ETIMEDOUT when the deadline
 * came first, or -ECANCELED. In each case the task is in no list any more.
 *
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_park_for(struct list *waiters, int64_t deadline_ms,
                  const char *waits_for);

#define coro_park(waiters, deadline_ms) \
    coro_park_for((waiters), (deadline_ms), #waiters)

/** For what suspends, but sets something up before: refuses to do so elsewhere. */
#define coro_ensure_task()        \
    ensure(coro_task_current() && \
           "a suspending function needs to be called by a task")

/**
 * As coro_future_wait(), with words for a dump as coro_park_for(). One frame
 * with its caller.
 */
static inline int coro_future_park(struct coro_future *future,
                                   int64_t deadline_ms, const char *waits_for)
{
    if (coro_future_is_done(future))
        return 0;
    int status = coro_park_for(&future->waiters, deadline_ms, waits_for);
    /* It may have been set after the deadline came, but before this ran. */
    if (status == -ETIMEDOUT && coro_future_is_done(future))
        return 0;
    return status;
}

/** Makes @task, which is parked, ready; its coro_park() returns @status. */
void coro_wake(struct coro_task *task, int status);

/** Wakes the first task of @waiters; false when there is none. */
bool coro_wake_first(struct list *waiters, int status);

/** The loop is being freed: ends its threads, waiting for what they do. */
void coro_executor_end(struct coro_loop *loop);

/** The loop is being freed: whoever waits for one of its tasks is told. */
void coro_remote_end_all(struct coro_loop *loop);

/** Makes @task, which was just spawned, a member of @group. */
void coro_task_join_group(struct coro_task *task, struct coro_group *group);

/** @task, a member of @group, has ended and is out of its list. */
void coro_group_left(struct coro_group *group, const struct coro_task *task);

/**
 * Has the running task, which took a cancellation while it could not act on
 * it, see that one at its next suspension. It counts once all the same.
 */
void coro_task_cancel_later(struct coro_task *self);

/**
 * Waits until @task has ended, whatever comes meanwhile.
 *
 * Returns whether the waiting task was cancelled, each time of which @task was
 * cancelled too. Context: coroutine on the loop thread. Suspends.
 */
bool coro_task_wait_out(struct coro_task *task);

/**
 * Makes a task on a stack that no task was on before: in no list, with nothing
 * to be undone, its purpose not set.
 *
 * Returns NULL when there is no memory. Ownership: the loop's.
 */
struct coro_task *coro_task_make(struct coro_loop *loop, bool is_large);

/** Keeps a task that is referred to by nobody and has ended for the next. */
void coro_task_destroy(struct coro_task *task);

/**
 * Gives up a task that has not ended and never runs again: what it deferred is
 * called. Context: the loop's frame.
 */
void coro_task_drop(struct coro_task *task);

#endif
