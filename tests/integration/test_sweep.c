/*
 * The sweeper: whoever is gone is found, whoever lives is left alone.
 */
#include "tests/integration/sweep_stage.h"

/* --- who is gone ---------------------------------------------------------- */

static int recover(void *argument)
{
    struct stage *stage = argument;
    int64_t start_ms = coro_now_ms();
    begin(stage);
    expect_that(least_sees(stage, "6", "LLEN q"));
    /* One look at a missing lease is not enough. */
    expect_that(coro_now_ms() - start_ms >= LEASE_MS / 2);
    expect_that(sweep.nlooks >= 2);
    expect_that(least_logs("given back, of a process that is gone: 5 jobs "
                           "process=host:2:cd queue=q"));
    end(stage);
    return 0;
}

static void a_lease_that_is_missing_twice_means_orphans(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    stage_play(stage, recover);
    assert_true(least_counts(stage, "q", 1, 6));
    assert_true(
        least_gives(stage, "0", "EXISTS " DEAD_INBOX " " DEAD_INFLIGHT));
}

static void what_is_ours_is_not_looked_at(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "SADD corq:owners %s", LEAST_PROCESS " q");
    least_put(stage, LEAST_INFLIGHT("q"), 1, 2);
    stage_play(stage, recover);
    assert_true(least_gives(stage, "1 2", "HVALS " LEAST_INFLIGHT("q")));
}

static void what_can_t_be_used_keeps_no_other_from_being_found(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "SADD corq:owners nonsense %s %s",
             "host:3:ef broken", "host:4:ab q");
    redis_do(&stage->server, "SET broken nonsense");
    least_put(stage, OWNER_INFLIGHT_PREFIX "host:3:ef:broken", 1, 1);
    redis_do(&stage->server, "LPUSH " OWNER_LEASE_PREFIX "host:4:ab 1");
    stage_play(stage, recover);
    assert_true(least_gives(stage, "1",
                            "HLEN " OWNER_INFLIGHT_PREFIX "host:3:ef:broken"));
    assert_true(least_gives(stage, "1", "SISMEMBER corq:owners nonsense"));
}

static void the_net_finds_what_no_owner_stands_for(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "DEL corq:owners");
    stage_play(stage, recover);
    assert_true(least_counts(stage, "q", 1, 6));
}

static int recover_by_inbox(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_sees(stage, "2 1", "LRANGE q:x:y 0 -1"));
    end(stage);
    return 0;
}

static void the_net_knows_queues_with_colons_by_their_inbox(void **state)
{
    struct stage *stage = *state;
    prepare();
    least_push(stage, OWNER_INBOX_PREFIX DEAD ":q:x:y", 1, 2);
    least_push(stage, OWNER_INBOX_PREFIX "nonsense", 1, 2);
    stage_play(stage, recover_by_inbox);
    assert_true(least_gives(stage, "2", "LLEN " OWNER_INBOX_PREFIX "nonsense"));
}

/* --- who lives ------------------------------------------------------------ */

static int come_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    redis_do(&stage->server, "SET " DEAD_LEASE " 2:elsewhere");
    expect_that(stage_wait_until(has_none, NULL));
    expect_that(looks_again(4));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    expect_that(least_gives(stage, "2", "LLEN " DEAD_INBOX));
    end(stage);
    return 0;
}

static void a_lease_that_comes_back_is_left_alone(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, come_back);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static bool is_past(void *time_ms)
{
    return coro_now_ms() > *(int64_t *)time_ms;
}

static bool has_begun(void *nlooks)
{
    return sweep.nlooks >= *(uint64_t *)nlooks;
}

/* Redis stands still for longer than a lease; then, when @nlooks more looks
 * have begun, and so all before have ended, the dead one takes its lease. */
static void freeze(struct stage *stage, uint64_t nlooks)
{
    redis_server_pause(&stage->server);
    int64_t time_ms = coro_after(least.lease_ms * 3 / 2);
    expect_that(stage_wait_until(is_past, &time_ms));
    nlooks += sweep.nlooks;
    redis_server_resume(&stage->server);
    expect_that(stage_wait_until(has_begun, &nlooks));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    redis_do(&stage->server, "SET " DEAD_LEASE " 2:elsewhere");
    expect_that(looks_again(4));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
}

static int freeze_between_looks(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(looks_again(1));
    expect_that(has_suspects(NULL));
    freeze(stage, 1);
    end(stage);
    return 0;
}

static void a_redis_that_stood_still_proves_nobody_dead(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, freeze_between_looks);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static int freeze_in_a_look(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    expect_that(sweep.last_ms == 0);
    freeze(stage, 2);
    end(stage);
    return 0;
}

/* The leases were looked at before; what comes after them takes long. */
static void nor_does_one_that_stood_still_in_the_middle_of_a_look(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    redis_do(&stage->server, "EVAL %s 0",
             "for i = 1, 500 do redis.call('LPUSH', '" OWNER_INBOX_PREFIX
             "host:3:ef:' .. i, i) end");
    stage_play(stage, freeze_in_a_look);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static int reconnect(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    for (int i = 0; i < 3; i++) {
        coro_redis_drop(stage->redis, "test");
        stage_wait_up(stage);
        expect_that(looks_again(1));
    }
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    expect_that(least_sees(stage, "6", "LLEN q"));
    end(stage);
    return 0;
}

static void nor_does_a_connection_that_was_lost(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, reconnect);
}

static int follow(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    schedule.is_leader = false;
    int64_t time_ms = coro_after(2 * LEASE_MS);
    expect_that(stage_wait_until(is_past, &time_ms));
    expect_that(sweep.nlooks == (is_one_of_many ? 0 : 1));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    schedule.is_leader = true;
    expect_that(least_sees(stage, "6", "LLEN q"));
    end(stage);
    return 0;
}

static void only_the_leader_goes_on_looking(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    stage_play(stage, follow);
}

static void where_many_start_together_one_looks_for_all(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    is_one_of_many = true;
    stage_play(stage, follow);
    is_one_of_many = false;
}

/* --- forgetting ----------------------------------------------------------- */

static int forget(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    sweep.empty_ms = LEASE_MS;
    int64_t start_ms = coro_now_ms();
    expect_that(least_sees(stage, "0", "EXISTS corq:owners"));
    expect_that(coro_now_ms() - start_ms >= LEASE_MS + LEASE_MS / 2);
    expect_that(stage_wait_until(has_none, NULL));
    end(stage);
    return 0;
}

static void an_owner_is_forgotten_when_it_was_empty_twice(void **state)
{
    struct stage *stage = *state;
    prepare();
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    stage_play(stage, forget);
}

static int fill_late(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    sweep.empty_ms = 2 * LEASE_MS;
    uint64_t nlooks = sweep.nlooks + 4;
    expect_that(stage_wait_until(has_looked, &nlooks));
    /* A pop that it has left at the server is served. */
    redis_do(&stage->server, "LPUSH " DEAD_INBOX " 1");
    expect_that(least_sees(stage, "1", "LRANGE q 0 -1"));
    int64_t start_ms = coro_now_ms();
    expect_that(least_sees(stage, "0", "EXISTS corq:owners"));
    expect_that(coro_now_ms() - start_ms >= 2 * LEASE_MS);
    end(stage);
    return 0;
}

static void what_a_ghost_brings_is_given_back_and_waited_for_again(void **state)
{
    struct stage *stage = *state;
    prepare();
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    stage_play(stage, fill_late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(a_lease_that_is_missing_twice_means_orphans),
        LEAST_TEST(what_is_ours_is_not_looked_at),
        LEAST_TEST(what_can_t_be_used_keeps_no_other_from_being_found),
        LEAST_TEST(the_net_finds_what_no_owner_stands_for),
        LEAST_TEST(the_net_knows_queues_with_colons_by_their_inbox),
        LEAST_TEST(a_lease_that_comes_back_is_left_alone),
        LEAST_TEST(a_redis_that_stood_still_proves_nobody_dead),
        LEAST_TEST(nor_does_one_that_stood_still_in_the_middle_of_a_look),
        LEAST_TEST(nor_does_a_connection_that_was_lost),
        LEAST_TEST(only_the_leader_goes_on_looking),
        LEAST_TEST(where_many_start_together_one_looks_for_all),
        LEAST_TEST(an_owner_is_forgotten_when_it_was_empty_twice),
        LEAST_TEST(what_a_ghost_brings_is_given_back_and_waited_for_again),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
