/*
 * Generators, in nanoseconds of CPU time for one value: into the generator and
 * back, beside other ways to switch there and back.
 *
 * Each figure is the smallest of several rounds: noise only ever adds.
 */
#include <stdio.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "bench/rival.h"
#include "coro/coro.h"

#define VALUES      4000000
#define GENERATIONS 500000

/* --- bodies -------------------------------------------------------------- */

static int value;

static int yield_one(void)
{
    return coro_yield(&value, NULL);
}

MEASURE_FRAMES(yield, yield_one)

static int yield_hot(void *argument, void **ret_value)
{
    int status;
    (void)argument;
    (void)ret_value;
    do
        status = yield_one();
    while (status >= 0);
    return status;
}

static int yield_deep(void *argument, void **ret_value)
{
    int status;
    (void)argument;
    (void)ret_value;
    do
        status = yield_1();
    while (status >= 0);
    return status;
}

static struct coro_gen *make(coro_gen_fn *function)
{
    struct coro_gen *gen;
    if (coro_gen_new(function, NULL, NULL, &gen) < 0)
        give_up("no memory for a generator");
    return gen;
}

static double value_ns(void *argument)
{
    struct coro_gen *gen = make(*(coro_gen_fn **)argument);
    void *got;
    coro_gen_next(gen, &got);
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < VALUES; i++)
        coro_gen_next(gen, &got);
    double ns = (double)(measure_thread_ns() - start_ns) / VALUES;
    coro_gen_free(gen);
    return ns;
}

static double life_ns(void *argument)
{
    void *got;
    int64_t start_ns = measure_thread_ns();
    for (int i = 0; i < GENERATIONS; i++) {
        struct coro_gen *gen = make(*(coro_gen_fn **)argument);
        coro_gen_next(gen, &got);
        coro_gen_free(gen);
    }
    return (double)(measure_thread_ns() - start_ns) / GENERATIONS;
}

/* --- the rows ------------------------------------------------------------- */

static const struct {
    const char *key, *what;
    coro_gen_fn *body;
    enum rival_game game;
} rows[] = {
    {"value", "a value from a generator", yield_hot, RIVAL_PAIR},
    {"value_deep", "the same, yielded four frames down", yield_deep,
     RIVAL_PAIR_DEEP},
};

static int measure_all(void *where)
{
    const char *place = where ? where : "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        coro_gen_fn *body = rows[i].body;
        char key[60], what[100];
        snprintf(key, sizeof key, "generator_%s%s", rows[i].key,
                 where ? "_task" : "");
        snprintf(what, sizeof what, "%s%s", rows[i].what, place);
        report_progress("%s", what);
        struct report_row row = {.key = key, .what = what, .unit = "ns"};
        rival_compare(&row, MEASURE_ROUNDS, value_ns, &body,
                      &(struct rival_match){rows[i].game, 2, VALUES});
        report(&row);
    }
    return 0;
}

static void report_life(void)
{
    coro_gen_fn *body = yield_hot;
    struct report_row row = {
        .key = "generator_life",
        .what = "make a generator, take a value, close and free it",
        .unit = "ns",
    };
    rival_compare(&row, MEASURE_ROUNDS, life_ns, &body,
                  &(struct rival_match){RIVAL_LIFE, 1, GENERATIONS});
    report(&row);
}

int main(void)
{
    static char in_task[] = ", in a task";
    measure_all(NULL);
    report_life();
    return coro_run(measure_all, in_task, NULL) < 0;
}
