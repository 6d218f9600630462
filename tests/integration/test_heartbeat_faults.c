/*
 * The statistics, counted exactly once; and a Redis that is away, or refuses.
 */
#include "tests/integration/heart_stage.h"

#define DAY_S 157680000

static void finish(size_t ndone, size_t nfailed)
{
    for (size_t i = 0; i < ndone; i++)
        counter_add(&heart.counters.done);
    for (size_t i = 0; i < nfailed; i++)
        counter_add(&heart.counters.failed);
}

static bool are_counted(struct stage *stage, int64_t nprocessed,
                        int64_t nfailed)
{
    struct redis_server *server = &stage->server;
    return dashboard_stat(server, "processed") == nprocessed &&
           dashboard_stat_today(server, "processed") == nprocessed &&
           dashboard_stat(server, "failed") == nfailed &&
           dashboard_stat_today(server, "failed") == nfailed;
}

static bool are_three_counted(void *argument)
{
    return are_counted(argument, 3, 1);
}

static bool are_ten_counted(void *argument)
{
    return are_counted(argument, 10, 4);
}

/* --- counting ------------------------------------------------------------- */

static int count(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    expect_that(redis_integer(&stage->server, "EXISTS stat:processed") == 0);
    finish(2, 1);
    counter_add(&heart.counters.interrupted);
    expect_that(stage_wait_until(are_three_counted, stage));
    expect_that(heart_wait_beat(stage));
    expect_that(are_three_counted(stage));
    finish(4, 3);
    heart_end(stage); /* and what was not told by then */
    expect_that(are_ten_counted(stage));
    return 0;
}

static void what_was_processed_is_counted_and_what_failed(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, count);
    redisReply *keys = redis_reply(&stage->server, "KEYS stat:failed:*");
    assert_int_equal(keys->elements, 1);
    assert_in_range(
        redis_integer(&stage->server, "TTL %s", keys->element[0]->str),
        DAY_S - 100, DAY_S);
    freeReplyObject(keys);
    assert_int_equal(redis_integer(&stage->server, "TTL stat:processed"), -1);
    assert_in_range(
        redis_integer(&stage->server, "TTL corq:mark:%s:counted", HEART_ID), 1,
        60);
}

/* The first of these jobs is known to be counted. */
static bool is_first_told(void *argument)
{
    (void)argument;
    return heart.heartbeat.told.processed == 1;
}

static int lose_an_answer(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, proxy_port(stage->proxy));
    heart_begin(stage);
    /* Each answer counts here: beats that are well apart, and no others. */
    heart.heartbeat.options.period_ms = 300;
    heart.heartbeat.prune_at_ms = CORO_NEVER;
    finish(1, 0);
    expect_that(stage_wait_until(is_first_told, NULL));
    finish(1, 1);
    /* Of the script's answer one byte comes. */
    proxy_cut_after(stage->proxy, strlen("+PONG\r\n*"), PROXY_CUT_RESET);
    expect_that(stage_wait_until(are_three_counted, stage));
    expect_that(is_first_told(NULL));
    finish(4, 3);
    expect_that(stage_wait_until(are_ten_counted, stage));
    expect_that(proxy_naccepted(stage->proxy) == 2);
    heart_end(stage);
    expect_that(are_ten_counted(stage));
    return 0;
}

static void what_was_counted_without_an_answer_is_counted_once(void **state)
{
    stage_play(*state, lose_an_answer);
}

static int wait_for_redis(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, proxy_port(stage->proxy));
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_END);
    finish(2, 1);
    coro_sleep(3 * HEART_PERIOD_MS);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    expect_that(stage_wait_until(are_three_counted, stage));
    heart_end(stage);
    return 0;
}

static void what_redis_was_not_told_waits_for_it(void **state)
{
    stage_play(*state, wait_for_redis);
}

static int count_again(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    finish(2, 1);
    expect_that(stage_wait_until(are_three_counted, stage));
    expect_that(heart_wait_beat(stage));
    redis_do(&stage->server, "FLUSHALL");
    finish(2, 1);
    expect_that(stage_wait_until(are_three_counted, stage));
    heart_end(stage);
    return 0;
}

static void an_emptied_server_counts_on_from_nothing(void **state)
{
    stage_play(*state, count_again);
}

static int repair_counter(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    heart_begin(stage);
    finish(2, 1);
    for (int i = 0; i < 3; i++)
        expect_that(heart_wait_beat(stage));
    expect_that(dashboard_stat(&stage->server, "processed") == 0);
    /* The rest of the record does not suffer. */
    struct dashboard_process process;
    expect_that(dashboard_read(&stage->server, HEART_ID, &process));
    dashboard_release(&process);
    redis_do(&stage->server, "DEL stat:failed");
    expect_that(stage_wait_until(are_three_counted, stage));
    heart_end(stage);
    return 0;
}

static void a_counter_that_is_none_holds_up_the_others_and_nothing_else(
    void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET stat:failed nonsense");
    stage_play(stage, repair_counter);
    assert_int_equal(
        heart_log_count("the record of this process: INCRBY stat:failed: "), 1);
    assert_int_equal(heart_log_count("the record of this process: works"), 1);
}

/* --- a Redis that refuses ------------------------------------------------- */

static int beat_a_few_times(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    finish(2, 1);
    heart_add_job(&heart_queues[1], "x", 1, true);
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    expect_that(heart_wait_beat(stage));
    struct dashboard_process process;
    expect_that(dashboard_read(&stage->server, HEART_ID, &process));
    expect_that(process.njobs == 1);
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_server_out_of_memory_takes_all_of_it(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG SET maxmemory 1");
    redisReply *reply = redis_reply(&stage->server, "SET x y");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    stage_play(stage, beat_a_few_times);
    redis_do(&stage->server, "CONFIG SET maxmemory 0");
    assert_true(are_three_counted(stage));
    assert_int_equal(redis_integer(&stage->server, "EXISTS processes"), 0);
}

static int repair_set(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    finish(2, 1);
    heart_begin(stage);
    expect_that(stage_wait_until(are_three_counted, stage));
    expect_that(heart_wait_beat(stage));
    redis_do(&stage->server, "DEL processes");
    expect_that(heart_wait_beat(stage));
    struct dashboard_process process;
    expect_that(dashboard_read(&stage->server, HEART_ID, &process));
    dashboard_release(&process);
    heart_end(stage);
    return 0;
}

static void a_key_of_the_wrong_type_is_told_once_by_name(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET processes nonsense");
    stage_play(stage, repair_set);
    assert_int_equal(heart_log_count("SADD processes: WRONGTYPE"), 1);
}

static bool is_told(void *argument)
{
    return heart_log_count(argument) > 0;
}

static int be_forbidden(void *argument)
{
    static char reason[] = "NOPERM";
    struct stage *stage = argument;
    stage_connect_as_ann(stage);
    heart_begin(stage);
    expect_that(stage_wait_until(is_told, reason));
    coro_sleep(5 * HEART_PERIOD_MS);
    expect_that(heart_stop() == -EIO);
    coro_group_close(&heart.group);
    coro_redis_stop(stage->redis);
    return 0;
}

static void what_is_not_allowed_is_told_once(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ACL SETUSER ann on >pw ~corq:* ~raw +@all");
    stage_play(stage, be_forbidden);
    redis_do(&stage->server, "ACL DELUSER ann");
    assert_int_equal(heart_log_count("the record of this process: NOPERM"), 1);
    assert_int_equal(heart_log_count("could not be told in time"), 1);
    assert_int_equal(redis_integer(&stage->server, "DBSIZE"), 0);
}

/* --- stopping ------------------------------------------------------------- */

static int stop_without_redis(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, proxy_port(stage->proxy));
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    finish(2, 1);
    int64_t start_ms = coro_now_ms();
    expect_that(heartbeat_stop(&heart.heartbeat, coro_after(50)) == -ETIMEDOUT);
    expect_that(coro_now_ms() - start_ms < PATIENCE_MS / 2);
    coro_group_close(&heart.group);
    coro_redis_stop(stage->redis);
    return 0;
}

static void stopping_takes_no_longer_than_it_may(void **state)
{
    stage_play(*state, stop_without_redis);
    assert_int_equal(heart_log_count("uncounted=3"), 1);
}

static int stop_on_the_next_connection(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, proxy_port(stage->proxy));
    heart_begin(stage);
    expect_that(heart_wait_beat(stage));
    finish(2, 1);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    heart_end(stage);
    expect_that(are_three_counted(stage));
    return 0;
}

static void a_lost_connection_does_not_keep_the_last_word_back(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, stop_on_the_next_connection);
    assert_int_equal(redis_integer(&stage->server, "EXISTS processes"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEART_TEST(what_was_processed_is_counted_and_what_failed),
        HEART_PROXY_TEST(what_was_counted_without_an_answer_is_counted_once),
        HEART_PROXY_TEST(what_redis_was_not_told_waits_for_it),
        HEART_TEST(an_emptied_server_counts_on_from_nothing),
        HEART_TEST(a_counter_that_is_none_holds_up_the_others_and_nothing_else),
        HEART_TEST(a_server_out_of_memory_takes_all_of_it),
        HEART_TEST(a_key_of_the_wrong_type_is_told_once_by_name),
        HEART_TEST(what_is_not_allowed_is_told_once),
        HEART_PROXY_TEST(stopping_takes_no_longer_than_it_may),
        HEART_PROXY_TEST(a_lost_connection_does_not_keep_the_last_word_back),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
