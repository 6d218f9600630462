/*
 * The inbox: each loop's own submit queue, open for as long as the loop lives.
 *
 *     any thread                            the loop's thread
 *     coro_call_soon_threadsafe() ──┐
 *     coro_submit()  (remote.h)   ──┼─▶ queue ─▶ backlog ─▶ run, some a turn
 *     a thread's result           ──┘              │
 *     (executor.h)                                 └─ coro_loop_free(): run with
 *                                                     -ESHUTDOWN
 *
 * What is posted runs in the order in which it was posted, on the loop's stack,
 * before the tasks that are ready in that turn. A burst is worked off in
 * portions, so that a million messages don't become a million tasks at once.
 *
 * Safety: no lock is held while anything is called. Whoever may post to a loop
 * that is being freed meanwhile holds a reference to it, coro_loop_ref(): the
 * loop then refuses (-ESHUTDOWN), and its memory stays until the last reference
 * is given back.
 */
#ifndef CORO_SCHED_INBOX_H
#define CORO_SCHED_INBOX_H

#include "coro/sched/submit.h"

struct coro_loop;

/* A message. It lies in whatever it is about, in one inbox at a time. */
struct coro_post {
    struct coro_submit_node node;

    /* Called once, in the loop's thread: with 0, or with -ESHUTDOWN when the
     * loop is freed instead. Does not suspend; it may free the post. */
    void (*run)(struct coro_post *post, int status);
};

/* Lies in its loop. */
struct coro_inbox {
    struct coro_submit queue;
    struct coro_source more; /* polled after the queue, runs the backlog */
    struct coro_submit_node *first;
    struct coro_submit_node **end;
};

/**
 * Posts @post, whose run is set, to @loop.
 *
 * Returns 0, or -ESHUTDOWN when @loop was freed; @post is then still the
 * caller's. Ownership: the loop's until run is called.
 * Context: any thread that holds a reference, or knows that the loop lives until
 * this has returned (which is later than the moment at which @post may run).
 */
int coro_loop_post(struct coro_loop *loop, struct coro_post *post);

/**
 * Has @function(@argument) called by @loop, once and soon, on its own stack: it
 * must not suspend, and while it runs nothing else of the loop does.
 *
 * Returns 0, or
 *   -ENOMEM      nothing was queued;
 *   -ESHUTDOWN   the loop was stopped or freed; nothing was queued.
 *
 * What is still queued when the loop is freed is not called any more.
 * Context: any thread; does not suspend or block.
 */
int coro_call_soon_threadsafe(struct coro_loop *loop,
                              void (*function)(void *argument), void *argument);

/**
 * One more reference to @loop; returns it. Its pointer is then good for what
 * any thread may do, even after coro_loop_free(). Context: any thread.
 */
struct coro_loop *coro_loop_ref(struct coro_loop *loop);

/** Gives a reference back. NULL is allowed. Context: any thread. */
void coro_loop_unref(struct coro_loop *loop);

/** True once coro_loop_stop() was called, until a run begins. Any thread. */
bool coro_loop_is_stopped(struct coro_loop *loop);

/* --- for the loop --------------------------------------------------------- */

/** Opens the inbox of @loop, which is being made. */
void coro_inbox_open(struct coro_inbox *inbox, struct coro_loop *loop);

/** Refuses more, and runs what is left with -ESHUTDOWN. Closing twice is fine. */
void coro_inbox_close(struct coro_inbox *inbox);

#endif
