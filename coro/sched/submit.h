/*
 * The submit queue: how anything gets into a loop from another thread.
 *
 *     producers, any thread               consumer, the loop's thread
 *     coro_submit_push() ──┐
 *     coro_submit_push() ──┼─▶ head ─▶ newest ─▶ … ─▶ oldest
 *     coro_submit_push() ──┘     │
 *                                └─ once a turn all are taken at once, put in
 *                                   order, and given to the receive function
 *
 * Many producers, one consumer, no locks: a push is one compare-and-swap. The
 * order of each producer is kept. While the consumer is awake a push makes no
 * system call; the first one after it has gone to sleep makes one, the others
 * of that burst none.
 *
 * Safety: a node belongs to the producer until the push returns 0, from then on
 * to the consumer, or to whoever closes the queue. The queue, and the loop that
 * it was opened in, must outlive every producer's last push.
 */
#ifndef CORO_SCHED_SUBMIT_H
#define CORO_SCHED_SUBMIT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "coro/sched/loop.h"

/* Lies in whatever is submitted; one queue at a time. */
struct coro_submit_node {
    struct coro_submit_node *next;
};

/** Takes the nodes from @oldest on, linked by next; loop thread. */
typedef void coro_submit_receive_fn(void *argument,
                                    struct coro_submit_node *oldest);

struct coro_submit {
    alignas(64) _Atomic(struct coro_submit_node *) head;
    alignas(64) struct coro_source source;
    struct coro_loop *loop;
    coro_submit_receive_fn *receive;
    void *argument;
};

/**
 * Opens @queue, to be consumed by @loop: once a turn, what has come is given to
 * @receive. Context: loop thread, or before the loop runs. Ownership: closed
 * before the loop is freed.
 */
void coro_submit_open(struct coro_submit *queue, struct coro_loop *loop,
                      coro_submit_receive_fn *receive, void *argument);

/**
 * Submits @node.
 *
 * Returns 0, or -ESHUTDOWN when the queue is closed; the node is then still the
 * caller's. Context: any thread; does not suspend or block.
 */
int coro_submit_push(struct coro_submit *queue, struct coro_submit_node *node);

/**
 * Submits several nodes at the price of one. @newest to @oldest are linked by
 * next, that is, in the reverse of the order in which they shall arrive.
 * Returns as coro_submit_push(), for all of them. Context: any thread.
 */
int coro_submit_push_chain(struct coro_submit *queue,
                           struct coro_submit_node *newest,
                           struct coro_submit_node *oldest);

/**
 * Closes @queue: from now on a push is refused.
 *
 * Returns what was not received, oldest first, linked by next; NULL: nothing.
 * Ownership: those nodes are the caller's. Context: the loop's thread, or any
 * when the loop no longer runs; closing twice returns NULL.
 */
struct coro_submit_node *coro_submit_close(struct coro_submit *queue);

#endif
