#include "coro/sched/group.h"

#include <errno.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"

/* A member that overlooked its cancellation gets another one. */
#define CANCEL_AGAIN_MS 100

void coro_group_init(struct coro_group *group, struct coro_loop *loop)
{
    group->loop = loop;
    group->is_closing = false;
    list_init(&group->members);
    list_init(&group->waiters);
}

int coro_group_spawn(struct coro_group *group, coro_task_fn *function,
                     void *argument, const struct coro_spawn_options *options)
{
    if (group->is_closing)
        return -ESHUTDOWN;
    struct coro_task *task;
    int status = coro_spawn(group->loop, function, argument, options, &task);
    if (status < 0)
        return status;
    coro_task_join_group(task, group);
    coro_task_unref(task);
    return 0;
}

void coro_group_cancel(struct coro_group *group)
{
    list_foreach (link, &group->members)
        coro_task_cancel(list_entry(link, struct coro_task, in_group));
}

void coro_group_left(struct coro_group *group, const struct coro_task *task)
{
    (void)task;
    if (!list_is_empty(&group->members))
        return;
    while (coro_wake_first(&group->waiters, 0))
        ;
}

int coro_group_wait(struct coro_group *group, int64_t deadline_ms)
{
    if (list_is_empty(&group->members))
        return 0;
    return coro_park(&group->waiters, deadline_ms);
}

void coro_group_close(struct coro_group *group)
{
    bool was_cancelled = false;
    group->is_closing = true;
    while (!list_is_empty(&group->members)) {
        coro_group_cancel(group);
        if (coro_group_wait(group, coro_after(CANCEL_AGAIN_MS)) == -ECANCELED)
            was_cancelled = true;
    }
    if (was_cancelled)
        coro_task_cancel_later(coro_task_current());
}
