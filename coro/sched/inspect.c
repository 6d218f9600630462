#include "coro/sched/inspect.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/ensure.h"
#include "coro/core/backtrace.h"
#include "coro/core/symbol.h"
#include "coro/sched/schedule.h"

/* --- looking at a task --------------------------------------------------- */

size_t coro_task_calls(const struct coro_task *task, uintptr_t *frames)
{
    const size_t capacity = CORO_INSPECT_FRAMES;
    size_t n = task == coro_task_current()
                   ? coro_backtrace(frames, capacity)
                   : coro_backtrace_of(&task->context, frames, capacity);
    const struct coro_gen *gen = task->generator;
    for (; gen && n < capacity; gen = gen->outer)
        n += coro_backtrace_of(&gen->resumer, frames + n, capacity - n);
    return n;
}

/* As "task 7 'fetch' and 4 more"; nothing when there are none. */
static void name_peers(struct coro_peers peers, char *text, size_t capacity)
{
    char more[32] = "";
    text[0] = '\0';
    if (!peers.first)
        return;
    if (peers.ntasks > 1)
        snprintf(more, sizeof more, " and %zu more", peers.ntasks - 1);
    snprintf(text, capacity, "task %llu '%.40s'%s",
             (unsigned long long)peers.first->id, peers.first->name, more);
}

/* From the source's expression to words: "&future->waiters" is a future. */
static void name_wait(const struct coro_task *task, char *text, size_t capacity)
{
    static const char suffix[] = "->waiters";
    const char *expression = task->waits_for;
    name_peers(coro_peers_awaited_by(task), text, capacity);
    if (text[0] || task->state != CORO_TASK_WAITING || !expression)
        return;
    if (strcmp(expression, "NULL") == 0)
        expression = "a wake-up";
    expression += *expression == '&';
    size_t len = strlen(expression);
    size_t suffix_len = sizeof suffix - 1;
    if (len > suffix_len && strcmp(expression + len - suffix_len, suffix) == 0)
        len -= suffix_len;
    snprintf(text, capacity, "%.*s", (int)len, expression);
}

void coro_task_inspect(const struct coro_task *task,
                       struct coro_inspection *ret_inspection)
{
    ensure(coro_schedule_is_own(task->loop) && "a loop belongs to its thread");
    bool has_deadline = coro_timer_is_armed(&task->timer);
    *ret_inspection = (struct coro_inspection){
        .name = task->name,
        .id = task->id,
        .state = (enum coro_task_state)task->state,
        .since_ms = task->since_ms,
        .deadline_ms = has_deadline ? task->timer.deadline_ms : CORO_NEVER,
        .stack_bytes = (size_t)(task->stack.top - task->stack.bottom),
        .high_water_bytes = coro_stack_high_water(&task->stack),
    };
    name_wait(task, ret_inspection->waits_for,
              sizeof ret_inspection->waits_for);
    name_peers(coro_peers_awaiting(task), ret_inspection->awaited_by,
               sizeof ret_inspection->awaited_by);
    if (task->state != CORO_TASK_DONE)
        ret_inspection->nframes = coro_task_calls(task, ret_inspection->frames);
}

const char *coro_task_state_name(enum coro_task_state state)
{
    static const char *const names[] = {
        [CORO_TASK_NEW] = "new",         [CORO_TASK_READY] = "ready",
        [CORO_TASK_RUNNING] = "running", [CORO_TASK_WAITING] = "waiting",
        [CORO_TASK_DONE] = "done",
    };
    return names[state];
}

/* --- calls in one line --------------------------------------------------- */

/* The innermost frames are the switch: the scheduler's, and that of the
 * context variant. */
static bool is_switch(const char *name)
{
    return strcmp(name, "suspend") == 0 || strcmp(name, "swapcontext") == 0 ||
           strcmp(name, "coro_yield") == 0 ||
           strcmp(name, "coro_context_switch") == 0;
}

size_t coro_first_call(const uintptr_t *frames, size_t nframes,
                       const struct coro_symbols *symbols)
{
    size_t i = 0;
    while (i < nframes && i < 2) {
        const char *name = coro_symbols_name(symbols, frames[i], NULL);
        if (!name || !is_switch(name))
            break;
        i++;
    }
    return i;
}

void coro_inspection_calls(const struct coro_inspection *inspection,
                           const struct coro_symbols *symbols, char *text,
                           size_t capacity)
{
    size_t first =
        coro_first_call(inspection->frames, inspection->nframes, symbols);
    coro_symbols_calls(symbols, inspection->frames + first,
                       inspection->nframes - first, text, capacity);
}
