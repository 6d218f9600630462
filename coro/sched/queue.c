#include "coro/sched/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

static int init(struct coro_queue *queue, size_t capacity,
                enum coro_queue_order order)
{
    ensure(capacity > 0);
    *queue = (struct coro_queue){.capacity = capacity, .order = order};
    list_init(&queue->getters);
    list_init(&queue->putters);
    list_init(&queue->joiners);
    queue->items = calloc(capacity, sizeof *queue->items);
    return queue->items ? 0 : -ENOMEM;
}

int coro_queue_init(struct coro_queue *queue, size_t capacity)
{
    return init(queue, capacity, CORO_QUEUE_FIFO);
}

int coro_queue_init_lifo(struct coro_queue *queue, size_t capacity)
{
    return init(queue, capacity, CORO_QUEUE_LIFO);
}

int coro_queue_init_priority(struct coro_queue *queue, size_t capacity,
                             coro_queue_compare_fn *compare)
{
    int status = init(queue, capacity, CORO_QUEUE_PRIORITY);
    queue->compare = compare;
    return status;
}

void coro_queue_release(struct coro_queue *queue)
{
    ensure(list_is_empty(&queue->getters) && list_is_empty(&queue->putters) &&
           list_is_empty(&queue->joiners));
    free(queue->items);
    queue->items = NULL;
}

/* --- the orders ---------------------------------------------------------- */

static void swap_items(struct coro_queue *queue, size_t a, size_t b)
{
    void *item = queue->items[a];
    queue->items[a] = queue->items[b];
    queue->items[b] = item;
}

static bool comes_before(const struct coro_queue *queue, size_t a, size_t b)
{
    return queue->compare(queue->items[a], queue->items[b]) < 0;
}

/* The last item of the heap moves up to its place. */
static void sift_up(struct coro_queue *queue)
{
    size_t at = queue->nitems - 1;
    while (at > 0 && comes_before(queue, at, (at - 1) / 2)) {
        swap_items(queue, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

/* The first item of the heap moves down to its place. */
static void sift_down(struct coro_queue *queue)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= queue->nitems)
            return;
        if (child + 1 < queue->nitems && comes_before(queue, child + 1, child))
            child++;
        if (!comes_before(queue, child, at))
            return;
        swap_items(queue, at, child);
        at = child;
    }
}

static __attribute__((noinline, cold)) void put_in_order(
    struct coro_queue *queue, void *item)
{
    queue->items[queue->nitems++] = item;
    if (queue->order == CORO_QUEUE_PRIORITY)
        sift_up(queue);
}

static __attribute__((noinline, cold)) void *take_in_order(
    struct coro_queue *queue)
{
    size_t last = --queue->nitems;
    if (queue->order == CORO_QUEUE_PRIORITY) {
        swap_items(queue, 0, last);
        sift_down(queue);
    }
    return queue->items[last];
}

static inline void put(struct coro_queue *queue, void *item)
{
    queue->nunfinished++;
    if (queue->order != CORO_QUEUE_FIFO) {
        put_in_order(queue, item);
        return;
    }
    size_t at = queue->first + queue->nitems;
    if (at >= queue->capacity)
        at -= queue->capacity;
    queue->items[at] = item;
    queue->nitems++;
}

static inline void *take(struct coro_queue *queue)
{
    if (queue->order != CORO_QUEUE_FIFO)
        return take_in_order(queue);
    void *item = queue->items[queue->first];
    if (++queue->first == queue->capacity)
        queue->first = 0;
    queue->nitems--;
    return item;
}

/* --- putting and getting ------------------------------------------------- */

static void wake_getter(struct coro_queue *queue)
{
    if (queue->nitems > 0 && !queue->getter_is_woken)
        queue->getter_is_woken = coro_wake_first(&queue->getters, 0);
}

static void wake_putter(struct coro_queue *queue)
{
    if (queue->nitems < queue->capacity && !queue->putter_is_woken)
        queue->putter_is_woken = coro_wake_first(&queue->putters, 0);
}

int coro_queue_try_put(struct coro_queue *queue, void *item)
{
    ensure(item && "an item is not NULL");
    if (queue->nitems == queue->capacity)
        return -EAGAIN;
    put(queue, item);
    wake_getter(queue);
    return 0;
}

void *coro_queue_try_get(struct coro_queue *queue)
{
    if (queue->nitems == 0)
        return NULL;
    void *item = take(queue);
    wake_putter(queue);
    return item;
}

/* Who was woken and finds that another one was faster waits on as the first:
 * parking before what is first in the list. */

int coro_queue_put(struct coro_queue *queue, void *item, int64_t deadline_ms)
{
    struct list *place = &queue->putters;
    while (coro_queue_try_put(queue, item) < 0) {
        int status = coro_park_for(place, deadline_ms, "queue->putters");
        if (status < 0)
            return status;
        queue->putter_is_woken = false;
        place = queue->putters.next;
    }
    wake_putter(queue);
    return 0;
}

int coro_queue_get(struct coro_queue *queue, int64_t deadline_ms,
                   void **ret_item)
{
    void *item;
    struct list *place = &queue->getters;
    while (!(item = coro_queue_try_get(queue))) {
        int status = coro_park_for(place, deadline_ms, "queue->getters");
        if (status < 0)
            return status;
        queue->getter_is_woken = false;
        place = queue->getters.next;
    }
    wake_getter(queue);
    *ret_item = item;
    return 0;
}

/* --- joining ------------------------------------------------------------- */

int coro_queue_task_done(struct coro_queue *queue)
{
    if (queue->nunfinished == 0)
        return -EINVAL;
    if (--queue->nunfinished > 0)
        return 0;
    while (coro_wake_first(&queue->joiners, 0))
        ;
    return 0;
}

int coro_queue_join(struct coro_queue *queue, int64_t deadline_ms)
{
    if (queue->nunfinished == 0)
        return 0;
    return coro_park(&queue->joiners, deadline_ms);
}
