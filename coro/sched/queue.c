#include "coro/sched/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

int coro_queue_init(struct coro_queue *queue, size_t capacity)
{
    ensure(capacity > 0);
    *queue = (struct coro_queue){.capacity = capacity};
    list_init(&queue->getters);
    list_init(&queue->putters);
    queue->items = calloc(capacity, sizeof *queue->items);
    return queue->items ? 0 : -ENOMEM;
}

void coro_queue_release(struct coro_queue *queue)
{
    ensure(list_is_empty(&queue->getters) && list_is_empty(&queue->putters));
    free(queue->items);
    queue->items = NULL;
}

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
    if (queue->nitems == queue->capacity)
        return -EAGAIN;
    size_t at = queue->first + queue->nitems;
    if (at >= queue->capacity)
        at -= queue->capacity;
    queue->items[at] = item;
    queue->nitems++;
    wake_getter(queue);
    return 0;
}

void *coro_queue_try_get(struct coro_queue *queue)
{
    if (queue->nitems == 0)
        return NULL;
    void *item = queue->items[queue->first];
    if (++queue->first == queue->capacity)
        queue->first = 0;
    queue->nitems--;
    wake_putter(queue);
    return item;
}

int coro_queue_put(struct coro_queue *queue, void *item, int64_t deadline_ms)
{
    ensure(item);
    while (coro_queue_try_put(queue, item) < 0) {
        int status = coro_park(&queue->putters, deadline_ms);
        if (status < 0)
            return status;
        queue->putter_is_woken = false;
    }
    wake_putter(queue);
    return 0;
}

int coro_queue_get(struct coro_queue *queue, int64_t deadline_ms,
                   void **ret_item)
{
    void *item;
    while (!(item = coro_queue_try_get(queue))) {
        int status = coro_park(&queue->getters, deadline_ms);
        if (status < 0)
            return status;
        queue->getter_is_woken = false;
    }
    wake_getter(queue);
    *ret_item = item;
    return 0;
}
