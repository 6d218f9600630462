/*
 * Connections cut in the middle: of an answer that brings jobs, of one that
 * says that they are settled, of a command on its way. The processes live on,
 * so no job is lost, none is run twice, and nothing is left in Redis.
 *
 * Where and how is drawn from a seed, which is printed; CORQ_TEST_SEED gives
 * it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/ledger.h"
#include "tests/support/proxy.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/seed.h"
#include "tests/support/verdict.h"

#define NPROGRAMS 4

/* The waits before connecting again grow with each cut: a few a round. */
#define CUTS_A_ROUND 4

#define NQUEUES 2

/* Up to so many bytes of commands pass before a cut. */
#define SENT_SPAN 4000

static const char *const queues[NQUEUES + 1] = {"left", "right", NULL};

struct load {
    const char *prefix;
    const char *concurrency;
    size_t padding;  /* bytes that each job has in vain */
    size_t span;     /* up to so many bytes pass before a cut */
    size_t nwaiting; /* so many jobs in each queue, at least */
};

struct cuts {
    struct scene *scene;
    struct proxy *proxy;
    struct program programs[NPROGRAMS];
    char url[48];
    struct coro_rng rng;
    struct load load;
    struct ledger ledger;
    size_t npushed;
    size_t ncuts;
};

static struct cuts cuts;

static int open_cuts(void **state)
{
    cuts = (struct cuts){.ncuts = 0};
    scene_open(state);
    cuts.scene = *state;
    cuts.proxy = proxy_start(cuts.scene->redis.port);
    snprintf(cuts.url, sizeof cuts.url, "redis://127.0.0.1:%u",
             (unsigned)proxy_port(cuts.proxy));
    seed_rng(&cuts.rng);
    return 0;
}

static int close_cuts(void **state)
{
    for (size_t i = 0; i < NPROGRAMS; i++)
        program_release(&cuts.programs[i]);
    proxy_stop(cuts.proxy);
    ledger_close(&cuts.ledger);
    return scene_close(state);
}

/* --- jobs ----------------------------------------------------------------- */

/* Pushes jobs that are described, so that they may be of any size. */
static void push(size_t nfirst, size_t count, const char *queue)
{
    static const char script[] =
        "local pad = string.rep('x', ARGV[4]) "
        "for i = ARGV[2], ARGV[2] + ARGV[3] - 1 do "
        "  redis.call('LPUSH', KEYS[1], string.format("
        "    '{\"class\":\"x\",\"args\":[%s%05d],\"pad\":\"%s\"}',"
        "    ARGV[1], i, pad)) "
        "end";
    char first[24], number[24], padding[24];
    snprintf(first, sizeof first, "%zu", nfirst);
    snprintf(number, sizeof number, "%zu", count);
    snprintf(padding, sizeof padding, "%zu", cuts.load.padding);
    redis_do(&cuts.scene->redis, "EVAL %s 1 %s %s %s %s %s", script, queue,
             cuts.load.prefix, first, number, padding);
}

static void top_up(void)
{
    for (size_t i = 0; i < NQUEUES; i++) {
        size_t nwaiting = scene_count_waiting(cuts.scene, queues[i]);
        size_t nmissing =
            nwaiting < cuts.load.nwaiting ? cuts.load.nwaiting - nwaiting : 0;
        if (cuts.npushed + nmissing > cuts.ledger.njobs)
            nmissing = cuts.ledger.njobs - cuts.npushed;
        if (nmissing > 0)
            push(cuts.npushed + 1, nmissing, queues[i]);
        cuts.npushed += nmissing;
    }
}

/* --- cutting -------------------------------------------------------------- */

static void start_all(void)
{
    for (size_t i = 0; i < NPROGRAMS; i++)
        program_start(&cuts.programs[i],
                      PROGRAM_ARGS("run", "--redis", cuts.url, "--queue",
                                   "left=1", "--queue", "right=2", "--handler",
                                   "x=sleep", "--concurrency",
                                   cuts.load.concurrency));
    for (size_t i = 0; i < NPROGRAMS; i++)
        assert_true(
            program_wait_for_line(&cuts.programs[i], "ready: ", PATIENCE_MS));
}

static void end_all(void)
{
    for (size_t i = 0; i < NPROGRAMS; i++)
        program_signal(&cuts.programs[i], SIGTERM);
    for (size_t i = 0; i < NPROGRAMS; i++) {
        assert_int_equal(program_wait_exit(&cuts.programs[i], PATIENCE_MS), 0);
        ledger_enter(&cuts.ledger, &cuts.programs[i]);
        program_release(&cuts.programs[i]);
    }
}

/* One connection for commands and one for each queue, of each process: those
 * come after that. */
static bool are_back(void *argument)
{
    size_t *naccepted = argument;
    top_up();
    return proxy_naccepted(cuts.proxy) >=
           *naccepted + (size_t)NPROGRAMS * (1 + NQUEUES);
}

/* Cuts all connections, somewhere, and waits until they are there again. */
static void cut(void)
{
    static const enum proxy_cut kinds[] = {PROXY_CUT_END, PROXY_CUT_RESET,
                                           PROXY_CUT_HALF, PROXY_CUT_GHOST};
    enum proxy_cut kind = kinds[coro_rng_below(&cuts.rng, 4)];
    size_t naccepted = proxy_naccepted(cuts.proxy);
    if (coro_rng_below(&cuts.rng, 4) == 0)
        proxy_cut_after_sent(
            cuts.proxy, 1 + (size_t)coro_rng_below(&cuts.rng, SENT_SPAN), kind);
    else
        proxy_cut_after(cuts.proxy,
                        1 + (size_t)coro_rng_below(&cuts.rng, cuts.load.span),
                        kind);
    assert_true(wait_until(are_back, &naccepted, PATIENCE_MS));
    cuts.ncuts += NPROGRAMS;
}

static bool is_all_done(void *argument)
{
    (void)argument;
    return is_drained(&(struct drain){&cuts.scene->redis, queues});
}

static void cut_and_count(const struct load *load, size_t nrounds)
{
    cuts.load = *load;
    ledger_open(&cuts.ledger, load->prefix, 99999);
    for (size_t round = 0; round < nrounds; round++) {
        top_up();
        start_all();
        for (size_t i = 0; i < CUTS_A_ROUND; i++)
            cut();
        if (round + 1 == nrounds)
            assert_true(wait_until(is_all_done, NULL, PATIENCE_MS));
        end_all();
    }
    cuts.ledger.njobs = cuts.npushed;
    char note[60];
    snprintf(note, sizeof note, "processes cut off %zu times", cuts.ncuts);
    verdict_of_ledger((struct verdict){.row = VERDICT_CUT, .note = note},
                      &cuts.ledger, &cuts.scene->redis, queues);
    assert_int_equal(scene_count_dead(cuts.scene), 0);
    assert_true(nothing_but_owners_is_left(&cuts.scene->redis));
}

static size_t rounds(size_t full, size_t usual, size_t reduced)
{
    return test_scale_is_full() ? full : test_scale(usual, reduced);
}

static void cut_among_small_jobs_nothing_is_lost_or_run_twice(void **state)
{
    (void)state;
    cut_and_count(&(struct load){.prefix = "0.1",
                                 .concurrency = "100",
                                 .span = 40000,
                                 .nwaiting = 1000},
                  rounds(20, 3, 1));
}

static void cut_among_large_jobs_nothing_is_lost_or_run_twice(void **state)
{
    (void)state;
    cut_and_count(&(struct load){.prefix = "0.2",
                                 .concurrency = "10",
                                 .padding = 100000,
                                 .span = 8000000,
                                 .nwaiting = 50},
                  rounds(10, 2, 1));
}

#define cuts_test(name) \
    cmocka_unit_test_setup_teardown(name, open_cuts, close_cuts)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cuts_test(cut_among_small_jobs_nothing_is_lost_or_run_twice),
        cuts_test(cut_among_large_jobs_nothing_is_lost_or_run_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
