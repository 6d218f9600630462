/*
 * What a child does for another one that has died: gives back what it had.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/queue/orphans.h"
#include "master/service_internal.h"

#define ANSWER_MS 30000

static int64_t give_back(struct service *service, const struct vitals *dead,
                         const struct job_queue *queue)
{
    struct owner_queue owned;
    struct orphans orphans;
    char value[OWNER_VALUE_MAX];
    int status =
        owner_queue_init(&owned, dead->identity, queue->key, queue->key_len);
    if (status < 0)
        return status;
    status = orphans_init(&orphans, owned.member.bytes, owned.member.len);
    owner_queue_release(&owned);
    if (status < 0)
        return status;
    int64_t deadline_ms = coro_after(ANSWER_MS);
    int64_t n = orphans_look(&orphans, service->commands, value, deadline_ms);
    if (n == 0)
        n = orphans_end_lease(&orphans, service->commands, value, deadline_ms);
    if (n >= 0)
        n = orphans_give_back(&orphans, service->commands, deadline_ms);
    orphans_release(&orphans);
    return n;
}

int service_recover(struct service *service, const struct link_message *what)
{
    const struct vitals *dead = shared_vitals(service->shared, what->place);
    size_t nqueues = service->options->queues.count;
    if (!service_is_at_least_once(service))
        return 0;
    for (size_t i = 0; i < nqueues; i++) {
        if (coro_redis_wait_up(service->commands, CORO_NEVER) < 0)
            return -ECANCELED;
        int64_t n = give_back(service, dead, &service->queues[i]);
        if (n == -ECANCELED || n == -ENOMEM)
            return (int)n;
        if (n < 0 && n != -EREMOTEIO && n != -EBUSY)
            i--; /* the connection broke: once more over the next one */
    }
    return 0;
}
