#include "coro/sched/semaphore.h"

#include <errno.h>

#include "coro/sched/schedule.h"

int coro_semaphore_acquire(struct coro_semaphore *semaphore,
                           int64_t deadline_ms)
{
    if (semaphore->nfree == 0)
        return coro_park(&semaphore->waiters, deadline_ms);
    semaphore->nfree--;
    return 0;
}

int coro_semaphore_release(struct coro_semaphore *semaphore)
{
    if (semaphore->nfree == semaphore->limit)
        return -EOVERFLOW;
    if (!coro_wake_first(&semaphore->waiters, 0))
        semaphore->nfree++;
    return 0;
}
