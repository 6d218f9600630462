/*
 * No-op jobs a second with at-least-once, which is the default, and what each
 * costs, beside bare hiredis loops that give the same promise: they claim with
 * the script that corq claims with, and take what they have got out of flight
 * by HDEL, as many at once. They do nothing else with a job but free it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/drain.h"
#include "master/queue/owner.h"
#include "master/queue/scripts.h"

/* What corq asks for at once with its default concurrency. */
#define CLAIM_MOST 256
#define CLAIM_FEW  64

/* Claims that are under way, so that Redis never waits for us. */
#define CLAIM_PIPELINE 2

#define LEASE    "corq:lease:bare"
#define INFLIGHT "corq:inflight:bare:" DRAIN_KEY

struct claimer {
    redisContext *context;
    size_t nat_once;
    uint64_t next_attempt; /* of the next claim that is sent */
    uint64_t next_ack;     /* of the next one that is answered */
};

static void send_claim(struct claimer *claimer)
{
    redisAppendCommand(claimer->context,
                       "EVALSHA %s 4 " LEASE " corq:inbox:bare:" DRAIN_KEY
                       " " INFLIGHT " " DRAIN_KEY " 1 20000 %llu 8388608 %llu",
                       script_claim.sha, (unsigned long long)claimer->nat_once,
                       (unsigned long long)claimer->next_attempt);
    claimer->next_attempt += claimer->nat_once;
}

/* Of the @n jobs of the claim that was answered last. */
static void send_ack(struct claimer *claimer, size_t n)
{
    static char attempts[CLAIM_MOST][OWNER_ATTEMPT_BYTES];
    const char *words[2 + CLAIM_MOST] = {"HDEL", INFLIGHT};
    size_t lens[2 + CLAIM_MOST] = {4, sizeof INFLIGHT - 1};
    for (size_t i = 0; i < n; i++) {
        owner_format_attempt(attempts[i], claimer->next_ack + i);
        words[2 + i] = attempts[i];
        lens[2 + i] = OWNER_ATTEMPT_BYTES - 1;
    }
    redisAppendCommandArgv(claimer->context, (int)n + 2, words, lens);
}

/* Takes the answer to a claim, frees the jobs, and answers for them. */
static size_t take_claim(struct claimer *claimer)
{
    redisReply *reply = drain_answer(claimer->context);
    if (reply->type != REDIS_REPLY_ARRAY)
        give_up("the bare loop has no lease");
    size_t n = reply->elements;
    freeReplyObject(reply);
    if (n > 0)
        send_ack(claimer, n);
    claimer->next_ack += claimer->nat_once;
    return n;
}

static void take_ack(struct claimer *claimer)
{
    freeReplyObject(drain_answer(claimer->context));
}

static void claim_all(redisContext *context, size_t njobs, size_t nat_once)
{
    struct claimer claimer = {context, nat_once, 1, 1};
    freeReplyObject(redisCommand(context, "SET " LEASE " 1 PX 20000"));
    freeReplyObject(redisCommand(context, "SCRIPT LOAD %s", script_claim.text));
    for (int i = 0; i < CLAIM_PIPELINE; i++)
        send_claim(&claimer);
    /* The answers come as they were asked for: to the first claims, then in
     * turns to what was taken and to a claim. */
    size_t nleft = njobs, nclaims = 0;
    while (nleft > 0) {
        if (nclaims++ >= CLAIM_PIPELINE)
            take_ack(&claimer);
        nleft -= take_claim(&claimer);
        send_claim(&claimer);
    }
    for (int i = 0; i < CLAIM_PIPELINE; i++) {
        take_ack(&claimer);
        take_claim(&claimer);
    }
    freeReplyObject(redisCommand(context, "DEL " LEASE));
}

static void claim_most(redisContext *context, size_t njobs)
{
    claim_all(context, njobs, CLAIM_MOST);
}

static void claim_few(redisContext *context, size_t njobs)
{
    claim_all(context, njobs, CLAIM_FEW);
}

enum who { CORQ, MOST, FEW, NWHO };

static const struct drainer drainers[] = {
    [CORQ] = {"corq", NULL, "at-least-once", NULL},
    [MOST] = {"bare claim 256 + HDEL", claim_most, NULL, NULL},
    [FEW] = {"bare claim 64 + HDEL", claim_few, NULL, NULL},
};

static const char rate[] = "no-op jobs, at-least-once";
static const char redis[] = "Redis CPU for one, at-least-once";
static const char own[] = "corq CPU for one, at-least-once";

static const struct drain_row rows[] = {
    {"least_rate", rate, "jobs/s", DRAIN_RATE, MOST, REPORT_AT_LEAST, 250000},
    {"least_ratio", rate, "jobs/s", DRAIN_RATE, MOST, REPORT_RATIO_AT_LEAST,
     0.6},
    {"least_ratio_few", rate, "jobs/s", DRAIN_RATE, FEW, REPORT_NO_BUDGET, 0},
    {"least_redis", redis, "us", DRAIN_REDIS, MOST, REPORT_RATIO_AT_MOST, 1.3},
    {"least_redis_few", redis, "us", DRAIN_REDIS, FEW, REPORT_NO_BUDGET, 0},
    {"least_own", own, "us", DRAIN_OWN, MOST, REPORT_NO_BUDGET, 0},
};

int main(void)
{
    static struct drain drains[DRAIN_ROUNDS * NWHO];
    drain_in_turns(drainers, NWHO, drains);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        drain_report(&rows[i], drainers, NWHO, drains);
    return 0;
}
