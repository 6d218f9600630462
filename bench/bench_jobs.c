/*
 * No-op jobs a second with at-most-once, and what each costs, beside bare
 * hiredis loops that pop the same payloads from the same Redis and free them.
 * bench_least.c does the same for at-least-once.
 */
#include "bench/drain.h"

#define PIPELINE 64
/* Jobs that RPOP with a count asks for at once, and how many such commands are
 * under way. */
#define POP_COUNT    64
#define POP_PIPELINE 4

/* Takes one answer; returns how many elements were in it. */
static size_t take_answer(redisContext *context)
{
    redisReply *reply = drain_answer(context);
    size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    freeReplyObject(reply);
    return n;
}

/* Keeps @depth commands under way. */
static void pop_many(redisContext *context, size_t njobs, int depth)
{
    for (int i = 0; i < depth; i++)
        redisAppendCommand(context, "RPOP " DRAIN_KEY " %d", POP_COUNT);
    for (size_t left = njobs; left > 0;) {
        left -= take_answer(context);
        redisAppendCommand(context, "RPOP " DRAIN_KEY " %d", POP_COUNT);
    }
    for (int i = 0; i < depth; i++)
        take_answer(context);
}

static void pop_pipelined(redisContext *context, size_t njobs)
{
    pop_many(context, njobs, POP_PIPELINE);
}

static void pop_in_turn(redisContext *context, size_t njobs)
{
    pop_many(context, njobs, 1);
}

/* BRPOP names the list beside the payload: two elements a job. */
static void pop_singly(redisContext *context, size_t njobs)
{
    size_t nsent = 0, nleft = njobs;
    while (nleft > 0) {
        size_t nbatch = njobs - nsent < PIPELINE ? njobs - nsent : PIPELINE;
        for (size_t i = 0; i < nbatch; i++)
            redisAppendCommand(context, "BRPOP " DRAIN_KEY " 1");
        nsent += nbatch;
        for (size_t i = 0; i < nbatch; i++)
            nleft -= take_answer(context) / 2;
    }
}

enum who { CORQ, MANY, IN_TURN, SINGLY, NWHO };

static const struct drainer drainers[] = {
    [CORQ] = {"corq", NULL, "at-most-once", NULL},
    [MANY] = {"bare RPOP q 64, 4 at once", pop_pipelined, NULL, NULL},
    [IN_TURN] = {"bare RPOP q 64, in turn", pop_in_turn, NULL, NULL},
    [SINGLY] = {"bare BRPOP q, 64 at once", pop_singly, NULL, NULL},
};

static const char rate[] = "no-op jobs, at-most-once";
static const char redis[] = "Redis CPU for one, at-most-once";
static const char own[] = "corq CPU for one, at-most-once";

static const struct drain_row rows[] = {
    {"noop_rate", rate, "jobs/s", DRAIN_RATE, MANY, REPORT_AT_LEAST, 400000},
    {"noop_rate_in_turn", rate, "jobs/s", DRAIN_RATE, IN_TURN, REPORT_NO_BUDGET,
     0},
    {"noop_rate_single", rate, "jobs/s", DRAIN_RATE, SINGLY, REPORT_NO_BUDGET,
     0},
    {"noop_redis", redis, "us", DRAIN_REDIS, MANY, REPORT_RATIO_AT_MOST, 1.3},
    {"noop_redis_in_turn", redis, "us", DRAIN_REDIS, IN_TURN, REPORT_NO_BUDGET,
     0},
    {"noop_redis_single", redis, "us", DRAIN_REDIS, SINGLY, REPORT_NO_BUDGET,
     0},
    {"noop_own", own, "us", DRAIN_OWN, MANY, REPORT_NO_BUDGET, 0},
};

int main(void)
{
    static struct drain drains[DRAIN_ROUNDS * NWHO];
    drain_in_turns(drainers, NWHO, drains);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        drain_report(&rows[i], drainers, NWHO, drains);
    return 0;
}
