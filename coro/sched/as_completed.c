#include "coro/sched/as_completed.h"

int coro_as_completed_init(struct coro_as_completed *each,
                           struct coro_task *const *tasks, size_t ntasks)
{
    return coro_watch_init(&each->set, tasks, ntasks);
}

void coro_as_completed_release(struct coro_as_completed *each)
{
    coro_watch_release(&each->set);
}

int coro_as_completed_next(struct coro_as_completed *each, int64_t deadline_ms,
                           struct coro_task **ret_task)
{
    struct coro_watch_set *set = &each->set;
    int status = coro_watch_wait(set, CORO_FIRST_COMPLETED, deadline_ms);
    if (status < 0)
        return status;
    struct coro_task *task = coro_watch_take_ended(set);
    if (!task)
        return 0;
    *ret_task = task;
    return 1;
}
