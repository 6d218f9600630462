#include "coro/sched/peers.h"

#include "coro/sched/schedule.h"
#include "coro/sched/watch.h"

void coro_awaits_note(const struct coro_awaits *awaits)
{
    struct coro_task *self = coro_task_current();
    if (self)
        self->awaits = awaits;
}

static void add(struct coro_peers *peers, const struct coro_task *task)
{
    if (peers->ntasks++ == 0)
        peers->first = task;
}

static void add_waiters(struct coro_peers *peers, const struct list *waiters)
{
    list_foreach (link, waiters)
        add(peers, list_entry(link, struct coro_task, waiting));
}

struct coro_peers coro_peers_awaited_by(const struct coro_task *task)
{
    struct coro_peers peers = {0};
    /* What woke it may have ended what it waited for. */
    const struct coro_awaits *awaits =
        task->state == CORO_TASK_WAITING ? task->awaits : NULL;
    if (!awaits)
        return peers;
    if (awaits->task)
        add(&peers, awaits->task);
    if (awaits->group)
        list_foreach (link, &awaits->group->members)
            add(&peers, list_entry(link, struct coro_task, in_group));
    if (awaits->set)
        peers = (struct coro_peers){coro_watch_first_pending(awaits->set),
                                    awaits->set->npending};
    return peers;
}

struct coro_peers coro_peers_awaiting(const struct coro_task *task)
{
    struct coro_peers peers = {0};
    add_waiters(&peers, &task->ended.waiters);
    if (task->group)
        add_waiters(&peers, &task->group->waiters);
    struct coro_callback *callback = task->ended.callbacks;
    for (; callback; callback = callback->next) {
        const struct coro_watch_set *set = coro_watch_set_of(callback);
        if (set)
            add_waiters(&peers, &set->waiters);
    }
    return peers;
}
