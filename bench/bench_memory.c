/*
 * What a suspended coroutine with a job in it takes of memory.
 *
 * As in the service: a pool of worker coroutines, each running the handler
 * `sleep` on a job of 60 bytes, all of them asleep. Each size is measured in a
 * process of its own, as the growth of its resident memory and page tables
 * beyond what it had before the pool; the pool's own tables are included.
 * Beside it, suspended contexts of others on the same kind of stack, with
 * nothing in them.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "bench/rival.h"
#include "coro/coro.h"
#include "worker/log.h"
#include "worker/pool.h"
#include "worker/vitals.h"

/* A million of them needs 4.2 GiB; without so much to spare it is left out. */
#define MILLION_BYTES (6.0 * (1 << 30))

/* What a child tells its parent. */
struct footprint {
    double resident_bytes;
    double table_bytes;
    double seconds; /* of CPU, from nothing until all of them sleep */
    size_t ncanaries;
    enum coro_guard guard;
};

/* What a child makes. */
struct crowd {
    struct footprint (*measure)(const struct crowd *crowd);
    size_t n;
    size_t rival;
};

static void no_outcome(void *argument, struct coro_submit_node *oldest)
{
    (void)argument;
    (void)oldest;
    give_up("a job ended that was to sleep");
}

static void add_jobs(struct pool *pool, const struct job_queue *queue, size_t n)
{
    /* Zeros before the figure make it as long as a real payload. */
    char payload[60];
    memset(payload, '0', sizeof payload);
    memset(payload + sizeof payload - 4, '9', 4);
    for (size_t i = 0; i < n; i++) {
        struct job *job = job_new(queue, i, payload, sizeof payload);
        if (!job)
            give_up("no memory for a job");
        pool_add(pool, job);
    }
}

static int wait_started(void *argument)
{
    struct pool *pool = argument;
    while (counter_read(&pool->options.vitals->counters.started) <
           pool->options.concurrency)
        coro_relax();
    return 0;
}

/* What a process takes: before something is made, or by how much it grew. */
static struct footprint footprint_now(void)
{
    return (struct footprint){
        .resident_bytes = measure_status_bytes(0, "VmRSS"),
        .table_bytes = measure_status_bytes(0, "VmPTE"),
        .seconds = (double)measure_thread_ns() / 1e9,
    };
}

static struct footprint footprint_since(const struct footprint *before)
{
    struct footprint now = footprint_now();
    now.resident_bytes -= before->resident_bytes;
    now.table_bytes -= before->table_bytes;
    now.seconds -= before->seconds;
    return now;
}

static struct footprint measure_pool(const struct crowd *crowd)
{
    size_t n = crowd->n;
    static struct coro_submit up;
    static const struct job_queue queue = {.key = "queue", .key_len = 5};
    char why[200];
    struct coro_loop *loop;
    struct coro_task *task;
    struct pool pool;
    struct registry *registry = registry_new();
    log_start(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = 2});
    if (!registry || registry_bind(registry, NULL, "sleep", why, sizeof why) ||
        coro_loop_new(NULL, &loop) < 0)
        give_up("can't start");
    coro_submit_open(&up, loop, no_outcome, NULL);
    struct footprint before = footprint_now();
    struct vitals *vitals = vitals_new(n);
    if (!vitals || pool_init(&pool, loop,
                             &(struct pool_options){n, registry, &up, vitals}))
        give_up("no memory for %zu coroutines", n);
    add_jobs(&pool, &queue, n);
    if (coro_spawn(loop, wait_started, &pool, NULL, &task) < 0)
        give_up("no memory for a coroutine");
    coro_loop_run_until_complete(loop, task, NULL);
    struct footprint footprint = footprint_since(&before);
    footprint.ncanaries = coro_loop_stacks(loop)->ncanaries;
    footprint.guard = coro_loop_stacks(loop)->guard;
    return footprint;
}

static struct footprint measure_rival(const struct crowd *crowd)
{
    struct footprint before = footprint_now();
    rival_hold(crowd->rival, crowd->n);
    return footprint_since(&before);
}

/* In a child, which leaves all of it to the kernel. */
static struct footprint measure_in_child(const struct crowd *crowd)
{
    int ends[2];
    struct footprint footprint;
    if (pipe(ends) < 0)
        give_up("no pipe");
    pid_t pid = fork();
    if (pid < 0)
        give_up("can't fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        footprint = crowd->measure(crowd);
        ssize_t written = write(ends[1], &footprint, sizeof footprint);
        _exit(written == (ssize_t)sizeof footprint ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], &footprint, sizeof footprint) !=
        (ssize_t)sizeof footprint)
        give_up("measuring %zu coroutines failed", crowd->n);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return footprint;
}

static double kib_each(const struct footprint *footprint, size_t n)
{
    return (footprint->resident_bytes + footprint->table_bytes) / (double)n /
           1024;
}

static double us_each(const struct footprint *footprint, size_t n)
{
    return footprint->seconds * 1e6 / (double)n;
}

/* Puts each rival's figures behind those that @memory has. */
static void add_rivals(struct report_row *memory, struct report_row *creation,
                       size_t n)
{
    for (size_t i = 0; rival_name(i); i++) {
        struct footprint footprint =
            measure_in_child(&(struct crowd){measure_rival, n, i});
        memory->beside[i + 1] =
            (struct report_baseline){rival_name(i), kib_each(&footprint, n), 0};
        creation->beside[i] =
            (struct report_baseline){rival_name(i), us_each(&footprint, n), 0};
    }
}

static void report_footprint(const char *key, const char *number, size_t n)
{
    char what[100], creation_what[100], creation_key[40];
    report_progress("memory of %s coroutines", number);
    struct footprint footprint =
        measure_in_child(&(struct crowd){measure_pool, n, 0});
    snprintf(what, sizeof what, "memory of each of %s with a job", number);
    snprintf(creation_key, sizeof creation_key, "%s_create", key);
    snprintf(creation_what, sizeof creation_what,
             "starting each of those (%s, %zu canaries)",
             coro_guard_name(footprint.guard), footprint.ncanaries);
    struct report_row memory = {
        .key = key,
        .what = what,
        .unit = "KiB",
        .value = kib_each(&footprint, n),
        .beside = {{"one page", (double)sysconf(_SC_PAGESIZE) / 1024, 0}},
        .budget_kind = REPORT_AT_MOST,
        .budget = 4.5,
    };
    struct report_row creation = {
        .key = creation_key,
        .what = creation_what,
        .unit = "us CPU",
        .value = us_each(&footprint, n),
    };
    add_rivals(&memory, &creation, n);
    report(&memory);
    report(&creation);
}

int main(void)
{
    report_footprint("memory_10000", "10,000", 10000);
    report_footprint("memory_100000", "100,000", 100000);
    if (measure_meminfo_bytes("MemAvailable") > MILLION_BYTES)
        report_footprint("memory_1000000", "1,000,000", 1000000);
    else
        report_progress("not enough memory for 1,000,000: left out");
    return 0;
}
