/*
 * No-op jobs a second, and what each costs, beside bare hiredis loops that pop
 * the same payloads from the same Redis and free them.
 *
 * They take turns, so that a slow moment of the machine meets all of them.
 * corq is the built program with its defaults, but for the handler `noop` and
 * the log level. It has waited a moment when a full list is renamed into place;
 * it is over when that list is empty, as seen by looking every 2 ms. A last
 * handful of jobs, at most 256 of a million, may be running still.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/program.h"
#include "bench/report.h"
#include "bench/server.h"
#include "coro/base/clock.h"

#define PAIRS     5
#define LOOK_US   2000
#define FINISH_US 50000
#define PIPELINE  64
/* Jobs that RPOP with a count asks for at once, and how many such commands are
 * under way. */
#define POP_COUNT    64
#define POP_PIPELINE 4

struct drain {
    double jobs_per_second;
    double redis_us; /* CPU of Redis for each job */
    double own_us;   /* CPU of the program for each job */
};

static size_t njobs = 1000000;

/* --- the bare loops ------------------------------------------------------- */

/* Takes one reply; returns how many payloads were in it. */
static size_t take_reply(redisContext *context)
{
    void *taken;
    if (redisGetReply(context, &taken) != REDIS_OK)
        give_up("the bare loop lost Redis: %s", context->errstr);
    redisReply *reply = taken;
    size_t n = 0;
    if (reply->type == REDIS_REPLY_ARRAY)
        n = reply->elements;
    freeReplyObject(reply);
    return n;
}

/* Keeps @depth commands under way. */
static void pop_many(redisContext *context, int depth)
{
    for (int i = 0; i < depth; i++)
        redisAppendCommand(context, "RPOP stash %d", POP_COUNT);
    for (size_t left = njobs; left > 0;) {
        left -= take_reply(context);
        redisAppendCommand(context, "RPOP stash %d", POP_COUNT);
    }
    for (int i = 0; i < depth; i++)
        take_reply(context);
}

static void pop_pipelined(redisContext *context)
{
    pop_many(context, POP_PIPELINE);
}

static void pop_in_turn(redisContext *context)
{
    pop_many(context, 1);
}

/* BRPOP names the list beside the payload: two elements a job. */
static void pop_singly(redisContext *context)
{
    size_t nsent = 0, nleft = njobs;
    while (nleft > 0) {
        size_t nbatch = njobs - nsent < PIPELINE ? njobs - nsent : PIPELINE;
        for (size_t i = 0; i < nbatch; i++)
            redisAppendCommand(context, "BRPOP stash 1");
        nsent += nbatch;
        for (size_t i = 0; i < nbatch; i++)
            nleft -= take_reply(context) / 2;
    }
}

static struct drain drain_barely(struct server *server,
                                 void (*pop_all)(redisContext *))
{
    redisContext *context = server_connect(server);
    if (!context)
        give_up("can't connect");
    server_fill(server, "stash", njobs);
    double redis_cpu = server_cpu(server);
    int64_t cpu_ns = measure_thread_ns();
    int64_t start_ns = coro_now_ns();
    pop_all(context);
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

/* --- corq ----------------------------------------------------------------- */

static struct drain drain_by_corq(struct server *server)
{
    static struct program program;
    server_fill(server, "stash", njobs);
    program_start(&program, server, "noop", "256", "warn");
    double redis_cpu = server_cpu(server);
    double own_cpu = measure_process_seconds(program.pid);
    int64_t start_ns = coro_now_ns();
    server_do(server, "RENAME stash queue");
    while (server_integer(server, "LLEN queue") > 0)
        usleep(LOOK_US);
    int64_t took_ns = coro_now_ns() - start_ns;
    redis_cpu = server_cpu(server) - redis_cpu;
    own_cpu = measure_process_seconds(program.pid) - own_cpu;
    usleep(FINISH_US);
    program_stop(&program);
    if (server_integer(server, "EXISTS queue corq:dead") > 0)
        give_up("jobs were left over");
    return (struct drain){
        .jobs_per_second = (double)njobs * 1e9 / (double)took_ns,
        .redis_us = redis_cpu * 1e6 / (double)njobs,
        .own_us = own_cpu * 1e6 / (double)njobs,
    };
}

/* --- the rows ------------------------------------------------------------- */

enum who { CORQ, MANY, IN_TURN, SINGLY, NWHO };

static const char *const who_names[] = {
    [CORQ] = "corq",
    [MANY] = "bare RPOP q 64, 4 at once",
    [IN_TURN] = "bare RPOP q 64, in turn",
    [SINGLY] = "bare BRPOP q, 64 at once",
};

static double column(const struct drain *drain, int field)
{
    const double fields[] = {drain->jobs_per_second, drain->redis_us,
                             drain->own_us};
    return fields[field];
}

static double median_of(struct drain (*drains)[NWHO], enum who who, int field)
{
    double values[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        values[i] = column(&drains[i][who], field);
    return measure_median(values, PAIRS);
}

static double median_ratio(struct drain (*drains)[NWHO], enum who who,
                           int field)
{
    double values[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        values[i] =
            column(&drains[i][CORQ], field) / column(&drains[i][who], field);
    return measure_median(values, PAIRS);
}

static void report_drains(struct drain (*drains)[NWHO])
{
    static const struct {
        const char *key, *what, *unit;
        int field;
        enum who beside;
        enum report_budget kind;
        double budget;
    } rows[] = {
        {"noop_rate", "no-op jobs, at-most-once", "jobs/s", 0, MANY,
         REPORT_AT_LEAST, 400000},
        {"noop_rate_in_turn", "no-op jobs, at-most-once", "jobs/s", 0, IN_TURN,
         REPORT_NO_BUDGET, 0},
        {"noop_rate_single", "no-op jobs, at-most-once", "jobs/s", 0, SINGLY,
         REPORT_NO_BUDGET, 0},
        {"noop_redis", "Redis CPU for a no-op job", "us", 1, MANY,
         REPORT_RATIO_AT_MOST, 1.3},
        {"noop_redis_in_turn", "Redis CPU for a no-op job", "us", 1, IN_TURN,
         REPORT_NO_BUDGET, 0},
        {"noop_redis_single", "Redis CPU for a no-op job", "us", 1, SINGLY,
         REPORT_NO_BUDGET, 0},
        {"noop_own", "corq CPU for a no-op job", "us", 2, MANY,
         REPORT_NO_BUDGET, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        report(&(struct report_row){
            .key = rows[i].key,
            .what = rows[i].what,
            .unit = rows[i].unit,
            .value = median_of(drains, CORQ, rows[i].field),
            .baseline = who_names[rows[i].beside],
            .baseline_value = median_of(drains, rows[i].beside, rows[i].field),
            .ratio = median_ratio(drains, rows[i].beside, rows[i].field),
            .budget_kind = rows[i].kind,
            .budget = rows[i].budget,
        });
}

int main(void)
{
    struct drain drains[PAIRS][NWHO];
    struct server server;
    const char *scale = getenv("BENCH_JOBS");
    if (scale)
        njobs = strtoul(scale, NULL, 10);
    if (njobs == 0)
        give_up("BENCH_JOBS is to be a number of jobs");
    server_start(&server);
    for (int i = 0; i < PAIRS; i++) {
        report_progress("%zu no-op jobs, round %d of %d", njobs, i + 1, PAIRS);
        drains[i][MANY] = drain_barely(&server, pop_pipelined);
        drains[i][CORQ] = drain_by_corq(&server);
        drains[i][IN_TURN] = drain_barely(&server, pop_in_turn);
        drains[i][SINGLY] = drain_barely(&server, pop_singly);
        for (enum who who = CORQ; who < NWHO; who++)
            report_progress("  %s: %.0f jobs/s", who_names[who],
                            drains[i][who].jobs_per_second);
    }
    report_drains(drains);
    server_stop(&server);
    return 0;
}
