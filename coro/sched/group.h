/*
 * A group: the scope that owns tasks. None of them outlives it.
 *
 *     struct coro_group group;
 *     coro_group_init(&group, loop);
 *     status = coro_group_spawn(&group, fetch, &state, NULL);
 *     …
 *     coro_group_close(&group);      cancels what is left, waits for its end
 *
 * Everything here belongs to one loop's thread.
 */
#ifndef CORO_SCHED_GROUP_H
#define CORO_SCHED_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "coro/sched/task.h"

struct coro_group {
    struct coro_loop *loop;
    struct list members;
    struct list waiters; /* tasks that wait for the last member's end */
    bool is_closing;
};

/** Makes an empty group of tasks of @loop. */
void coro_group_init(struct coro_group *group, struct coro_loop *loop);

/**
 * Spawns a task into @group; see coro_spawn(). Returns 0, -ENOMEM, or
 * -ESHUTDOWN when the group is being closed. Context: loop thread.
 */
int coro_group_spawn(struct coro_group *group, coro_task_fn *function,
                     void *argument, const struct coro_spawn_options *options);

/** Cancels all members. Context: loop thread; does not suspend. */
void coro_group_cancel(struct coro_group *group);

/** True when no member is left. */
static inline bool coro_group_is_empty(const struct coro_group *group)
{
    return list_is_empty(&group->members);
}

/**
 * Waits until no member is left. Returns 0, -ETIMEDOUT or -ECANCELED.
 * Context: coroutine on the loop thread, not a member. Suspends; a
 * cancellation point.
 */
int coro_group_wait(struct coro_group *group, int64_t deadline_ms);

/**
 * Cancels all members and waits until they have ended, however long that takes
 * and also when the caller is cancelled meanwhile (which it sees afterwards).
 * Members that go on all the same are cancelled again from time to time.
 * Nothing can be spawned into the group any more.
 * Context: coroutine on the loop thread, not a member. Suspends.
 */
void coro_group_close(struct coro_group *group);

#endif
