/*
 * A bounded queue of pointers between coroutines of one loop.
 *
 * A full queue suspends who puts, an empty one who gets, each side first come
 * first served. One put wakes one getter, which wakes the next when it leaves
 * items behind: a burst of items that one coroutine can take without waiting
 * wakes one coroutine, not as many as there are items.
 *
 *     struct coro_queue queue;
 *     int status = coro_queue_init(&queue, 100);
 *     …
 *     status = coro_queue_put(&queue, item, CORO_NEVER);   one coroutine
 *     status = coro_queue_get(&queue, CORO_NEVER, &item);  another
 *
 * The items' ownership passes through: put gives, get takes.
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_QUEUE_H
#define CORO_SCHED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"

struct coro_queue {
    void **items; /* a ring */
    size_t capacity;
    size_t first;
    size_t nitems;
    struct list getters;
    struct list putters;
    bool getter_is_woken; /* and has not run yet */
    bool putter_is_woken;
};

/**
 * Makes an empty queue for at most @capacity items, at least 1.
 *
 * Returns 0, or -ENOMEM. Ownership: coro_queue_release(). Context: any.
 */
int coro_queue_init(struct coro_queue *queue, size_t capacity);

/** Frees what the queue holds of memory; nobody may wait in it. */
void coro_queue_release(struct coro_queue *queue);

/**
 * Appends @item, which is not NULL.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed while the queue was full;
 *   -ECANCELED   the task was cancelled meanwhile; @item is still the caller's.
 *
 * Context: coroutine on the loop thread. Suspends while the queue is full; a
 * cancellation point then.
 */
int coro_queue_put(struct coro_queue *queue, void *item, int64_t deadline_ms);

/** Appends @item, or returns -EAGAIN when the queue is full. Loop thread. */
int coro_queue_try_put(struct coro_queue *queue, void *item);

/**
 * Takes the oldest item.
 *
 * Returns 0, or
 *   -ETIMEDOUT   the deadline passed while the queue was empty;
 *   -ECANCELED   the task was cancelled meanwhile; no item is lost.
 *
 * Context: coroutine on the loop thread. Suspends while the queue is empty; a
 * cancellation point then.
 */
int coro_queue_get(struct coro_queue *queue, int64_t deadline_ms,
                   void **ret_item);

/** Takes the oldest item, or returns NULL when there is none. Loop thread. */
void *coro_queue_try_get(struct coro_queue *queue);

#endif
