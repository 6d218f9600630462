#include "coro/sched/task.h"

#include <errno.h>

#include "coro/base/ensure.h"
#include "coro/sched/flow.h"
#include "coro/sched/future.h"
#include "coro/sched/schedule.h"

struct coro_task *coro_task_ref(struct coro_task *task)
{
    task->nrefs++;
    return task;
}

void coro_task_unref(struct coro_task *task)
{
    if (!task)
        return;
    ensure(task->nrefs > 0);
    if (--task->nrefs == 0)
        coro_task_destroy(task);
}

void coro_task_destroy(struct coro_task *task)
{
    struct coro_loop *loop = task->loop;
    ensure(task->state == CORO_TASK_DONE &&
           "a task that has not ended can't be freed");
    coro_stack_give(task->is_large ? &loop->large_stacks : &loop->stacks,
                    task->stack);
}

void coro_task_drop(struct coro_task *task)
{
    struct coro_loop *loop = task->loop;
    coro_gen_drop_all(task);
    loop->dropped = task;
    coro_defer_run_all(&task->deferred);
    loop->dropped = NULL;
    coro_sanitize_end(&task->notes);
}

void coro_task_join_group(struct coro_task *task, struct coro_group *group)
{
    task->group = group;
    list_append(&group->members, &task->in_group);
}

bool coro_task_cancel(struct coro_task *task)
{
    ensure(coro_schedule_is_own(task->loop) && "a loop belongs to its thread");
    switch ((enum coro_task_state)task->state) {
    case CORO_TASK_DONE:
        return false;
    case CORO_TASK_WAITING:
        coro_wake(task, -ECANCELED);
        return true;
    case CORO_TASK_NEW:
    case CORO_TASK_READY:
    case CORO_TASK_RUNNING:
        break;
    }
    /* One that was woken by a cancellation just now has been told already. */
    if (task->state != CORO_TASK_READY || task->wake_status != -ECANCELED)
        task->is_cancelling = true;
    return true;
}

bool coro_task_uncancel(struct coro_task *task)
{
    bool was_cancelling = task->is_cancelling;
    task->is_cancelling = false;
    return was_cancelling;
}

bool coro_task_is_cancelling(const struct coro_task *task)
{
    return task->is_cancelling;
}

int coro_task_wait(struct coro_task *task, int64_t deadline_ms, int *ret_result)
{
    int status = coro_future_wait(&task->ended, deadline_ms);
    if (status == 0 && ret_result)
        *ret_result = coro_future_status(&task->ended);
    return status;
}

struct coro_future *coro_task_future(struct coro_task *task)
{
    return &task->ended;
}

enum coro_task_state coro_task_state(const struct coro_task *task)
{
    return (enum coro_task_state)task->state;
}

const char *coro_task_name(const struct coro_task *task)
{
    return task->name;
}

uint64_t coro_task_id(const struct coro_task *task)
{
    return task->id;
}

int64_t coro_task_since_ms(const struct coro_task *task)
{
    return task->since_ms;
}
