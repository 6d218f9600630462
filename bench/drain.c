#include "bench/drain.h"

#include <stdlib.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/program.h"
#include "coro/base/clock.h"

#define NJOBS     1000000
#define LOOK_US   2000
#define FINISH_US 50000

redisReply *drain_answer(redisContext *context)
{
    void *taken;
    if (redisGetReply(context, &taken) != REDIS_OK)
        give_up("the bare loop lost Redis: %s", context->errstr);
    redisReply *reply = taken;
    if (reply->type == REDIS_REPLY_ERROR)
        give_up("the bare loop: %s", reply->str);
    return reply;
}

static struct drain drain_barely(struct server *server,
                                 const struct drainer *drainer, size_t njobs)
{
    redisContext *context = server_connect(server);
    if (!context)
        give_up("can't connect");
    server_fill(server, DRAIN_KEY, njobs);
    double redis_cpu = server_cpu(server);
    int64_t cpu_ns = measure_thread_ns();
    int64_t start_ns = coro_now_ns();
    drainer->loop(context, njobs);
    int64_t took_ns = coro_now_ns() - start_ns;
    cpu_ns = measure_thread_ns() - cpu_ns;
    redis_cpu = server_cpu(server) - redis_cpu;
    redisFree(context);
    return (struct drain){
        .jobs_per_second = (double)njobs * 1e9 / (double)took_ns,
        .redis_us = redis_cpu * 1e6 / (double)njobs,
        .own_us = (double)cpu_ns / 1e3 / (double)njobs,
    };
}

/* It has waited a moment when a full list is renamed into place; it is over
 * when that list is empty, as seen by looking every 2 ms. A last handful of
 * jobs, at most 512 of a million, may be under way still. */
static struct drain drain_by_corq(struct server *server,
                                  const struct drainer *drainer, size_t njobs)
{
    static struct program program;
    server_fill(server, DRAIN_KEY, njobs);
    program_start(&program, server,
                  &(struct program_options){.handler = "noop",
                                            .concurrency = "256",
                                            .log_level = "warn",
                                            .delivery = drainer->delivery,
                                            .build = drainer->build});
    double redis_cpu = server_cpu(server);
    double own_cpu = program_cpu(&program);
    int64_t start_ns = coro_now_ns();
    server_do(server, "RENAME " DRAIN_KEY " queue");
    while (server_integer(server, "LLEN queue") > 0)
        usleep(LOOK_US);
    int64_t took_ns = coro_now_ns() - start_ns;
    redis_cpu = server_cpu(server) - redis_cpu;
    own_cpu = program_cpu(&program) - own_cpu;
    usleep(FINISH_US);
    program_stop(&program);
    if (server_integer(server, "EXISTS queue corq:dead corq:owners") > 0)
        give_up("jobs were left over");
    return (struct drain){
        .jobs_per_second = (double)njobs * 1e9 / (double)took_ns,
        .redis_us = redis_cpu * 1e6 / (double)njobs,
        .own_us = own_cpu * 1e6 / (double)njobs,
    };
}

void drain_in_turns(const struct drainer *drainers, size_t n, struct drain *ret)
{
    struct server server;
    const char *scale = getenv("BENCH_JOBS");
    size_t njobs = scale ? strtoul(scale, NULL, 10) : NJOBS;
    if (njobs == 0)
        give_up("BENCH_JOBS is to be a number of jobs");
    server_start(&server);
    for (size_t round = 0; round < DRAIN_ROUNDS; round++) {
        report_progress("%zu no-op jobs, round %zu of %d", njobs, round + 1,
                        DRAIN_ROUNDS);
        for (size_t i = 0; i < n; i++) {
            struct drain *drain = &ret[round * n + i];
            *drain = drainers[i].loop
                         ? drain_barely(&server, &drainers[i], njobs)
                         : drain_by_corq(&server, &drainers[i], njobs);
            report_progress("  %s: %.0f jobs/s, CPU of Redis %.2f us a job",
                            drainers[i].name, drain->jobs_per_second,
                            drain->redis_us);
        }
    }
    server_stop(&server);
}

static double figure_of(const struct drain *drain, enum drain_figure figure)
{
    switch (figure) {
    case DRAIN_RATE:
        return drain->jobs_per_second;
    case DRAIN_REDIS:
        return drain->redis_us;
    case DRAIN_OWN:
        break;
    }
    return drain->own_us;
}

void drain_report(const struct drain_row *row, const struct drainer *drainers,
                  size_t n, const struct drain *drains)
{
    double ours[DRAIN_ROUNDS], others[DRAIN_ROUNDS], ratios[DRAIN_ROUNDS];
    for (size_t round = 0; round < DRAIN_ROUNDS; round++) {
        const struct drain *of_round = &drains[round * n];
        ours[round] = figure_of(&of_round[0], row->figure);
        others[round] = figure_of(&of_round[row->beside], row->figure);
        ratios[round] = ours[round] / others[round];
    }
    report(&(struct report_row){
        .key = row->key,
        .what = row->what,
        .unit = row->unit,
        .value = measure_median(ours, DRAIN_ROUNDS),
        .baseline = drainers[row->beside].name,
        .baseline_value = measure_median(others, DRAIN_ROUNDS),
        .ratio = measure_median(ratios, DRAIN_ROUNDS),
        .budget_kind = row->budget_kind,
        .budget = row->budget,
    });
}
