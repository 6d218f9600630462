#include "tests/support/verdict.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"

#define VERDICT_WORDS(name, words) words,

static const char *const rows[] = {VERDICT_ROWS(VERDICT_WORDS)};

static int64_t begun_ms;

void verdict_begin(void)
{
    begun_ms = coro_now_ms();
}

/* --- counting ------------------------------------------------------------- */

size_t verdict_count_stuck(struct redis_server *redis,
                           const char *const *queues)
{
    static const char held[] =
        "local n = redis.call('ZCARD', 'corq:retry') + "
        "redis.call('ZCARD', 'retry') "
        "for _, key in ipairs(redis.call('KEYS', 'corq:inflight:*')) do "
        "  n = n + redis.call('HLEN', key) "
        "end "
        "for _, key in ipairs(redis.call('KEYS', 'corq:inbox:*')) do "
        "  n = n + redis.call('LLEN', key) "
        "end "
        "return n";
    size_t n = (size_t)redis_integer(redis, "EVAL %s 0", held);
    for (size_t i = 0; queues[i]; i++)
        n += (size_t)redis_integer(redis, "LLEN %s", queues[i]);
    return n;
}

/* Names that outlive their process for a while, and go by themselves or with
 * the next look of a leader. */
static bool may_stay(struct redis_server *redis, const char *key)
{
    return strcmp(key, "corq:dead") == 0 || strcmp(key, "corq:owners") == 0 ||
           redis_integer(redis, "PTTL %s", key) != -1;
}

size_t verdict_count_left(struct redis_server *redis)
{
    redisReply *reply = redis_reply(redis, "KEYS corq:*");
    size_t nleft = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        if (may_stay(redis, reply->element[i]->str))
            continue;
        print_error("--- there is still %s\n", reply->element[i]->str);
        nleft++;
    }
    freeReplyObject(reply);
    return nleft;
}

/* --- giving --------------------------------------------------------------- */

static void write_down(const struct verdict *verdict, double seconds)
{
    const char *path = getenv("CORQ_VERDICTS");
    if (!path || !path[0])
        return;
    char line[400];
    int len = snprintf(
        line, sizeof line, "%d\t%s\t%zu\t%zu\t%zu\t%zu\t%zu\t%zu\t%.1f\t%s\n",
        (int)verdict->row, rows[verdict->row], verdict->njobs, verdict->nlost,
        verdict->ntwice, verdict->most_twice, verdict->nstuck, verdict->nleft,
        seconds, verdict->note ? verdict->note : "");
    assert_in_range(len, 1, sizeof line - 1);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    ssize_t written = write(fd, line, (size_t)len);
    close(fd);
    assert_int_equal(written, len);
}

void verdict_give(const struct verdict *verdict)
{
    double seconds = (double)(coro_now_ms() - begun_ms) / 1000;
    print_message("--- %s: %zu jobs, %zu lost, %zu run twice (at most %zu), "
                  "%zu stuck, %zu keys left; %.1f s%s%s\n",
                  rows[verdict->row], verdict->njobs, verdict->nlost,
                  verdict->ntwice, verdict->most_twice, verdict->nstuck,
                  verdict->nleft, seconds, verdict->note ? "; " : "",
                  verdict->note ? verdict->note : "");
    write_down(verdict, seconds);
    verdict_begin();
    assert_int_equal(verdict->nlost, 0);
    assert_int_equal(verdict->nstuck, 0);
    assert_int_equal(verdict->nleft, 0);
    assert_in_range(verdict->ntwice, 0, verdict->most_twice);
}

void verdict_of_ledger(struct verdict verdict, const struct ledger *ledger,
                       struct redis_server *redis, const char *const *queues)
{
    size_t nset_aside = (size_t)redis_integer(redis, "ZCARD corq:dead") +
                        (size_t)redis_integer(redis, "ZCARD dead");
    size_t nundone = ledger_nlost(ledger);
    verdict.njobs = ledger->njobs;
    verdict.ntwice = ledger_ntwice(ledger);
    verdict.nstuck = verdict_count_stuck(redis, queues);
    verdict.nleft = verdict_count_left(redis);
    size_t naccounted = nset_aside + verdict.nstuck;
    verdict.nlost = nundone > naccounted ? nundone - naccounted : 0;
    ledger_balances(ledger, verdict.most_twice); /* names those that are lost */
    verdict_give(&verdict);
}
