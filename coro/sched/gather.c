#include "coro/sched/gather.h"

#include <errno.h>

#include "coro/sched/schedule.h"
#include "coro/sched/watch.h"

static void cancel_and_wait(struct coro_watch_set *set,
                            struct coro_task *const *tasks, size_t ntasks)
{
    int status;
    do {
        for (size_t i = 0; i < ntasks; i++)
            coro_task_cancel(tasks[i]);
        status = coro_watch_wait(set, CORO_ALL_COMPLETED, CORO_NEVER);
    } while (status == -ECANCELED);
}

static bool has_self(struct coro_task *const *tasks, size_t ntasks)
{
    const struct coro_task *self = coro_task_current();
    for (size_t i = 0; i < ntasks; i++)
        if (tasks[i] == self)
            return true;
    return false;
}

int coro_gather(struct coro_task *const *tasks, size_t ntasks,
                enum coro_gather_errors errors, int64_t deadline_ms,
                int *ret_results)
{
    bool raises = errors == CORO_RAISE_ERRORS;
    struct coro_watch_set set;
    /* Cancelled, it would cancel itself and wait for its own end. */
    int status = has_self(tasks, ntasks) ? -EDEADLK
                                         : coro_watch_init(&set, tasks, ntasks);
    if (status < 0)
        return status;
    status = coro_watch_wait(
        &set, raises ? CORO_FIRST_FAILURE : CORO_ALL_COMPLETED, deadline_ms);
    if (status == -ECANCELED)
        cancel_and_wait(&set, tasks, ntasks);
    else if (status == 0 && raises)
        status = set.first_failure;
    coro_watch_release(&set);
    for (size_t i = 0; i < ntasks && ret_results; i++)
        ret_results[i] = coro_task_result(tasks[i]);
    return status;
}

int coro_wait(struct coro_task *const *tasks, size_t ntasks,
              enum coro_wait_until until, int64_t deadline_ms)
{
    if (ntasks == 0)
        return -EINVAL;
    struct coro_watch_set set;
    int status = coro_watch_init(&set, tasks, ntasks);
    if (status < 0)
        return status;
    status = coro_watch_wait(&set, until, deadline_ms);
    coro_watch_release(&set);
    return status;
}
