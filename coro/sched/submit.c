#include "coro/sched/submit.h"

#include <errno.h>
#include <stdint.h>

#include "coro/base/ensure.h"

/* Besides NULL (empty, the consumer is awake) the head may be one of these. */
#define ASLEEP ((struct coro_submit_node *)(uintptr_t)1)
#define CLOSED ((struct coro_submit_node *)(uintptr_t)2)

static bool is_node(const struct coro_submit_node *head)
{
    return (uintptr_t)head > (uintptr_t)CLOSED;
}

static struct coro_submit_node *reverse(struct coro_submit_node *newest)
{
    struct coro_submit_node *oldest = NULL;
    while (newest) {
        struct coro_submit_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

int coro_submit_push_chain(struct coro_submit *queue,
                           struct coro_submit_node *newest,
                           struct coro_submit_node *oldest)
{
    /* Who is refused sees everything that was done before the closing. */
    struct coro_submit_node *head =
        atomic_load_explicit(&queue->head, memory_order_acquire);
    do {
        if (head == CLOSED)
            return -ESHUTDOWN;
        oldest->next = is_node(head) ? head : NULL;
    } while (!atomic_compare_exchange_weak_explicit(&queue->head, &head, newest,
                                                    memory_order_release,
                                                    memory_order_acquire));
    if (head == ASLEEP)
        coro_loop_wake(queue->loop);
    return 0;
}

int coro_submit_push(struct coro_submit *queue, struct coro_submit_node *node)
{
    return coro_submit_push_chain(queue, node, node);
}

static void poll_queue(struct coro_source *source)
{
    struct coro_submit *queue = list_entry(source, struct coro_submit, source);
    struct coro_submit_node *head =
        atomic_load_explicit(&queue->head, memory_order_relaxed);
    do {
        if (!head || head == CLOSED)
            return;
    } while (!atomic_compare_exchange_weak_explicit(
        &queue->head, &head, NULL, memory_order_acquire, memory_order_relaxed));
    if (is_node(head))
        queue->receive(queue->argument, reverse(head));
}

static bool arm_queue(struct coro_source *source)
{
    struct coro_submit *queue = list_entry(source, struct coro_submit, source);
    struct coro_submit_node *head = NULL;
    if (atomic_compare_exchange_strong_explicit(&queue->head, &head, ASLEEP,
                                                memory_order_relaxed,
                                                memory_order_relaxed))
        return true;
    return !is_node(head);
}

void coro_submit_open(struct coro_submit *queue, struct coro_loop *loop,
                      coro_submit_receive_fn *receive, void *argument)
{
    ensure(receive);
    atomic_init(&queue->head, NULL);
    queue->source = (struct coro_source){.poll = poll_queue, .arm = arm_queue};
    queue->loop = loop;
    queue->receive = receive;
    queue->argument = argument;
    coro_loop_add_source(loop, &queue->source);
}

struct coro_submit_node *coro_submit_close(struct coro_submit *queue)
{
    struct coro_submit_node *head =
        atomic_exchange_explicit(&queue->head, CLOSED, memory_order_acq_rel);
    coro_loop_remove_source(&queue->source);
    return is_node(head) ? reverse(head) : NULL;
}
