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
#include "coro/sched/flow.h"
#include "coro/sched/schedule.h"

#define LINE_BYTES 1024

/* So many others of one kind are named; the rest is counted. */
#define OTHERS_NAMED 16

/* --- writing ------------------------------------------------------------- */

/* A task, or a generator: which others do the same is told by its hash. */
struct entry {
    const struct coro_task *task;
    const struct coro_gen *gen;
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
    struct entry *entries; /* NULL: no memory, each is told of on its own */
    size_t nentries;
    size_t *lasts;  /* by the first one of a kind: the last one until now */
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
    char what[128], limit[60] = "", awaited[128] = "";
    double waited = (double)(dump->now_ms - task->since_ms) / 1000;
    if (task->waits_for[0])
        snprintf(what, sizeof what, "has waited for %s for", task->waits_for);
    else
        snprintf(what, sizeof what, "has been %s for",
                 coro_task_state_name(task->state));
    if (task->deadline_ms != CORO_NEVER)
        snprintf(limit, sizeof limit, ", at most %.3f s more",
                 (double)(task->deadline_ms - dump->now_ms) / 1000);
    if (task->awaited_by[0])
        snprintf(awaited, sizeof awaited, "; awaited by %s", task->awaited_by);
    say(dump, "task %llu '%s' %s %.3f s%s%s; stack %zu of %zu bytes",
        (unsigned long long)task->id, task->name, what, waited, limit, awaited,
        task->high_water_bytes, task->stack_bytes);
}

static void say_calls(const struct dump *dump, const uintptr_t *frames,
                      size_t nframes)
{
    for (size_t i = coro_first_call(frames, nframes, &dump->symbols);
         i < nframes; i++) {
        char call[256];
        coro_symbols_describe(&dump->symbols, frames[i], call, sizeof call);
        say(dump, "    %s", call);
    }
}

static void say_task(const struct dump *dump, const struct coro_task *task)
{
    struct coro_inspection inspection;
    coro_task_inspect(task, &inspection);
    say_state(dump, &inspection);
    say_calls(dump, inspection.frames, inspection.nframes);
}

/* The others of one kind, each with the task that it waits for, if it does. */
static void say_others(const struct dump *dump, const struct entry *first)
{
    char ids[OTHERS_NAMED * 48] = "";
    size_t len = 0, nnamed = 0;
    for (size_t i = first->next; i != 0 && nnamed < OTHERS_NAMED;
         i = dump->entries[i].next, nnamed++) {
        const struct coro_task *task = dump->entries[i].task;
        struct coro_peers awaited = coro_peers_awaited_by(task);
        len += (size_t)snprintf(ids + len, sizeof ids - len, " %llu",
                                (unsigned long long)task->id);
        if (awaited.first)
            len += (size_t)snprintf(ids + len, sizeof ids - len, "→%llu",
                                    (unsigned long long)awaited.first->id);
    }
    say(dump, "    and %zu more like it:%s%s", first->nothers, ids,
        nnamed < first->nothers ? " …" : "");
}

/* --- generators ---------------------------------------------------------- */

/* One that runs in a task is among the calls of that. */
static size_t read_gen(const struct coro_gen *gen, uintptr_t *frames)
{
    return gen->state == CORO_GEN_SUSPENDED
               ? coro_backtrace_of(&gen->context, frames, CORO_INSPECT_FRAMES)
               : 0;
}

static void say_gen(const struct dump *dump, const struct coro_gen *gen)
{
    static const char *const states[] = {
        [CORO_GEN_CREATED] = "created",
        [CORO_GEN_RUNNING] = "running",
        [CORO_GEN_SUSPENDED] = "suspended",
        [CORO_GEN_CLOSED] = "closed",
    };
    char where[80] = "", maker[40] = "outside of tasks";
    uintptr_t frames[CORO_INSPECT_FRAMES];
    const struct coro_task *task = coro_gen_task(gen);
    if (task)
        snprintf(where, sizeof where, " in task %llu '%.40s'",
                 (unsigned long long)task->id, task->name);
    if (gen->maker_id)
        snprintf(maker, sizeof maker, "by task %llu",
                 (unsigned long long)gen->maker_id);
    say(dump, "generator '%s' is %s%s; made %s; stack %zu of %zu bytes",
        gen->name, states[gen->state], where, maker,
        coro_stack_high_water(&gen->stack),
        (size_t)(gen->stack.top - gen->stack.bottom));
    say_calls(dump, frames, read_gen(gen, frames));
}

/* --- what is alike ------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ (hash >> 29);
}

static uint64_t mix_name(uint64_t hash, const char *name)
{
    for (const char *c = name; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    return hash;
}

static uint64_t mix_calls(uint64_t hash, const uintptr_t *frames,
                          size_t nframes)
{
    for (size_t i = 0; i < nframes; i++)
        hash = mix(hash, frames[i]);
    return mix(hash, nframes);
}

/* Of what makes two tasks alike: what they are called and do, and where, and
 * what the tasks that they wait for are called. */
static uint64_t hash_of(const struct coro_task *task)
{
    uintptr_t frames[CORO_INSPECT_FRAMES];
    struct coro_peers awaited = coro_peers_awaited_by(task);
    uint64_t hash = mix_name(task->state, task->name);
    if (task->state == CORO_TASK_WAITING)
        hash = mix(hash, (uintptr_t)task->waits_for);
    if (awaited.first)
        hash = mix_name(hash, awaited.first->name);
    return mix_calls(hash, frames, coro_task_calls(task, frames));
}

static uint64_t hash_of_gen(const struct coro_gen *gen)
{
    uintptr_t frames[CORO_INSPECT_FRAMES];
    uint64_t hash = mix_name(gen->state, gen->name);
    /* Those that run are never alike: each is in a place of its own. */
    hash = mix(hash, gen->state == CORO_GEN_RUNNING ? (uintptr_t)gen : 0);
    return mix_calls(hash, frames, read_gen(gen, frames));
}

/* Adds @new, in line behind the first one of its kind. */
static void sort_in(struct dump *dump, struct entry new)
{
    size_t index = dump->nentries++;
    struct entry *entry = &dump->entries[index];
    size_t *lasts = dump->lasts;
    *entry = new;
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

/* Room for @n entries. Returns false when there is no memory for it. */
static bool begin_sorting(struct dump *dump, size_t n)
{
    dump->nentries = 0;
    dump->nfirsts = 2 * n + 1;
    dump->entries = calloc(n + 1, sizeof *dump->entries);
    dump->firsts = calloc(dump->nfirsts, sizeof *dump->firsts);
    dump->lasts = calloc(n + 1, sizeof *dump->lasts);
    return dump->entries && dump->firsts && dump->lasts;
}

static void end_sorting(struct dump *dump)
{
    free(dump->entries);
    free(dump->firsts);
    free(dump->lasts);
}

static void say_tasks(struct dump *dump)
{
    bool has_memory = begin_sorting(dump, dump->loop->ntasks);
    list_foreach (link, &dump->loop->tasks) {
        const struct coro_task *task = list_entry(link, struct coro_task, all);
        if (has_memory)
            sort_in(dump, (struct entry){.task = task, .hash = hash_of(task)});
        else
            say_task(dump, task);
    }
    for (size_t i = 0; i < dump->nentries; i++) {
        const struct entry *entry = &dump->entries[i];
        if (entry->is_told)
            continue;
        say_task(dump, entry->task);
        if (entry->nothers > 0)
            say_others(dump, entry);
    }
    end_sorting(dump);
}

static void sort_gen(const struct coro_gen *gen, void *argument)
{
    sort_in(argument, (struct entry){.gen = gen, .hash = hash_of_gen(gen)});
}

static void say_each_gen(const struct coro_gen *gen, void *argument)
{
    say_gen(argument, gen);
}

static void say_gens(struct dump *dump)
{
    size_t ngens = coro_gen_each(NULL, NULL);
    if (ngens == 0)
        return;
    say(dump, "%zu generators", ngens);
    bool has_memory = begin_sorting(dump, ngens);
    coro_gen_each(has_memory ? sort_gen : say_each_gen, dump);
    for (size_t i = 0; i < dump->nentries; i++) {
        const struct entry *entry = &dump->entries[i];
        if (entry->is_told)
            continue;
        say_gen(dump, entry->gen);
        if (entry->nothers > 0)
            say(dump, "    and %zu more like it", entry->nothers);
    }
    end_sorting(dump);
}

static void say_all(void *argument)
{
    struct dump *dump = argument;
    dump->now_ms = coro_now_ms();
    coro_symbols_open(&dump->symbols);
    say(dump, "%zu tasks", dump->loop->ntasks);
    say_tasks(dump);
    say_gens(dump);
    coro_symbols_close(&dump->symbols);
}

/* --- the whole dump ------------------------------------------------------ */

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
