#include "worker/task_log.h"

#include "coro/base/clock.h"

size_t task_log_fields(const struct coro_inspection *found,
                       const struct coro_symbols *symbols,
                       struct task_log_text *text,
                       struct log_field fields[TASK_LOG_FIELDS])
{
    size_t n = 0;
    if (found->deadline_ms != CORO_NEVER)
        fields[n++] =
            log_seconds("left", (found->deadline_ms - coro_now_ms()) * 1000);
    if (found->awaited_by[0])
        fields[n++] = log_string("awaited_by", found->awaited_by);
    fields[n++] = log_int("stack", (int64_t)found->high_water_bytes);
    fields[n++] = log_int("stack_size", (int64_t)found->stack_bytes);
    coro_inspection_calls(found, symbols, text->calls, sizeof text->calls);
    fields[n++] = log_string("calls", text->calls);
    return n;
}

void task_log(const char *component, const struct coro_task *task,
              const struct coro_symbols *symbols)
{
    struct coro_inspection found;
    struct task_log_text text;
    struct log_field fields[2 + TASK_LOG_FIELDS];
    coro_task_inspect(task, &found);
    bool waits = found.waits_for[0] != '\0';
    fields[0] = log_int("task", (int64_t)found.id);
    fields[1] = log_seconds("age", (coro_now_ms() - found.since_ms) * 1000);
    size_t nfields = 2 + task_log_fields(&found, symbols, &text, fields + 2);
    log_line(LOG_LEVEL_INFO, component, fields, nfields, "task '%s' %s%s",
             found.name, waits ? "waits for " : "is ",
             waits ? found.waits_for : coro_task_state_name(found.state));
}
