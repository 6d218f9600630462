#include "coro/sched/condition.h"

#include <errno.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"

/* Returns whether the task was cancelled meanwhile. */
static bool lock_again(struct coro_lock *lock)
{
    bool was_cancelled = false;
    while (coro_lock_acquire(lock, CORO_NEVER) == -ECANCELED)
        was_cancelled = true;
    return was_cancelled;
}

int coro_condition_wait(struct coro_condition *condition, int64_t deadline_ms)
{
    if (coro_lock_release(condition->lock) < 0)
        return -EPERM;
    int status = coro_park(&condition->waiters, deadline_ms);
    if (lock_again(condition->lock) && status != -ECANCELED)
        coro_task_cancel_later(coro_task_current());
    return status;
}

int coro_condition_wait_for(struct coro_condition *condition,
                            bool (*is_so)(void *argument), void *argument,
                            int64_t deadline_ms)
{
    if (!coro_lock_is_locked(condition->lock))
        return -EPERM;
    while (!is_so(argument)) {
        int status = coro_condition_wait(condition, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

int coro_condition_notify(struct coro_condition *condition, size_t ntasks)
{
    if (!coro_lock_is_locked(condition->lock))
        return -EPERM;
    while (ntasks > 0 && coro_wake_first(&condition->waiters, 0))
        ntasks--;
    return 0;
}

int coro_condition_notify_all(struct coro_condition *condition)
{
    return coro_condition_notify(condition, SIZE_MAX);
}
