/*
 * Several hosts take from one Redis, and one of them is cut off from it for
 * longer than its lease: the others run what it had, and when it is joined
 * again it goes on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/hosts.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

#define NHOSTS      3
#define PROCESSES   2
#define CONCURRENCY 5
#define LEASE       "3"

/* What one host runs at a time: so many may run twice when it is cut off. */
#define MOST_TWICE (PROCESSES * CONCURRENCY)

#define RECOVERED "given back, of a process that is gone"
#define WERE_LATE "had been given to another process"

static const char *const names[NHOSTS] = {"alpha", "beta", "gamma"};

/* The scene's programs are not enough for it. */
struct stage {
    struct redis_server redis;
    struct host hosts[NHOSTS];
    struct program programs[NHOSTS];
};

static int begin(void **state)
{
    (void)state;
    hosts_begin();
    return 0;
}

static int open_stage(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    *state = stage;
    /* No way leads here but the cables. */
    redis_server_start(&stage->redis, "bind 0.0.0.0\nprotected-mode no\n");
    for (unsigned i = 0; i < NHOSTS; i++)
        host_make(&stage->hosts[i], names[i], i + 1);
    return 0;
}

static int close_stage(void **state)
{
    struct stage *stage = *state;
    for (size_t i = 0; i < NHOSTS; i++) {
        program_release(&stage->programs[i]);
        host_release(&stage->hosts[i]);
    }
    redis_server_release(&stage->redis);
    free(stage);
    return 0;
}

static void start(struct stage *stage, size_t i)
{
    char url[64], processes[16], concurrency[16];
    const struct host *host = &stage->hosts[i];
    snprintf(url, sizeof url, "redis://%s:%u", host->server, stage->redis.port);
    snprintf(processes, sizeof processes, "%d", PROCESSES);
    snprintf(concurrency, sizeof concurrency, "%d", CONCURRENCY);
    host_enter(host);
    program_start(&stage->programs[i],
                  PROGRAM_ARGS("run", "--redis", url, "--processes", processes,
                               "--concurrency", concurrency, "--lease", LEASE));
    host_leave(host);
}

static void start_all(struct stage *stage)
{
    for (size_t i = 0; i < NHOSTS; i++)
        start(stage, i);
    for (size_t i = 0; i < NHOSTS; i++)
        assert_true(program_wait_for_lines(&stage->programs[i], "ready: up to",
                                           PROCESSES, PATIENCE_MS));
}

static void push(struct stage *stage, const char *prefix, size_t njobs)
{
    for (size_t i = 1; i <= njobs; i++)
        redis_do(&stage->redis, "LPUSH queue %s%05d", prefix, (int)i);
}

static bool sees(struct stage *stage, size_t i, const char *text, size_t n)
{
    return program_wait_for_lines(&stage->programs[i], text, n, PATIENCE_MS);
}

struct lead {
    struct stage *stage;
    size_t host;
};

/* The process that looks for the dead is on some host. */
static bool has_leader(void *argument)
{
    struct lead *lead = argument;
    char *leader = redis_text(&lead->stage->redis, "GET corq:leader");
    bool is_known = false;
    for (size_t i = 0; leader && i < NHOSTS; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(leader, names[i], len) == 0 && leader[len] == ':') {
            lead->host = i;
            is_known = true;
        }
    }
    free(leader);
    return is_known;
}

static size_t leading_host(struct stage *stage)
{
    struct lead lead = {stage, 0};
    assert_true(wait_until(has_leader, &lead, PATIENCE_MS));
    return lead.host;
}

static size_t count_all(struct stage *stage, const char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < NHOSTS; i++)
        n += program_count_lines(&stage->programs[i], text);
    return n;
}

struct others {
    struct stage *stage;
    size_t but;
};

/* The others have given back what each process of the one that is cut off had:
 * there is no lease of it, and nothing in flight or in an inbox. */
static bool have_recovered(void *argument)
{
    struct others *others = argument;
    char lease[48], held[48];
    snprintf(lease, sizeof lease, "corq:lease:%s:*", names[others->but]);
    snprintf(held, sizeof held, "corq:in*:%s:*", names[others->but]);
    return redis_integer(&others->stage->redis, "EVAL %s 0 %s %s",
                         "return #redis.call('KEYS', ARGV[1]) + "
                         "#redis.call('KEYS', ARGV[2])",
                         lease, held) == 0;
}

static void end_all(struct stage *stage, struct ledger *ledger)
{
    for (size_t i = 0; i < NHOSTS; i++)
        program_signal(&stage->programs[i], SIGTERM);
    for (size_t i = 0; i < NHOSTS; i++) {
        assert_int_equal(program_wait_exit(&stage->programs[i], PATIENCE_MS),
                         0);
        ledger_enter(ledger, &stage->programs[i]);
    }
}

/* --- nobody is cut off ---------------------------------------------------- */

static void hosts_share_one_queue(void **state)
{
    struct stage *stage = *state;
    size_t njobs = test_scale(600, 60);
    struct ledger ledger;
    ledger_open(&ledger, "0.1", njobs);
    start_all(stage);
    push(stage, "0.1", njobs);
    assert_true(sees_drained(&stage->redis, QUEUES("queue")));
    end_all(stage, &ledger);
    assert_true(ledger_balances(&ledger, 0));
    for (size_t i = 0; i < NHOSTS; i++)
        assert_true(program_count_lines(&stage->programs[i], "Done 0.1") > 0);
    assert_true(nothing_is_left(&stage->redis));
    ledger_close(&ledger);
}

/* --- one is cut off ------------------------------------------------------- */

/* Cuts host @but off while all are at work, and joins it when the others have
 * what it had. */
static void cut_off_and_join(struct stage *stage, size_t but)
{
    size_t njobs = test_scale(800, 300);
    struct ledger ledger;
    ledger_open(&ledger, "0.5", njobs);
    push(stage, "0.5", njobs);
    assert_true(sees(stage, but, "Wait 0.5", 2 * MOST_TWICE));
    host_cut(&stage->hosts[but]);
    int64_t start_ms = coro_now_ms();
    struct others others = {stage, but};
    assert_true(wait_until(have_recovered, &others, PATIENCE_MS));
    print_message("--- %s was cut off; its jobs were back after %.1f s, the "
                  "lease is %s s\n",
                  names[but], (double)(coro_now_ms() - start_ms) / 1000, LEASE);
    assert_true(count_all(stage, RECOVERED) > 0);
    assert_int_equal(program_count_lines(&stage->programs[but], RECOVERED), 0);
    host_join(&stage->hosts[but]);
    start_ms = coro_now_ms();
    assert_true(sees(stage, but, WERE_LATE, 1));
    print_message("--- joined again, it knew after %.1f s\n",
                  (double)(coro_now_ms() - start_ms) / 1000);
    assert_true(sees_drained(&stage->redis, QUEUES("queue")));
    /* It takes part again, when there is more than the others can run. */
    size_t nbefore = program_count_lines(&stage->programs[but], "Wait 1.0");
    push(stage, "1.0", (size_t)NHOSTS * MOST_TWICE * 2);
    assert_true(sees(stage, but, "Done 1.0", nbefore + MOST_TWICE));
    assert_true(sees_drained(&stage->redis, QUEUES("queue")));
    end_all(stage, &ledger);
    assert_true(ledger_balances(&ledger, MOST_TWICE));
    assert_true(nothing_but_owners_is_left(&stage->redis));
    ledger_close(&ledger);
}

static void one_that_follows_is_cut_off_and_joined_again(void **state)
{
    struct stage *stage = *state;
    start_all(stage);
    cut_off_and_join(stage, (leading_host(stage) + 1) % NHOSTS);
}

static void the_one_that_leads_is_cut_off_and_joined_again(void **state)
{
    struct stage *stage = *state;
    start_all(stage);
    cut_off_and_join(stage, leading_host(stage));
}

#define stage_test(name) \
    cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stage_test(hosts_share_one_queue),
        stage_test(one_that_follows_is_cut_off_and_joined_again),
        stage_test(the_one_that_leads_is_cut_off_and_joined_again),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
