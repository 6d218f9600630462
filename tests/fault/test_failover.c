/*
 * A failover to a replica that was behind: what Redis has lost is lost, what it
 * has forgotten to have been done is done again, and everything else is run.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/load.h"
#include "tests/support/proxy.h"
#include "tests/support/scale.h"

/* Pushed while the replica hears nothing. */
#define UNSEEN_PREFIX "0.03"
#define NUNSEEN       200

struct pair {
    struct scene *scene;
    struct redis_server replica;
    struct proxy *proxy; /* the address that moves */
    char url[48];
};

static struct pair pair;

static bool is_in_step(void *argument)
{
    return redis_integer(argument, "WAIT 1 100") == 1;
}

static int open_pair(void **state)
{
    scene_open(state);
    pair = (struct pair){.scene = *state};
    char config[80];
    snprintf(config, sizeof config, "replicaof 127.0.0.1 %u\n",
             (unsigned)pair.scene->redis.port);
    redis_do(&pair.scene->redis, "CONFIG SET repl-diskless-sync-delay 0");
    redis_server_start(&pair.replica, config);
    assert_true(wait_until(is_in_step, &pair.scene->redis, PATIENCE_MS));
    pair.proxy = proxy_start(pair.scene->redis.port);
    snprintf(pair.url, sizeof pair.url, "redis://127.0.0.1:%u",
             (unsigned)proxy_port(pair.proxy));
    return 0;
}

static int close_pair(void **state)
{
    program_release(&pair.scene->corq);
    program_release(&pair.scene->second);
    proxy_stop(pair.proxy);
    redis_server_release(&pair.replica);
    return scene_close(state);
}

/* The primary dies, the replica takes its place and its address. */
static void fail_over(void)
{
    struct redis_server primary = pair.scene->redis;
    redis_server_kill(&primary);
    redis_do(&pair.replica, "REPLICAOF NO ONE");
    proxy_aim(pair.proxy, pair.replica.port);
    proxy_cut(pair.proxy, PROXY_CUT_RESET);
    pair.scene->redis = pair.replica;
    pair.replica = primary;
}

static void what_the_replica_has_is_run(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale_is_full() ? 20000 : test_scale(4000, 800);
    struct ledger unseen;
    struct load load;
    load_push(&load, scene, njobs);
    ledger_open(&unseen, UNSEEN_PREFIX, NUNSEEN);
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", pair.url,
                                            "--concurrency", "50"));
    load_see_progress(&load, 1, 4);
    assert_true(wait_until(is_in_step, &scene->redis, PATIENCE_MS));
    redis_do(&pair.replica, "REPLICAOF 127.0.0.1 1");
    scene_push_sleeps(scene, "queue", UNSEEN_PREFIX, NUNSEEN);
    size_t nwaiting = scene_count_waiting(scene, "queue");
    assert_true(scene_sees_waiting(scene, "queue", nwaiting * 3 / 4));
    fail_over();
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    ledger_enter(&unseen, &scene->corq);
    char note[120];
    snprintf(note, sizeof note,
             "beside these, Redis lost %zu jobs pushed while the replica "
             "was behind",
             ledger_nlost(&unseen));
    assert_true(ledger_nlost(&unseen) > 0);
    ledger_close(&unseen);
    load_judge(&load, (struct verdict){.row = VERDICT_FAILOVER,
                                       .most_twice = njobs,
                                       .note = note});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_replica_has_is_run, open_pair,
                                        close_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
