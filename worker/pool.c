#include "worker/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "coro/core/symbol.h"
#include "coro/sched/defer.h"
#include "coro/sched/tag.h"
#include "worker/log.h"
#include "worker/scan.h"
#include "worker/task_log.h"

/* So many coroutines are started before others get a turn. */
#define START_BATCH 256

/* How often a coroutine that can't be had is asked for, and how far apart. */
#define START_TRIES    20
#define START_RETRY_MS 50

/* A dump reads no longer job for its class, and shows no longer value. */
#define DUMP_SCAN_BYTES  (64 << 10)
#define DUMP_VALUE_BYTES 128

static const struct coro_spawn_options slot_options = {.name = "worker"};

struct pool_slot {
    struct pool *pool;
    struct coro_task *task;    /* NULL: not started, or ended */
    _Atomic(struct job *) job; /* NULL: waiting for one */
    struct vitals_mark *mark;
    int64_t since_ms;
};

static void send_up(struct pool *pool, struct job *job)
{
    struct coro_submit_node *node = &job->message.node;
    job->message.kind = MESSAGE_OUTCOME;
    node->next = pool->newest;
    pool->newest = node;
    if (!pool->oldest)
        pool->oldest = node;
}

/* The master outlives us, or has given these jobs up already. */
static void drop_outbox(struct coro_submit_node *node)
{
    while (node) {
        struct coro_submit_node *next = node->next;
        job_free(list_entry(node, struct job, message.node));
        node = next;
    }
}

static void flush_outbox(struct coro_source *source)
{
    struct pool *pool = list_entry(source, struct pool, outbox);
    if (!pool->newest)
        return;
    struct coro_submit_node *newest = pool->newest;
    struct coro_submit_node *oldest = pool->oldest;
    pool->newest = NULL;
    pool->oldest = NULL;
    if (coro_submit_push_chain(pool->options.up, newest, oldest) < 0)
        drop_outbox(newest);
}

static void count(struct counters *counters, enum job_outcome outcome)
{
    switch (outcome) {
    case JOB_OUTCOME_DONE:
        counter_add(&counters->done);
        break;
    case JOB_OUTCOME_FAILED:
    case JOB_OUTCOME_RETRY:
        counter_add(&counters->failed);
        break;
    case JOB_OUTCOME_INTERRUPTED:
        counter_add(&counters->interrupted);
        break;
    case JOB_OUTCOME_NONE:
        break;
    }
}

static struct job *job_of(const struct pool_slot *slot)
{
    return atomic_load_explicit(&slot->job, memory_order_acquire);
}

/* Each store is seen with those before it: whenever there is a number, what
 * else is in the mark belongs to it. */
static void begin_job(struct pool_slot *slot, struct job *job)
{
    struct vitals_mark *mark = slot->mark;
    atomic_store_explicit(&slot->job, job, memory_order_release);
    atomic_store_explicit(&mark->attempt, job->attempt, memory_order_release);
    atomic_store_explicit(&mark->queue, job->queue->place,
                          memory_order_release);
    atomic_store_explicit(&mark->number, job->number, memory_order_release);
    coro_tag_set(job->number);
}

static void end_job(struct pool_slot *slot)
{
    coro_tag_set(0);
    atomic_store_explicit(&slot->mark->number, 0, memory_order_release);
    atomic_store_explicit(&slot->job, NULL, memory_order_release);
}

static void run_job(struct pool_slot *slot, struct job *job)
{
    struct pool *pool = slot->pool;
    struct counters *counters = &pool->options.vitals->counters;
    if (job_start(job)) {
        counter_add(&counters->started);
        slot->since_ms = coro_loop_now_ms(pool->loop);
        begin_job(slot, job);
        struct coro_scope scope;
        coro_scope_begin(&scope);
        job->outcome = registry_run(pool->options.registry, job);
        coro_scope_end(&scope);
        end_job(slot);
        count(counters, job->outcome);
    }
    send_up(pool, job);
}

static int work(void *argument)
{
    struct pool_slot *slot = argument;
    struct pool *pool = slot->pool;
    slot->task = coro_task_current();
    while (!pool->is_stopping) {
        void *job;
        /* Without a job it is only cancelled because the pool, or the loop, is
         * ending. */
        if (coro_queue_get(&pool->jobs, CORO_NEVER, &job) < 0)
            break;
        run_job(slot, job);
        /* A cancellation was meant for the job, not for the next one. */
        if (!pool->is_stopping)
            coro_task_uncancel(slot->task);
    }
    slot->task = NULL;
    return 0;
}

static int start_one(struct pool *pool)
{
    struct pool_slot *slot = &pool->slots[pool->nslots];
    slot->pool = pool;
    slot->mark = &pool->options.vitals->marks[pool->nslots];
    int status = coro_group_spawn(&pool->group, work, slot, &slot_options);
    if (status < 0)
        return status;
    pool->nslots++;
    counter_add(&pool->options.vitals->counters.coroutines);
    return 0;
}

/* The master must not take jobs for coroutines that there are not. */
static void tell_fewer(void *argument)
{
    struct pool *pool = argument;
    log_line(LOG_LEVEL_WARN, "worker", NULL, 0,
             "no memory for more than %zu of %zu coroutines: running so many "
             "jobs at once",
             pool->nslots, pool->options.concurrency);
    pool->fewer.kind = MESSAGE_FEWER;
    coro_submit_push(pool->options.up, &pool->fewer.node);
}

/* Asks again for what could not be had. Returns -ENOMEM when it has been asked
 * for often enough, and there is at least one; or -ECANCELED. */
static int try_again_later(struct pool *pool, int *tries_left)
{
    if (*tries_left == 0 && pool->nslots > 0)
        return -ENOMEM;
    *tries_left -= *tries_left > 0;
    return coro_sleep(START_RETRY_MS);
}

static int start_all(void *argument)
{
    struct pool *pool = argument;
    int tries_left = START_TRIES;
    int status = 0;
    while (pool->nslots < pool->options.concurrency && !pool->is_stopping &&
           status == 0) {
        if (start_one(pool) < 0)
            status = try_again_later(pool, &tries_left);
        else if (pool->nslots % START_BATCH == 0)
            status = coro_relax();
    }
    if (status == -ENOMEM)
        coro_call_on_loop_stack(tell_fewer, pool);
    return status;
}

int pool_init(struct pool *pool, struct coro_loop *loop,
              const struct pool_options *options)
{
    ensure(options->vitals->nmarks >= options->concurrency);
    *pool = (struct pool){.options = *options, .loop = loop};
    coro_group_init(&pool->group, loop);
    pool->slots = calloc(options->concurrency, sizeof *pool->slots);
    if (!pool->slots)
        return -ENOMEM;
    int status = coro_queue_init(&pool->jobs, options->concurrency);
    if (status < 0) {
        free(pool->slots);
        return status;
    }
    static const struct coro_spawn_options starter = {.name = "starter"};
    status = coro_group_spawn(&pool->group, start_all, pool, &starter);
    if (status < 0) {
        coro_queue_release(&pool->jobs);
        free(pool->slots);
        return status;
    }
    pool->outbox.flush = flush_outbox;
    coro_loop_add_source(loop, &pool->outbox);
    return 0;
}

void pool_release(struct pool *pool)
{
    void *job;
    while ((job = coro_queue_try_get(&pool->jobs)))
        job_free(job);
    drop_outbox(pool->newest);
    coro_queue_release(&pool->jobs);
    free(pool->slots);
}

void pool_add(struct pool *pool, struct job *job)
{
    int status = coro_queue_try_put(&pool->jobs, job);
    ensure(status == 0 && "more jobs than coroutines");
}

const struct job *pool_find(const struct pool *pool, uint64_t number)
{
    for (size_t i = 0; i < pool->options.concurrency; i++)
        if (atomic_load_explicit(&pool->options.vitals->marks[i].number,
                                 memory_order_acquire) == number)
            return job_of(&pool->slots[i]);
    return NULL;
}

void pool_cancel_jobs(struct pool *pool)
{
    for (size_t i = 0; i < pool->nslots; i++)
        if (job_of(&pool->slots[i]))
            coro_task_cancel(pool->slots[i].task);
}

void pool_stop(struct pool *pool)
{
    pool->is_stopping = true;
    coro_group_cancel(&pool->group);
}

/* What a described job says of itself, as it is written there. */
static size_t add_job_fields(const struct job *job, struct log_field *fields)
{
    struct scan_result found = {0};
    size_t n = 0;
    if (job->payload_len > DUMP_SCAN_BYTES ||
        scan_job(job->payload, job->payload_len, &found) != SCAN_DESCRIBED)
        return 0;
    const struct scan_range values[] = {found.class, found.jid};
    static const char *const keys[] = {"class", "jid"};
    for (size_t i = 0; i < 2; i++) {
        struct scan_range value = values[i];
        if (value.at && value.len <= DUMP_VALUE_BYTES && value.at[0] == '"')
            fields[n++] = log_bytes(keys[i], value.at + 1, value.len - 2);
    }
    return n;
}

static void dump_slot(const struct pool_slot *slot,
                      const struct coro_symbols *symbols)
{
    const struct job *job = job_of(slot);
    struct coro_inspection found;
    struct task_log_text text;
    struct log_field fields[9 + TASK_LOG_FIELDS];
    int64_t now_ms = coro_now_ms();
    size_t n = 0;
    coro_task_inspect(slot->task, &found);
    fields[n++] = log_string("state", coro_task_state_name(found.state));
    fields[n++] = log_bytes("queue", job->queue->key, job->queue->key_len);
    fields[n++] = log_int("job", (int64_t)job->number);
    n += add_job_fields(job, fields + n);
    fields[n++] = log_seconds("age", (now_ms - slot->since_ms) * 1000);
    fields[n++] = log_int("bytes", (int64_t)job->payload_len);
    if (found.waits_for[0])
        fields[n++] = log_string("waits_for", found.waits_for);
    fields[n++] = log_seconds("waited", (now_ms - found.since_ms) * 1000);
    /* The group's owner waits for all of them: that says nothing. */
    found.awaited_by[0] = '\0';
    n += task_log_fields(&found, symbols, &text, fields + n);
    log_line(LOG_LEVEL_INFO, "worker", fields, n, "coroutine %llu runs a job",
             (unsigned long long)found.id);
}

/* One that is none of the pool's, but of the runner or of a handler. */
static void dump_other(struct coro_task *task, void *symbols)
{
    if (coro_task_name(task) != slot_options.name)
        task_log("worker", task, symbols);
}

void pool_dump(const struct pool *pool)
{
    struct coro_symbols symbols;
    size_t nrunning = 0;
    coro_symbols_open(&symbols);
    for (size_t i = 0; i < pool->nslots; i++) {
        if (!job_of(&pool->slots[i]))
            continue;
        dump_slot(&pool->slots[i], &symbols);
        nrunning++;
    }
    coro_loop_each_task(pool->loop, dump_other, &symbols);
    coro_symbols_close(&symbols);
    const struct coro_stack_pool *stacks = coro_loop_stacks(pool->loop);
    log_line(LOG_LEVEL_INFO, "worker", NULL, 0,
             "%zu coroutines: %zu run a job, %zu wait for one; stacks guarded "
             "by %s, %zu by canaries only",
             pool->nslots, nrunning, pool->nslots - nrunning,
             coro_guard_name(stacks->guard), stacks->ncanaries);
}
