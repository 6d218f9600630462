#include "coro/sched/await.h"

#include <errno.h>

#include "coro/sched/schedule.h"

/* Those who only wish to be told of the end, by a callback, do not count. */
static bool is_awaited(const struct coro_future *ended)
{
    if (!list_is_empty(&ended->waiters))
        return true;
    const struct coro_callback *callback = ended->callbacks;
    while (callback && !callback->is_direct)
        callback = callback->next;
    return callback;
}

/* Ends @task for the reason of @status. */
static int cancel_and_wait(struct coro_task *task, int status)
{
    coro_task_cancel(task);
    if (coro_task_wait_out(task))
        status = -ECANCELED;
    int result = coro_task_result(task);
    if (result == -ECANCELED)
        return status;
    if (status == -ECANCELED)
        coro_task_cancel_later(coro_task_current());
    return result;
}

int coro_shield(struct coro_task *task, int64_t deadline_ms)
{
    int result;
    int status = coro_task_wait(task, deadline_ms, &result);
    return status < 0 ? status : result;
}

int coro_await(struct coro_task *task, int64_t deadline_ms)
{
    int status = coro_task_wait(task, deadline_ms, NULL);
    if (status == -ECANCELED && !is_awaited(&task->ended))
        return cancel_and_wait(task, status);
    return status < 0 ? status : coro_task_result(task);
}

int coro_wait_for(struct coro_task *task, int64_t deadline_ms)
{
    int status = coro_task_wait(task, deadline_ms, NULL);
    if (status == -ETIMEDOUT || status == -ECANCELED)
        return cancel_and_wait(task, status);
    return status < 0 ? status : coro_task_result(task);
}
