#include "coro/sched/barrier.h"

#include <errno.h>

#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

void coro_barrier_init(struct coro_barrier *barrier, int nparties)
{
    ensure(nparties > 0);
    *barrier = (struct coro_barrier){.nparties = nparties};
    list_init(&barrier->waiters);
}

/* Who was cancelled or is late has left the list at once, but is counted until
 * it runs. So the count is never too low, and is made right where it matters. */
static int count_waiters(struct coro_barrier *barrier)
{
    barrier->nwaiting = 0;
    list_foreach (link, &barrier->waiters)
        barrier->nwaiting++;
    return barrier->nwaiting;
}

int coro_barrier_nwaiting(struct coro_barrier *barrier)
{
    return count_waiters(barrier);
}

/* The last of a round lets the others go, each with its number. */
static int let_go(struct coro_barrier *barrier)
{
    int number = 0;
    while (coro_wake_first(&barrier->waiters, number))
        number++;
    barrier->nwaiting = 0;
    return number;
}

int coro_barrier_wait(struct coro_barrier *barrier, int64_t deadline_ms)
{
    if (barrier->is_broken)
        return -EPIPE;
    if (barrier->nwaiting + 1 == barrier->nparties &&
        count_waiters(barrier) + 1 == barrier->nparties)
        return let_go(barrier);
    barrier->nwaiting++;
    int status = coro_park(&barrier->waiters, deadline_ms);
    if (status == -ETIMEDOUT || status == -ECANCELED)
        count_waiters(barrier);
    return status;
}

void coro_barrier_reset(struct coro_barrier *barrier)
{
    while (coro_wake_first(&barrier->waiters, -EPIPE))
        ;
    barrier->nwaiting = 0;
    barrier->is_broken = false;
}

void coro_barrier_abort(struct coro_barrier *barrier)
{
    coro_barrier_reset(barrier);
    barrier->is_broken = true;
}
