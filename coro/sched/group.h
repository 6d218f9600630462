/*
 * A group: the scope that owns tasks. None of them outlives it. There are two
 * kinds.
 *
 * Tasks that have one piece of work in common and are worth nothing alone, as
 * in asyncio's TaskGroup: when one fails, or the body does, the others are
 * cancelled.
 *
 *     struct coro_group group;
 *     coro_group_begin(&group);
 *     status = coro_group_spawn(&group, fetch, &left, NULL);
 *     if (status == 0)
 *         status = coro_group_spawn(&group, fetch, &right, NULL);
 *     status = coro_group_end(&group, status);      waits, and says what failed
 *
 * Tasks that only happen to have the same owner, such as the parts of a
 * service. What they return is their own affair.
 *
 *     coro_group_init(&group, loop);
 *     status = coro_group_spawn(&group, serve, &state, NULL);
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

/* So many errors are kept; all are counted. */
#define CORO_GROUP_ERRORS 8

struct coro_group_error {
    const char *name; /* of the task; borrowed from whoever spawned it */
    uint64_t id;
    int status;
};

struct coro_group {
    struct coro_loop *loop;
    struct list members;
    struct list waiters; /* tasks that wait for the last member's end */
    bool is_closing;

    /* From here on for coro_group_begin() only. */
    bool is_ending;           /* the body is over */
    bool has_cancelled_owner; /* to get it out of the body */
    struct coro_task *owner;  /* NULL: none cares about errors */
    unsigned ncancels;        /* of the owner, when it began */
    unsigned nerrors;
    struct coro_group_error errors[CORO_GROUP_ERRORS]; /* in order of time */
};

/** Makes an empty group of tasks of @loop. */
void coro_group_init(struct coro_group *group, struct coro_loop *loop);

/**
 * Makes an empty group whose members stand and fall together. The running task
 * owns it; what that does until coro_group_end() is the group's body.
 *
 * When a member fails (returns a negative number that is not -ECANCELED), the
 * other members are cancelled, and so is the body, wherever it waits.
 *
 * Context: coroutine on the loop thread; does not suspend.
 */
void coro_group_begin(struct coro_group *group);

/**
 * Ends the body, and waits for the last member's end, however long that takes;
 * until then members may spawn others. To be called once, in each way out.
 *
 * @status  how the body went. When negative, all members are cancelled.
 *
 * Returns
 *   the first error in time, of a member or the body. All are in @group->errors
 *   and counted in @group->nerrors, from 1 on; a cancellation from outside that
 *   came as well is seen at the next suspension;
 *   -ECANCELED   the owner was cancelled from outside; so were all members;
 *   @status      else.
 *
 * Context: the task that began it, on the loop thread. Suspends unless no
 * member is left; a cancellation point, but not one that ends the wait.
 */
int coro_group_end(struct coro_group *group, int status);

/**
 * Spawns a task into @group; see coro_spawn(). Returns 0, -ENOMEM, or
 * -ESHUTDOWN when the group is being closed, or has failed, or has ended.
 * Context: loop thread.
 */
int coro_group_spawn(struct coro_group *group, coro_task_fn *function,
                     void *argument, const struct coro_spawn_options *options);

/**
 * As coro_group_spawn(), and gives a reference to the task. Ownership:
 * coro_task_unref(); the task is the group's all the same.
 */
int coro_group_spawn_task(struct coro_group *group, coro_task_fn *function,
                          void *argument,
                          const struct coro_spawn_options *options,
                          struct coro_task **ret_task);

/** Cancels all members. Context: loop thread; does not suspend. */
void coro_group_cancel(struct coro_group *group);

/** True when no member is left. */
static inline bool coro_group_is_empty(const struct coro_group *group)
{
    return list_is_empty(&group->members);
}

/**
 * Waits until no member is left. Returns 0, -ETIMEDOUT or -ECANCELED, or
 * -EDEADLK when a member asks. Context: coroutine on the loop thread. Suspends;
 * a cancellation point.
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
