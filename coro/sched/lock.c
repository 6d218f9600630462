#include "coro/sched/lock.h"

#include <errno.h>

#include "coro/sched/schedule.h"

int coro_lock_acquire(struct coro_lock *lock, int64_t deadline_ms)
{
    if (lock->is_locked)
        return coro_park(&lock->waiters, deadline_ms);
    lock->is_locked = true;
    return 0;
}

int coro_lock_release(struct coro_lock *lock)
{
    if (!lock->is_locked)
        return -EPERM;
    lock->is_locked = coro_wake_first(&lock->waiters, 0);
    return 0;
}
