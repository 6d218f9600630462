/*
 * Everything at once: processes are killed, stopped and frozen, links cut,
 * slow and gone, Redis restarted and forgetful, in an order that is drawn from
 * a seed. The seed is printed; CORQ_TEST_SEED gives it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/load.h"
#include "tests/support/scale.h"
#include "tests/support/seed.h"

#define NPROGRAMS   3
#define CONCURRENCY 20

static struct {
    struct scene *scene;
    struct load load;
    struct program programs[NPROGRAMS];
    struct coro_rng rng;
    size_t most_twice;
} chaos;

static int open_chaos(void **state)
{
    memset(&chaos, 0, sizeof chaos);
    scene_open_with_proxy(state);
    chaos.scene = *state;
    seed_rng(&chaos.rng);
    return 0;
}

static int close_chaos(void **state)
{
    for (size_t i = 0; i < NPROGRAMS; i++)
        program_release(&chaos.programs[i]);
    return scene_close(state);
}

static size_t below(size_t n)
{
    return (size_t)coro_rng_below(&chaos.rng, n);
}

/* All but the last are behind the proxy. Whether it is ready soon depends on
 * what else happens. */
static void start(size_t i)
{
    const char *url = i + 1 < NPROGRAMS ? chaos.scene->proxy_url
                                        : redis_url(&chaos.scene->redis);
    program_start(&chaos.programs[i],
                  PROGRAM_ARGS("run", "--redis", url, "--processes", "2",
                               "--concurrency", "20", "--lease", "3"));
}

/* --- what happens --------------------------------------------------------- */

/* Each child of a program may repeat as many jobs as it runs. */
#define OF_ONE (2 * CONCURRENCY)
#define OF_ALL (NPROGRAMS * OF_ONE)

static size_t kill_one(void)
{
    size_t i = below(NPROGRAMS);
    program_kill(&chaos.programs[i]);
    load_enter(&chaos.load, &chaos.programs[i]);
    start(i);
    return OF_ONE;
}

static size_t kill_all(void)
{
    for (size_t i = 0; i < NPROGRAMS; i++) {
        program_kill(&chaos.programs[i]);
        load_enter(&chaos.load, &chaos.programs[i]);
    }
    for (size_t i = 0; i < NPROGRAMS; i++)
        start(i);
    return OF_ALL;
}

/* What it may repeat is what it could not tell a Redis that is away. */
static size_t stop_one(void)
{
    size_t i = below(NPROGRAMS);
    program_signal(&chaos.programs[i], SIGTERM);
    int status = program_wait_exit(&chaos.programs[i], PATIENCE_MS);
    assert_true(status == 0 || status == 1000 + SIGTERM);
    load_enter(&chaos.load, &chaos.programs[i]);
    start(i);
    return OF_ONE;
}

static size_t freeze_one(void)
{
    size_t i = below(NPROGRAMS);
    program_freeze(&chaos.programs[i]);
    wait_out(below(2) ? 300 : 5000); /* the lease is 3 s */
    program_thaw(&chaos.programs[i]);
    return OF_ONE;
}

static size_t cut_links(void)
{
    static const enum proxy_cut kinds[] = {PROXY_CUT_END, PROXY_CUT_RESET,
                                           PROXY_CUT_HALF, PROXY_CUT_GHOST};
    enum proxy_cut kind = kinds[below(4)];
    if (below(2))
        proxy_cut(chaos.scene->proxy, kind);
    else
        proxy_cut_after(chaos.scene->proxy, 1 + below(20000), kind);
    return OF_ALL;
}

static size_t spoil_links(void)
{
    static const enum proxy_mode modes[] = {
        PROXY_VANISH, PROXY_BLACK, PROXY_BYTEWISE, PROXY_REFUSE, PROXY_SWALLOW};

    proxy_set_mode(chaos.scene->proxy, modes[below(5)]);
    wait_out(500 + (int64_t)below(2000));
    proxy_set_mode(chaos.scene->proxy, PROXY_PASS);
    proxy_cut(chaos.scene->proxy, PROXY_CUT_RESET);
    return OF_ALL;
}

static size_t restart_redis(void)
{
    if (below(2))
        redis_server_kill(&chaos.scene->redis);
    else
        redis_server_stop(&chaos.scene->redis);
    redis_server_again(&chaos.scene->redis);
    return OF_ALL;
}

static size_t freeze_redis(void)
{
    redis_server_pause(&chaos.scene->redis);
    wait_out(300 + (int64_t)below(1500));
    redis_server_resume(&chaos.scene->redis);
    return OF_ALL;
}

static size_t trouble_redis(void)
{
    redis_do(&chaos.scene->redis, "SCRIPT FLUSH");
    redis_do(&chaos.scene->redis, "CLIENT PAUSE 300 ALL");
    if (below(2))
        redis_do(&chaos.scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    return OF_ALL;
}

static size_t (*const events[])(void) = {
    kill_one,    kill_all,      stop_one,     freeze_one,    cut_links,
    spoil_links, restart_redis, freeze_redis, trouble_redis,
};

#define NEVENTS (sizeof events / sizeof *events)

/* --- and what comes of it ------------------------------------------------- */

/* Each kind of event once, in an order of its own. */
static void shuffle(size_t *order)
{
    for (size_t i = 0; i < NEVENTS; i++) {
        size_t j = below(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static void end_all(void)
{
    for (size_t i = 0; i < NPROGRAMS; i++) {
        assert_true(
            program_wait_for_line(&chaos.programs[i], "ready: ", PATIENCE_MS));
        program_signal(&chaos.programs[i], SIGTERM);
        assert_int_equal(program_wait_exit(&chaos.programs[i], PATIENCE_MS), 0);
        load_enter(&chaos.load, &chaos.programs[i]);
    }
}

static void nothing_is_lost(void **state)
{
    struct scene *scene = *state;
    size_t nevents = test_scale_is_full() ? 200 : test_scale(24, 8);
    size_t njobs = nevents * test_scale(450, 100);
    load_push(&chaos.load, scene, njobs);
    for (size_t i = 0; i < NPROGRAMS; i++)
        start(i);
    size_t order[NEVENTS] = {0};
    for (size_t i = 0; i < nevents; i++) {
        load_see_progress(&chaos.load, i + 1, nevents + 1);
        if (i % NEVENTS == 0)
            shuffle(order);
        chaos.most_twice += events[order[i % NEVENTS]]();
    }
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end_all();
    char note[40];
    snprintf(note, sizeof note, "%zu events", nevents);
    load_judge(&chaos.load, (struct verdict){.row = VERDICT_EVERYTHING,
                                             .most_twice = chaos.most_twice,
                                             .note = note});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost, open_chaos,
                                        close_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
