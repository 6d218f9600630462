/*
 * Dispatch: between the fetcher, the worker thread and settling.
 *
 *     fetch ── dispatch_add() ──▶ worker thread ──▶ done: freed
 *                    ▲                           └─▶ failed …: settle
 *                    └── credit: a place is free again
 *
 * It knows every job that this process holds. At most `concurrency` of them are
 * with the worker, and together with those that wait to be settled they are at
 * most twice as many. The credit is what is left of both: the fetcher takes no
 * more than that, so whatever nobody here can start stays in Redis, and while
 * Redis is away no more than that can wait. A worker whose jobs are all being
 * settled has its whole credit: what tells Redis so and what asks for more jobs
 * leave together.
 */
#ifndef MASTER_QUEUE_DISPATCH_H
#define MASTER_QUEUE_DISPATCH_H

#include "master/queue/settle.h"
#include "worker/runner.h"

struct dispatch {
    struct coro_loop *loop;
    struct runner *runner;
    struct settle *settle;
    struct vitals *vitals;     /* the worker's counters, and its jobs' marks */
    struct vitals *own_vitals; /* the same, or NULL if they are another's */
    struct coro_submit up;
    struct list in_flight; /* jobs that the worker has, oldest first */
    size_t nin_flight;
    size_t nheld;       /* those, and what is being settled */
    size_t concurrency; /* less than asked for when memory is short */
    bool is_draining;   /* what comes now goes back */
    unsigned nholds;    /* reasons to take nothing now: others may */
    bool is_hurried;
    bool has_stopped; /* the worker thread is about to end */
    struct list credit_waiters;
    struct list idle_waiters;
    struct list stop_waiters;
};

struct dispatch_options {
    size_t concurrency;
    const struct registry *registry;
    /* Will be given what has to be settled; started by the caller, with
     * dispatch_settled() and the dispatch as its callback. */
    struct settle *settle;
    /* What the supervisor sees, with `concurrency` marks; NULL: there is none. */
    struct vitals *vitals;
};

/**
 * Starts the worker thread.
 *
 * Returns 0 or a negative errno. Ownership: dispatch_release(), after
 * dispatch_stop() has returned 0. Context: loop thread.
 */
int dispatch_start(struct dispatch *dispatch, struct coro_loop *loop,
                   const struct dispatch_options *options);

/** Frees what dispatch_stop() leaves for the last figures. */
void dispatch_release(struct dispatch *dispatch);

/** How many more jobs may be taken. */
static inline size_t dispatch_credit(const struct dispatch *dispatch)
{
    size_t most = dispatch->nholds > 0 ? 0 : dispatch->concurrency;
    size_t nfree =
        dispatch->nin_flight < most ? most - dispatch->nin_flight : 0;
    size_t nroom = dispatch->nheld < 2 * most ? 2 * most - dispatch->nheld : 0;
    return nfree < nroom ? nfree : nroom;
}

/**
 * The job that the worker has under @number, or NULL. It takes longer the more
 * jobs there are. It may be freed at the next suspension. Context: loop thread.
 */
const struct job *dispatch_find(const struct dispatch *dispatch,
                                uint64_t number);

/** Wakes who waits for credit, so that it looks at what has changed. */
void dispatch_nudge(struct dispatch *dispatch);

/* Jobs on their way to the worker: filled by dispatch_add(), sent as one. */
struct dispatch_burst {
    struct job *newest;
    struct job *oldest;
};

/** Takes @job into @burst; with a credit of 0 or when draining: gives back. */
void dispatch_add(struct dispatch *dispatch, struct dispatch_burst *burst,
                  struct job *job);

/** Gives @job back without starting it. Takes @job. */
void dispatch_return(struct dispatch *dispatch, struct job *job);

/** Sets @job aside without starting it; it carries its error. Takes @job. */
void dispatch_refuse(struct dispatch *dispatch, struct job *job);

/** Sends @burst to the worker and empties it. */
void dispatch_send(struct dispatch *dispatch, struct dispatch_burst *burst);

/** From now on starts nothing; gives back what was not started yet. */
void dispatch_drain(struct dispatch *dispatch);

/**
 * A job holds the worker, so that it starts no other one: what waits for it
 * goes back, and no more is taken until dispatch_let_go().
 */
void dispatch_hold(struct dispatch *dispatch);

/** Takes no more, until dispatch_let_go(); what is here stays. */
void dispatch_pause(struct dispatch *dispatch);

/** Takes back one dispatch_hold() or dispatch_pause(). */
void dispatch_let_go(struct dispatch *dispatch);

/**
 * Waits until the worker has no job that it started. Returns 0, -ETIMEDOUT,
 * -EINTR after dispatch_hurry(), or -ECANCELED. Suspends.
 */
int dispatch_wait_idle(struct dispatch *dispatch, int64_t deadline_ms);

/** Ends a dispatch_wait_idle(), now and once in the future. */
void dispatch_hurry(struct dispatch *dispatch);

/** Asks the worker to cancel the jobs that run. */
void dispatch_cancel(struct dispatch *dispatch);

/**
 * Settles what the worker still has, as interrupted, without its consent.
 * Returns how many jobs that were.
 */
size_t dispatch_give_up(struct dispatch *dispatch);

/**
 * Asks the worker thread to end, and waits for that.
 *
 * Returns 0 when it has ended and everything is freed, or -ETIMEDOUT: then the
 * thread is still in a handler, and @dispatch must stay as it is until the
 * process ends. Context: coroutine on the loop thread. Suspends.
 */
int dispatch_stop(struct dispatch *dispatch, int64_t deadline_ms);

/** The settle callback: one job less is held. @argument is the dispatch. */
void dispatch_settled(void *argument);

#endif
