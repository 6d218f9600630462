#include "coro/sched/task.h"

#include <errno.h>

#include "coro/base/ensure.h"
#include "coro/sched/flow.h"
#include "coro/sched/future.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

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

/* At the very top of @stack. */
static struct coro_task *place_task(struct coro_loop *loop,
                                    const struct coro_stack *stack,
                                    uint8_t traits)
{
    uintptr_t at = (uintptr_t)stack->top - sizeof(struct coro_task);
    struct coro_task *task = (void *)(at & ~(uintptr_t)63);
    task->ready.run = NULL;
    task->traits = traits;
    task->loop = loop;
    list_init(&task->waiting);
    coro_timer_init(&task->timer, NULL);
    task->deferred = NULL;
    coro_future_init(&task->ended);
    task->free_value = NULL;
    task->generator = NULL;
    task->awaits = NULL;
    task->stack = *stack;
    return task;
}

struct coro_task *coro_task_make(struct coro_loop *loop, bool is_large)
{
    struct coro_stack stack;
    if (coro_stack_take(is_large ? &loop->large_stacks : &loop->stacks,
                        &stack) < 0)
        return NULL;
    int traits = (stack.has_canary ? CORO_TASK_HAS_CANARY : 0) |
                 (is_large ? CORO_TASK_IS_LARGE : 0);
    return place_task(loop, &stack, (uint8_t)traits);
}

static void run_deferred(void *argument)
{
    struct coro_task *task = argument;
    coro_defer_run_all(&task->deferred);
}

void coro_task_drop(struct coro_task *task)
{
    struct coro_loop *loop = task->loop;
    coro_gen_drop_all(task);
    loop->dropped = task;
    coro_tag_call(task->tag, run_deferred, task);
    loop->dropped = NULL;
    coro_sanitize_end(&task->notes);
}

void coro_task_join_group(struct coro_task *task, struct coro_group *group)
{
    task->group = group;
    list_append(&group->members, &task->in_group);
}

/* --- results ------------------------------------------------------------- */

int coro_task_return(void *value, void (*free_value)(void *value))
{
    struct coro_task *self = coro_task_current();
    ensure(self);
    if (self->free_value)
        self->free_value(self->ended.value);
    self->ended.value = value;
    self->free_value = value ? free_value : NULL;
    return 0;
}

bool coro_task_is_done(const struct coro_task *task)
{
    return task->state == CORO_TASK_DONE;
}

bool coro_task_is_cancelled(const struct coro_task *task)
{
    return coro_task_result(task) == -ECANCELED;
}

int coro_task_result(const struct coro_task *task)
{
    return coro_task_is_done(task) ? task->ended.status : -EINPROGRESS;
}

void *coro_task_value(const struct coro_task *task)
{
    return coro_task_is_done(task) ? task->ended.value : NULL;
}

void *coro_task_take_value(struct coro_task *task)
{
    void *value = coro_task_value(task);
    if (value) {
        task->ended.value = NULL;
        task->free_value = NULL;
    }
    return value;
}

/* --- cancelling ---------------------------------------------------------- */

bool coro_task_cancel(struct coro_task *task)
{
    ensure(coro_schedule_is_own(task->loop) && "a loop belongs to its thread");
    if (task->state == CORO_TASK_DONE)
        return false;
    task->ncancels++;
    if (task->state == CORO_TASK_WAITING)
        coro_wake(task, -ECANCELED);
    else if (task->state != CORO_TASK_READY || task->wake_status != -ECANCELED)
        task->is_cancelling = true;
    /* Else it was woken by a cancellation just now and has been told. */
    return true;
}

bool coro_task_uncancel(struct coro_task *task)
{
    bool was_cancelling = task->is_cancelling;
    task->is_cancelling = false;
    if (task->ncancels > 0)
        task->ncancels--;
    return was_cancelling;
}

bool coro_task_is_cancelling(const struct coro_task *task)
{
    return task->is_cancelling;
}

unsigned coro_task_ncancels(const struct coro_task *task)
{
    return task->ncancels;
}

void coro_task_cancel_later(struct coro_task *self)
{
    self->is_cancelling = true;
}

/* --- waiting ------------------------------------------------------------- */

static int wait_for_end(struct coro_task *task, int64_t deadline_ms)
{
    const struct coro_awaits awaits = {.task = task};
    coro_awaits_note(&awaits);
    int status = coro_future_park(&task->ended, deadline_ms, "task");
    coro_awaits_note(NULL);
    return status;
}

int coro_task_wait(struct coro_task *task, int64_t deadline_ms, int *ret_result)
{
    if (task == coro_task_current())
        return -EDEADLK;
    ensure(coro_schedule_is_own(task->loop) && "a loop belongs to its thread");
    int status = wait_for_end(task, deadline_ms);
    if (status == 0 && ret_result)
        *ret_result = coro_future_status(&task->ended);
    return status;
}

bool coro_task_wait_out(struct coro_task *task)
{
    bool was_cancelled = false;
    while (wait_for_end(task, CORO_NEVER) == -ECANCELED) {
        was_cancelled = true;
        coro_task_cancel(task);
    }
    return was_cancelled;
}

/* --- what it is ---------------------------------------------------------- */

struct coro_future *coro_task_future(struct coro_task *task)
{
    return &task->ended;
}

enum coro_task_state coro_task_state(const struct coro_task *task)
{
    return (enum coro_task_state)task->state;
}

size_t coro_task_all(struct coro_loop *loop, struct coro_task **ret_tasks,
                     size_t max)
{
    size_t ntasks = 0;
    list_foreach (link, &loop->tasks) {
        if (ntasks == max)
            break;
        ret_tasks[ntasks++] =
            coro_task_ref(list_entry(link, struct coro_task, all));
    }
    return loop->ntasks;
}

void coro_task_set_name(struct coro_task *task, const char *name)
{
    task->name = name;
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
