#include "coro/sched/tag.h"

#include "coro/sched/schedule.h"

/* Of what is no task: the work of a thread, a callback of the loop. */
static _Thread_local uint64_t thread_tag;

/* Whose work is done here: that of the running task, or of the one for which
 * the loop's stack is being used. */
static struct coro_task *served_task(void)
{
    struct coro_loop *loop = coro_loop_current();
    return loop ? coro_loop_served(loop) : NULL;
}

uint64_t coro_tag(void)
{
    const struct coro_task *task = served_task();
    return task ? atomic_load_explicit(&task->tag, memory_order_relaxed)
                : thread_tag;
}

void coro_tag_set(uint64_t tag)
{
    struct coro_task *task = served_task();
    if (task)
        atomic_store_explicit(&task->tag, tag, memory_order_relaxed);
    else
        thread_tag = tag;
}

void coro_tag_call(uint64_t tag, void (*function)(void *argument),
                   void *argument)
{
    uint64_t before = coro_tag();
    coro_tag_set(tag);
    function(argument);
    coro_tag_set(before);
}
