#include "coro/sched/dump.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "coro/core/backtrace.h"
#include "coro/core/symbol.h"
#include "coro/sched/schedule.h"

#define LINE_BYTES 512

/* So many others of one kind are named; the rest is counted. */
#define OTHERS_NAMED 16

/* --- looking at a task --------------------------------------------------- */

/* A task's calls; where it stands in a generator, those go on with the calls of
 * whoever resumed that. */
static size_t read_calls(const struct coro_task *task, uintptr_t *frames)
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

/* From the source's expression to words: "&future->waiters" is a future. */
static void name_wait(const struct coro_task *task, char *text, size_t capacity)
{
    static const char suffix[] = "->waiters";
    const char *expression = task->waits_for;
    if (task->state != CORO_TASK_WAITING || !expression) {
        text[0] = '\0';
        return;
    }
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
    if (task->state != CORO_TASK_DONE)
        ret_inspection->nframes = read_calls(task, ret_inspection->frames);
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
           strcmp(name, "coro_context_switch") == 0;
}

static size_t first_call(const struct coro_inspection *inspection,
                         const struct coro_symbols *symbols)
{
    size_t i = 0;
    while (i < inspection->nframes && i < 2) {
        const char *name =
            coro_symbols_name(symbols, inspection->frames[i], NULL);
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
    size_t first = first_call(inspection, symbols);
    coro_symbols_calls(symbols, inspection->frames + first,
                       inspection->nframes - first, text, capacity);
}

/* --- the whole dump ------------------------------------------------------ */

/* One of the tasks: which others do the same is told by its hash. */
struct entry {
    const struct coro_task *task;
    uint64_t hash;
    size_t nothers; /* of its kind, if it is the first of that */
    size_t next;    /* the next one of its kind; 0: none */
    bool is_told;
};

struct dump {
    struct coro_loop *loop;
    coro_dump_fn *write;
    void *argument;
    struct coro_symbols symbols;
    struct entry *entries; /* NULL: no memory, each task on its own */
    size_t nentries;
    size_t *firsts; /* by hash: index + 1 of the first entry of its kind */
    size_t nfirsts;
    int64_t now_ms;
};

static void say(const struct dump *dump, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct dump *dump, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    dump->write(dump->argument, line, (size_t)len);
}

static void say_state(const struct dump *dump,
                      const struct coro_inspection *task)
{
    char what[80], limit[60] = "";
    double waited = (double)(dump->now_ms - task->since_ms) / 1000;
    if (task->waits_for[0])
        snprintf(what, sizeof what, "has waited for %s for", task->waits_for);
    else
        snprintf(what, sizeof what, "has been %s for",
                 coro_task_state_name(task->state));
    if (task->deadline_ms != CORO_NEVER)
        snprintf(limit, sizeof limit, ", at most %.3f s more",
                 (double)(task->deadline_ms - dump->now_ms) / 1000);
    say(dump, "task %llu '%s' %s %.3f s%s; stack %zu of %zu bytes",
        (unsigned long long)task->id, task->name, what, waited, limit,
        task->high_water_bytes, task->stack_bytes);
}

static void say_task(const struct dump *dump, const struct coro_task *task)
{
    struct coro_inspection inspection;
    coro_task_inspect(task, &inspection);
    say_state(dump, &inspection);
    for (size_t i = first_call(&inspection, &dump->symbols);
         i < inspection.nframes; i++) {
        char call[256];
        coro_symbols_describe(&dump->symbols, inspection.frames[i], call,
                              sizeof call);
        say(dump, "    %s", call);
    }
}

static void say_others(const struct dump *dump, const struct entry *first)
{
    char ids[OTHERS_NAMED * 21 + 8] = "";
    size_t len = 0, nnamed = 0;
    for (size_t i = first->next; i != 0 && nnamed < OTHERS_NAMED;
         i = dump->entries[i].next, nnamed++)
        len += (size_t)snprintf(ids + len, sizeof ids - len, " %llu",
                                (unsigned long long)dump->entries[i].task->id);
    say(dump, "    and %zu more like it:%s%s", first->nothers, ids,
        nnamed < first->nothers ? " …" : "");
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ (hash >> 29);
}

/* Of what makes two tasks alike: what they are called and do, and where. */
static uint64_t hash_of(const struct coro_task *task)
{
    uintptr_t frames[CORO_INSPECT_FRAMES];
    size_t nframes = read_calls(task, frames);
    uint64_t hash = mix(task->state, nframes);
    for (const char *c = task->name; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    if (task->state == CORO_TASK_WAITING)
        hash = mix(hash, (uintptr_t)task->waits_for);
    for (size_t i = 0; i < nframes; i++)
        hash = mix(hash, frames[i]);
    return hash;
}

/* Puts entry @index in line behind the first one of its kind. */
static void sort_in(struct dump *dump, size_t index, size_t *lasts)
{
    struct entry *entry = &dump->entries[index];
    size_t slot = entry->hash % dump->nfirsts;
    while (dump->firsts[slot] != 0) {
        size_t first = dump->firsts[slot] - 1;
        if (dump->entries[first].hash == entry->hash) {
            dump->entries[lasts[first]].next = index;
            lasts[first] = index;
            dump->entries[first].nothers++;
            entry->is_told = true;
            return;
        }
        slot = (slot + 1) % dump->nfirsts;
    }
    dump->firsts[slot] = index + 1;
    lasts[index] = index;
}

/* Finds those that are alike. Returns false when there is no memory for it. */
static bool sort_tasks(struct dump *dump)
{
    size_t n = dump->loop->ntasks;
    dump->nfirsts = 2 * n + 1;
    dump->entries = calloc(n + 1, sizeof *dump->entries);
    dump->firsts = calloc(dump->nfirsts, sizeof *dump->firsts);
    size_t *lasts = calloc(n + 1, sizeof *lasts);
    bool has_memory = dump->entries && dump->firsts && lasts;
    if (has_memory) {
        list_foreach (link, &dump->loop->tasks) {
            struct entry *entry = &dump->entries[dump->nentries];
            entry->task = list_entry(link, struct coro_task, all);
            entry->hash = hash_of(entry->task);
            sort_in(dump, dump->nentries++, lasts);
        }
    }
    free(lasts);
    return has_memory;
}

static void say_all(void *argument)
{
    struct dump *dump = argument;
    dump->now_ms = coro_now_ms();
    coro_symbols_open(&dump->symbols);
    say(dump, "%zu tasks", dump->loop->ntasks);
    if (sort_tasks(dump)) {
        for (size_t i = 0; i < dump->nentries; i++) {
            const struct entry *entry = &dump->entries[i];
            if (entry->is_told)
                continue;
            say_task(dump, entry->task);
            if (entry->nothers > 0)
                say_others(dump, entry);
        }
    } else {
        list_foreach (link, &dump->loop->tasks)
            say_task(dump, list_entry(link, struct coro_task, all));
    }
    free(dump->entries);
    free(dump->firsts);
    coro_symbols_close(&dump->symbols);
}

void coro_dump(struct coro_loop *loop, coro_dump_fn *write, void *argument)
{
    ensure(coro_schedule_is_own(loop) && "a loop belongs to its thread");
    struct dump dump = {.loop = loop, .write = write, .argument = argument};
    coro_call_on_loop_stack(say_all, &dump);
}

static void write_to_fd(void *argument, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(*(int *)argument, text, len);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

void coro_dump_fd(struct coro_loop *loop, int fd)
{
    coro_dump(loop, write_to_fd, &fd);
}
