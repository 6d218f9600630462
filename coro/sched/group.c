#include "coro/sched/group.h"

#include <errno.h>

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

/* A member that overlooked its cancellation gets another one. */
#define CANCEL_AGAIN_MS 100

/* --- members ------------------------------------------------------------- */

void coro_group_init(struct coro_group *group, struct coro_loop *loop)
{
    group->loop = loop;
    list_init(&group->members);
    list_init(&group->waiters);
    group->is_closing = false;
    group->is_ending = false;
    group->has_cancelled_owner = false;
    group->owner = NULL;
    group->nerrors = 0;
}

int coro_group_spawn_task(struct coro_group *group, coro_task_fn *function,
                          void *argument,
                          const struct coro_spawn_options *options,
                          struct coro_task **ret_task)
{
    if (group->is_closing)
        return -ESHUTDOWN;
    struct coro_task *task;
    int status = coro_spawn(group->loop, function, argument, options, &task);
    if (status < 0)
        return status;
    coro_task_join_group(task, group);
    *ret_task = task;
    return 0;
}

int coro_group_spawn(struct coro_group *group, coro_task_fn *function,
                     void *argument, const struct coro_spawn_options *options)
{
    struct coro_task *task;
    int status =
        coro_group_spawn_task(group, function, argument, options, &task);
    if (status == 0)
        coro_task_unref(task);
    return status;
}

void coro_group_cancel(struct coro_group *group)
{
    list_foreach (link, &group->members)
        coro_task_cancel(list_entry(link, struct coro_task, in_group));
}

static int park(struct coro_group *group, int64_t deadline_ms)
{
    const struct coro_awaits awaits = {.group = group};
    coro_awaits_note(&awaits);
    int status = coro_park_for(&group->waiters, deadline_ms, "group");
    coro_awaits_note(NULL);
    return status;
}

/* --- standing and falling together --------------------------------------- */

static void add_error(struct coro_group *group, const struct coro_task *task,
                      int status)
{
    if (group->nerrors < CORO_GROUP_ERRORS)
        group->errors[group->nerrors] = (struct coro_group_error){
            .name = coro_task_name(task),
            .id = coro_task_id(task),
            .status = status,
        };
    group->nerrors++;
}

/* Nothing new any more, and the end of what there is. */
static void shut_down(struct coro_group *group)
{
    if (group->is_closing)
        return;
    group->is_closing = true;
    coro_group_cancel(group);
}

static void fail(struct coro_group *group, const struct coro_task *member,
                 int status)
{
    add_error(group, member, status);
    shut_down(group);
    if (group->is_ending || group->has_cancelled_owner)
        return;
    group->has_cancelled_owner = true;
    coro_task_cancel(group->owner);
}

void coro_group_left(struct coro_group *group, const struct coro_task *task)
{
    int result = task->ended.status;
    if (group->owner && result < 0 && result != -ECANCELED)
        fail(group, task, result);
    if (!list_is_empty(&group->members))
        return;
    while (coro_wake_first(&group->waiters, 0))
        ;
}

void coro_group_begin(struct coro_group *group)
{
    struct coro_task *self = coro_task_current();
    ensure(self);
    coro_group_init(group, self->loop);
    group->owner = self;
    /* A cancellation that was not seen yet will be seen by the body. */
    group->ncancels = self->ncancels - self->is_cancelling;
}

/* True when the owner was cancelled by others, beside what the group did. */
static bool is_cancelled_from_outside(const struct coro_group *group)
{
    return group->owner->ncancels > group->ncancels;
}

/* The cancellation by which the group got its owner out of the body is over,
 * whether the body has seen it or not. */
static void take_back_cancellation(struct coro_group *group)
{
    struct coro_task *self = group->owner;
    if (!group->has_cancelled_owner)
        return;
    if (self->ncancels > 0)
        self->ncancels--;
    if (!is_cancelled_from_outside(group))
        self->is_cancelling = false;
}

int coro_group_end(struct coro_group *group, int status)
{
    struct coro_task *self = coro_task_current();
    ensure(group->owner == self);
    group->is_ending = true;
    take_back_cancellation(group);
    if (status < 0 && status != -ECANCELED)
        add_error(group, self, status);
    if (status < 0)
        shut_down(group);
    while (!list_is_empty(&group->members)) {
        if (park(group, CORO_NEVER) == -ECANCELED) {
            status = -ECANCELED;
            group->is_closing = true;
            coro_group_cancel(group);
        }
    }
    group->is_closing = true;
    if (group->nerrors == 0)
        return status;
    if (status == -ECANCELED && is_cancelled_from_outside(group))
        coro_task_cancel_later(self);
    return group->errors[0].status;
}

/* --- the end ------------------------------------------------------------- */

static bool is_own_group(const struct coro_group *group)
{
    const struct coro_task *self = coro_task_current();
    return self && self->group == group;
}

int coro_group_wait(struct coro_group *group, int64_t deadline_ms)
{
    if (is_own_group(group))
        return -EDEADLK;
    if (list_is_empty(&group->members))
        return 0;
    return park(group, deadline_ms);
}

void coro_group_close(struct coro_group *group)
{
    bool was_cancelled = false;
    ensure(!is_own_group(group) && "a member can't wait for its own end");
    group->is_closing = true;
    while (!list_is_empty(&group->members)) {
        coro_group_cancel(group);
        if (coro_group_wait(group, coro_after(CANCEL_AGAIN_MS)) == -ECANCELED)
            was_cancelled = true;
    }
    if (was_cancelled)
        coro_task_cancel_later(coro_task_current());
}
