#include "tests/support/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/wait.h"

/* How many of the missing jobs are printed. */
#define SHOWN 5

void ledger_open(struct ledger *ledger, const char *prefix, size_t njobs)
{
    *ledger = (struct ledger){
        .prefix = prefix,
        .njobs = njobs,
        .nstarted = calloc(njobs + 1, sizeof(uint16_t)),
        .ndone = calloc(njobs + 1, sizeof(uint16_t)),
    };
    assert_true(ledger->nstarted && ledger->ndone);
}

void ledger_close(struct ledger *ledger)
{
    free(ledger->nstarted);
    free(ledger->ndone);
    *ledger = (struct ledger){.njobs = 0};
}

static void count(const struct ledger *ledger, const char *log,
                  const char *word, uint16_t *counts)
{
    char text[40];
    snprintf(text, sizeof text, "%s %s", word, ledger->prefix);
    while ((log = strstr(log, text))) {
        log += strlen(text);
        size_t number =
            strspn(log, "0123456789") == 5 ? (size_t)strtoul(log, NULL, 10) : 0;
        if (number >= 1 && number <= ledger->njobs)
            counts[number]++;
    }
}

void ledger_enter(struct ledger *ledger, struct program *program)
{
    count(ledger, program_log(program), "Wait", ledger->nstarted);
    count(ledger, program_log(program), "Done", ledger->ndone);
}

size_t ledger_nlost(const struct ledger *ledger)
{
    size_t nlost = 0;
    for (size_t i = 1; i <= ledger->njobs; i++)
        nlost += ledger->ndone[i] == 0;
    return nlost;
}

size_t ledger_ntwice(const struct ledger *ledger)
{
    size_t ntwice = 0;
    for (size_t i = 1; i <= ledger->njobs; i++)
        if (ledger->nstarted[i] > 1)
            ntwice += ledger->nstarted[i] - 1u;
    return ntwice;
}

bool ledger_balances(const struct ledger *ledger, size_t most_twice)
{
    size_t nlost = ledger_nlost(ledger), ntwice = ledger_ntwice(ledger);
    print_message("--- %zu jobs: %zu lost, %zu run twice (at most %zu)\n",
                  ledger->njobs, nlost, ntwice, most_twice);
    size_t nshown = 0;
    for (size_t i = 1; i <= ledger->njobs && nshown < SHOWN; i++)
        if (ledger->ndone[i] == 0 && ++nshown)
            print_error("--- %s%05zu: started %u times, never done\n",
                        ledger->prefix, i, ledger->nstarted[i]);
    return nlost == 0 && ntwice <= most_twice;
}

/* --- what is left --------------------------------------------------------- */

/* In one step: a job goes from one to the other meanwhile. */
static long long count_held(struct redis_server *redis, const char *queue)
{
    return redis_integer(redis, "EVAL %s 1 %s",
                         "return redis.call('LLEN', KEYS[1]) + "
                         "#redis.call('KEYS', 'corq:in*') + "
                         "redis.call('ZCARD', 'corq:retry')",
                         queue);
}

bool is_drained(void *argument)
{
    struct drain *drain = argument;
    long long n = 0;
    /* Nobody pushes: a queue that is empty fills again only from what is held,
     * and that is looked at with the last one as well. */
    for (size_t i = 0; drain->queues[i]; i++)
        n += count_held(drain->redis, drain->queues[i]);
    for (size_t i = 0; n == 0 && drain->queues[i]; i++)
        n += count_held(drain->redis, drain->queues[i]);
    return n == 0;
}

static void print_keys(struct redis_server *redis)
{
    redisReply *reply = redis_reply(redis, "KEYS corq:*");
    for (size_t i = 0; i < reply->elements; i++)
        print_error("--- there is still %s\n", reply->element[i]->str);
    freeReplyObject(reply);
}

bool sees_drained(struct redis_server *redis, const char *const *queues)
{
    struct drain drain = {redis, queues};
    bool is_empty = wait_until(is_drained, &drain, PATIENCE_MS);
    if (!is_empty)
        print_keys(redis);
    return is_empty;
}

/* A mark says that something was done already, and goes by itself. */
static bool is_mark(struct redis_server *redis, const char *key)
{
    return strncmp(key, "corq:mark:", 10) == 0 &&
           redis_integer(redis, "PTTL %s", key) != -1;
}

static bool nothing_is_left_but(struct redis_server *redis, const char *allowed)
{
    redisReply *reply = redis_reply(redis, "KEYS corq:*");
    size_t nleft = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        const char *key = reply->element[i]->str;
        nleft += strcmp(key, "corq:dead") != 0 && strcmp(key, allowed) != 0 &&
                 !is_mark(redis, key);
    }
    freeReplyObject(reply);
    if (nleft > 0)
        print_keys(redis);
    return nleft == 0;
}

bool nothing_is_left(struct redis_server *redis)
{
    return nothing_is_left_but(redis, "");
}

bool nothing_but_owners_is_left(struct redis_server *redis)
{
    return nothing_is_left_but(redis, "corq:owners");
}
