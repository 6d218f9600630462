/*
 * After a reconnect: what is in flight and unknown here is started or given
 * back, what is known is left alone.
 *
 * A job is a number of seconds, many enough that it does not end by itself.
 */
#include "tests/integration/least_stage.h"

#define INBOX    LEAST_INBOX("q")
#define INFLIGHT LEAST_INFLIGHT("q")

static void begin(struct stage *stage)
{
    least_open_all(stage, stage->server.port);
}

/* --- what is unknown ------------------------------------------------------ */

static int start_unknown(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_starts(10));
    expect_that(least_sees(stage, "16", "LLEN q"));
    expect_that(least_gives(stage,
                            "1001 1002 1003 1004 1005 1006 1007 1008 "
                            "1009 1010",
                            "HVALS " INFLIGHT));
    expect_that(least_nstarted() == 10);
    least_close_all(stage);
    return 0;
}

static void unknown_jobs_start_within_the_credit_and_the_rest_go_back(
    void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_put(stage, INFLIGHT, 1001, 1025);
    least_push(stage, "q", 1026, 1026);
    stage_play(stage, start_unknown);
    assert_true(least_counts(stage, "q", 1001, 1026));
    assert_non_null(strstr(log_file_read(&file),
                           "25 jobs had been taken when the connection was "
                           "lost: started 10 of them, gave 15 back"));
}

static int start_many_unknown(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_starts(50));
    expect_that(least_sees(stage, "10", "LLEN q"));
    expect_that(least_gives(stage, "50", "HLEN " INFLIGHT));
    least_close_all(stage);
    return 0;
}

static void more_of_them_than_are_asked_for_at_once(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least.concurrency = 50;
    least_put(stage, INFLIGHT, 1001, 1060);
    stage_play(stage, start_many_unknown);
    assert_true(least_counts(stage, "q", 1001, 1060));
}

static int start_of_two_queues(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_starts(4));
    expect_that(least_gives(stage, "1001 1002", "HVALS " INFLIGHT));
    expect_that(
        least_gives(stage, "1003 1004", "HVALS " LEAST_INFLIGHT("other")));
    least_close_all(stage);
    return 0;
}

static void each_queue_is_looked_at(void **state)
{
    struct stage *stage = *state;
    least_prepare("q", "other");
    least_put(stage, INFLIGHT, 1001, 1002);
    least_put(stage, LEAST_INFLIGHT("other"), 1003, 1004);
    stage_play(stage, start_of_two_queues);
    assert_true(least_counts(stage, "q", 1001, 1002));
    assert_true(least_counts(stage, "other", 1003, 1004));
}

static int be_quiet(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    least.fetch.is_quiet = true;
    expect_that(least_sees(stage, "1003 1002 1001", "LRANGE q 0 -1"));
    expect_that(least_nstarted() == 0);
    least_close_all(stage);
    return 0;
}

static void who_is_quiet_starts_none_of_them(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_put(stage, INFLIGHT, 1001, 1003);
    stage_play(stage, be_quiet);
}

static int lose_burst(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, proxy_port(stage->proxy));
    expect_that(least_blocks(stage));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    least_push(stage, "q", 1001, 1003);
    lines_nudge(&least.lines);
    expect_that(least_sees(stage, "3", "HLEN " INFLIGHT));
    expect_that(least_nstarted() == 0);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    expect_that(least_starts(3));
    least_close_all(stage);
    expect_that(least_nstarted() == 3);
    return 0;
}

static void jobs_of_an_answer_that_was_lost_are_run(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, lose_burst);
    assert_true(least_counts(stage, "q", 1001, 1003));
}

/* --- what is known -------------------------------------------------------- */

static bool has_reconciled_twice(void *argument)
{
    struct stage *stage = argument;
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool has = strstr(info, "cmdstat_hkeys:calls=2,");
    free(info);
    return has;
}

static int reconnect(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_starts(5));
    coro_redis_drop(stage->redis, "test");
    expect_that(stage_wait_until(has_reconciled_twice, stage));
    least_push(stage, "q", 1006, 1006);
    expect_that(least_starts(6));
    expect_that(
        least_gives(stage, "1001 1002 1003 1004 1005 1006", "HVALS " INFLIGHT));
    expect_that(least_nstarted() == 6);
    least_close_all(stage);
    return 0;
}

static void jobs_that_run_are_left_alone(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    redis_do(&stage->server, "CONFIG RESETSTAT");
    least_push(stage, "q", 1001, 1005);
    stage_play(stage, reconnect);
    assert_true(least_counts(stage, "q", 1001, 1006));
    assert_null(strstr(log_file_read(&file), "had been taken"));
}

static bool is_sending(void *argument)
{
    (void)argument;
    return least.settle.acks.sent_generation > 0;
}

static int settle_in_the_dark(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, proxy_port(stage->proxy));
    expect_that(least_blocks(stage));
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    least_put(stage, INFLIGHT, 1001, 1001);
    struct job *job = least_make(0, 1001, "1001");
    job->outcome = JOB_OUTCOME_DONE;
    least.dispatch.nheld++;
    settle_outcome(&least.settle, job);
    expect_that(stage_wait_until(is_sending, NULL));
    /* So much trouble that it is sent again later than it could be looked. */
    for (int i = 0; i < 4; i++)
        trouble_note(&least.settle.acks.trouble, "test");
    redis_do(&stage->server, "CONFIG SET slowlog-log-slower-than 0");
    redis_do(&stage->server, "CONFIG SET slowlog-max-len 100000");
    redis_do(&stage->server, "SLOWLOG RESET");
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    expect_that(stage_wait_until(has_reconciled_twice, stage));
    redis_do(&stage->server, "CONFIG SET slowlog-log-slower-than 10000");
    expect_that(least_gives(stage, "0", "EXISTS " INFLIGHT));
    least_close_all(stage);
    expect_that(least_nstarted() == 0);
    return 0;
}

/* The place of a command in the log of the server, the newest being 0. */
static size_t place_of(const redisReply *log, const char *command)
{
    size_t place = 0;
    while (place < log->elements &&
           strcmp(log->element[place]->element[3]->element[0]->str, command) !=
               0)
        place++;
    return place;
}

static void what_was_done_is_settled_before_it_is_looked(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, settle_in_the_dark);
    redisReply *log = redis_reply(&stage->server, "SLOWLOG GET -1");
    size_t looked = place_of(log, "HKEYS"), settled = place_of(log, "HDEL");
    bool are_there = settled < log->elements;
    freeReplyObject(log);
    assert_true(are_there);
    assert_true(looked < settled);
}

/* --- a lease that was lost ------------------------------------------------ */

static int lose_lease(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_starts(1));
    /* Another process has given the job back, and taken it. */
    redis_do(&stage->server, "DEL " LEAST_LEASE " " INFLIGHT);
    least_push(stage, "q", 1002, 1003);
    expect_that(least_starts(3));
    expect_that(least_gives(stage, "1002 1003", "HVALS " INFLIGHT));
    expect_that(least.nheld == 2);
    least_close_all(stage);
    expect_that(least.settle.nlost == 1);
    return 0;
}

static void no_burst_takes_anything_until_the_lease_is_taken_anew(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_push(stage, "q", 1001, 1001);
    stage_play(stage, lose_lease);
    assert_true(least_counts(stage, "q", 1002, 1003));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(unknown_jobs_start_within_the_credit_and_the_rest_go_back),
        LEAST_TEST(more_of_them_than_are_asked_for_at_once),
        LEAST_TEST(each_queue_is_looked_at),
        LEAST_TEST(who_is_quiet_starts_none_of_them),
        LEAST_PROXY_TEST(jobs_of_an_answer_that_was_lost_are_run),
        LEAST_TEST(jobs_that_run_are_left_alone),
        LEAST_PROXY_TEST(what_was_done_is_settled_before_it_is_looked),
        LEAST_TEST(no_burst_takes_anything_until_the_lease_is_taken_anew),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
