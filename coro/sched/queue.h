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
 *
 * Who wants to know when all that was put has been worked off, and not only
 * been taken, calls coro_queue_join(); whoever takes an item calls
 * coro_queue_task_done() once the work on it is done.
 *
 * Items come out in the order in which they went in; coro_queue_init_lifo() and
 * coro_queue_init_priority() make queues with other orders.
 *
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_QUEUE_H
#define CORO_SCHED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"

/* Negative when @a is to be taken before @b, 0 when it does not matter. */
typedef int coro_queue_compare_fn(const void *a, const void *b);

enum coro_queue_order {
    CORO_QUEUE_FIFO,
    CORO_QUEUE_LIFO,
    CORO_QUEUE_PRIORITY,
};

/* What each put and get looks at lies in the first cache line. */
struct coro_queue {
    void **items; /* a ring, or from 0 on a stack or a heap */
    size_t capacity;
    size_t first;
    size_t nitems;
    size_t nunfinished;   /* put, and not said to be done */
    bool getter_is_woken; /* and has not run yet */
    bool putter_is_woken;
    enum coro_queue_order order;
    struct list getters;
    struct list putters;
    struct list joiners;
    coro_queue_compare_fn *compare;
};

/**
 * Makes an empty queue for at most @capacity items, at least 1.
 *
 * Returns 0, or -ENOMEM. Ownership: coro_queue_release(). Context: any.
 */
int coro_queue_init(struct coro_queue *queue, size_t capacity);

/** As coro_queue_init(); the item that was put last is taken first. */
int coro_queue_init_lifo(struct coro_queue *queue, size_t capacity);

/**
 * As coro_queue_init(); the item is taken first that @compare says is to come
 * first. Those of which it says that it does not matter come in any order.
 */
int coro_queue_init_priority(struct coro_queue *queue, size_t capacity,
                             coro_queue_compare_fn *compare);

/** How many items can be taken without waiting. */
static inline size_t coro_queue_nitems(const struct coro_queue *queue)
{
    return queue->nitems;
}

/** True when there is no room for another item. */
static inline bool coro_queue_is_full(const struct coro_queue *queue)
{
    return queue->nitems == queue->capacity;
}

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

/** Appends @item, not NULL, or returns -EAGAIN: the queue is full. Loop thread. */
int coro_queue_try_put(struct coro_queue *queue, void *item);

/**
 * Takes the item whose turn it is.
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

/** Takes the item whose turn it is, or returns NULL when there is none. Loop thread. */
void *coro_queue_try_get(struct coro_queue *queue);

/**
 * Says that the work on an item that was taken is done.
 *
 * Returns 0, or -EINVAL when that was said of as many items as were put.
 * Context: loop thread; does not suspend.
 */
int coro_queue_task_done(struct coro_queue *queue);

/**
 * Waits until the work on each item that was put is done. Returns 0, -ETIMEDOUT
 * or -ECANCELED. Context: coroutine on the loop thread. Suspends unless that is
 * so; a cancellation point then.
 */
int coro_queue_join(struct coro_queue *queue, int64_t deadline_ms);

#endif
