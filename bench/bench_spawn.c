/*
 * Creating, running and freeing coroutines, in nanoseconds of CPU time, beside
 * other ways to do it; and that doing so ten million times takes no memory.
 *
 * Everything runs inside one task of one loop, as it does in a program. The
 * stacks have been in use before. Each figure but those of ten million is the
 * smallest of several rounds: noise only ever adds.
 */
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/rival.h"
#include "coro/coro.h"

#define SPAWNS  2000000
#define MANY    10000000
#define A_BATCH 1000

static int nothing(void *argument)
{
    (void)argument;
    return 0;
}

static void spawn_batches(size_t n, size_t batch)
{
    struct coro_loop *loop = coro_loop_current();
    for (size_t i = 0; i < n / batch; i++) {
        for (size_t j = 0; j < batch; j++)
            if (coro_spawn(loop, nothing, NULL, NULL, NULL) < 0)
                give_up("no memory for a coroutine");
        coro_relax();
    }
}

static double spawn_ns(void *argument)
{
    size_t batch = *(size_t *)argument;
    int64_t start_ns = measure_thread_ns();
    spawn_batches(SPAWNS, batch);
    return (double)(measure_thread_ns() - start_ns) / SPAWNS;
}

static void report_spawns(void)
{
    static const struct {
        const char *key, *what;
        size_t batch;
        double budget_ns;
    } rows[] = {
        {"spawn_1000", "create + run + free, 1,000 at a time", 1000, 20},
        {"spawn_100", "create + run + free, 100 at a time", 100, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        report_progress("%s", rows[i].what);
        size_t batch = rows[i].batch;
        struct report_row row = {
            .key = rows[i].key,
            .what = rows[i].what,
            .unit = "ns",
            .budget_kind =
                rows[i].budget_ns > 0 ? REPORT_AT_MOST : REPORT_NO_BUDGET,
            .budget = rows[i].budget_ns,
        };
        rival_compare(&row, MEASURE_ROUNDS, spawn_ns, &batch,
                      &(struct rival_match){RIVAL_LIFE, batch, SPAWNS});
        report(&row);
    }
}

/* --- ten million ---------------------------------------------------------- */

static void report_growth(double before_bytes, double after_bytes)
{
    report(&(struct report_row){
        .key = "spawn_many_memory",
        .what = "resident memory after those 10,000,000",
        .unit = "MiB",
        .value = after_bytes / (1 << 20),
        .beside = {{"before", before_bytes / (1 << 20)}},
        .budget_kind = REPORT_RATIO_AT_MOST,
        .budget = 1.01,
    });
}

static void report_many(void)
{
    struct report_row row = {
        .key = "spawn_many",
        .what = "create + run + free, 10,000,000 times",
        .unit = "ns",
    };
    report_progress("%s", row.what);
    double before_bytes = measure_status_bytes(0, "VmRSS");
    int64_t start_ns = measure_thread_ns();
    spawn_batches(MANY, A_BATCH);
    row.value = (double)(measure_thread_ns() - start_ns) / MANY;
    double after_bytes = measure_status_bytes(0, "VmRSS");
    for (size_t i = 0; rival_name(i); i++) {
        row.beside[i].name = rival_name(i);
        row.beside[i].value =
            rival_play(i, &(struct rival_match){RIVAL_LIFE, A_BATCH, MANY});
    }
    report(&row);
    report_growth(before_bytes, after_bytes);
}

static int measure_all(void *argument)
{
    (void)argument;
    report_spawns();
    report_many();
    return 0;
}

int main(void)
{
    return coro_run(measure_all, NULL, NULL) < 0;
}
