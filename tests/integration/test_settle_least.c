/*
 * Settling with at-least-once: what leaves the flight, what goes back, and that
 * jobs that are somebody else's by now are left alone.
 */
#include "tests/integration/least_stage.h"

#define INFLIGHT LEAST_INFLIGHT("mail")
#define OTHERS   "corq:inflight:host:2:cd:mail"

static struct settle *begin(struct stage *stage)
{
    return least_open_settle(stage, stage->server.port);
}

/* Settles the attempts from @first to @last as done. */
static void finish(size_t queue, uint64_t first, uint64_t last)
{
    for (uint64_t attempt = first; attempt <= last; attempt++) {
        struct job *job = least_make(queue, attempt, "x");
        job->outcome = JOB_OUTCOME_DONE;
        settle_outcome(&least.settle, job);
    }
}

/* … as failed, to be tried again. */
static void fail_some(uint64_t first, uint64_t last)
{
    for (uint64_t attempt = first; attempt <= last; attempt++) {
        struct job *job = least_make(0, attempt, "x");
        job->outcome = job_retry(job, -1, "Bad", "no %d", (int)attempt);
        settle_outcome(&least.settle, job);
    }
}

/* … as never started. */
static void return_some(uint64_t first, uint64_t last)
{
    for (uint64_t attempt = first; attempt <= last; attempt++)
        settle_outcome(&least.settle, least_make(0, attempt, "x"));
}

static bool has_calls(struct stage *stage, const char *calls)
{
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool has = strstr(info, calls);
    free(info);
    return has;
}

/* --- done ----------------------------------------------------------------- */

static int finish_many(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    finish(0, 1, 2500);
    least_close_settle(stage);
    expect_that(least.nsettled == 2500);
    return 0;
}

static void many_done_jobs_leave_by_few_commands(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 2501);
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, finish_many);
    assert_true(has_calls(stage, "cmdstat_hdel:calls=3,"));
    assert_true(least_gives(stage, "2501", "HVALS " INFLIGHT));
}

static int finish_two_queues(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    for (uint64_t i = 1; i <= 50; i++) {
        finish(0, i, i);
        finish(1, 100 + i, 100 + i);
    }
    least_close_settle(stage);
    expect_that(least.nsettled == 100);
    return 0;
}

static void each_queue_has_its_own_acknowledgement(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail", "other");
    least_put(stage, INFLIGHT, 1, 50);
    least_put(stage, LEAST_INFLIGHT("other"), 101, 150);
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, finish_two_queues);
    assert_true(has_calls(stage, "cmdstat_hdel:calls=2,"));
    assert_true(least_gives(stage, "0", "DBSIZE"));
}

/* --- given back ----------------------------------------------------------- */

static int return_many(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    return_some(1, 2500);
    least_close_settle(stage);
    return 0;
}

static void the_order_is_kept_across_batches(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 2500);
    least_push(stage, "mail", 2501, 2510);
    stage_play(stage, return_many);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_true(least_counts(stage, "mail", 1, 2510));
}

static int return_backwards(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    for (uint64_t attempt = 500; attempt > 0; attempt--)
        return_some(attempt, attempt);
    least_close_settle(stage);
    return 0;
}

static void the_order_is_that_of_the_attempts(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 500);
    stage_play(stage, return_backwards);
    assert_true(least_counts(stage, "mail", 1, 500));
}

static int interrupt_one(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage);
    struct job *job = least_make(0, 1, "x");
    job_fail(job, "Interrupted", "interrupted");
    job->outcome = JOB_OUTCOME_INTERRUPTED;
    settle_outcome(settle, job);
    least_close_settle(stage);
    return 0;
}

/* The bytes are those that Redis has, whatever is known here. */
static void an_interrupted_job_goes_back_untouched(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    redis_do(&stage->server, "HSET " INFLIGHT " 0000000000000001 {\"n\":1e2}");
    stage_play(stage, interrupt_one);
    assert_true(least_gives(stage, "{\"n\":1e2}", "LRANGE mail 0 -1"));
    assert_true(least_gives(stage, "1", "DBSIZE"));
}

static void a_queue_that_is_no_list_has_its_jobs_set_aside(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 2500);
    redis_do(&stage->server, "SET mail nonsense");
    stage_play(stage, return_many);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_true(least_gives(stage, "2500", "ZCARD corq:dead"));
    redisReply *reply = redis_reply(&stage->server, "ZRANGE corq:dead 0 0");
    assert_non_null(
        strstr(reply->element[0]->str, "\"error_class\":\"NotGivenBack\""));
    freeReplyObject(reply);
}

/* --- answers that are lost ------------------------------------------------ */

/* What was sent has been carried out, and its answer is gone. */
static void lose_answers(struct stage *stage)
{
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    least_close_settle(stage);
    expect_that(least.settle.nlost == 0);
}

static int lose_acks(void *argument)
{
    struct stage *stage = argument;
    least_open_settle(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    finish(0, 1, 10);
    return_some(11, 20);
    expect_that(least_sees(stage, "0", "HLEN " INFLIGHT));
    expect_that(least.nsettled == 0);
    lose_answers(stage);
    expect_that(least.nsettled == 20);
    return 0;
}

static void assert_no_warning(void)
{
    assert_null(strstr(log_file_read(&file), "another process"));
}

static void what_is_sent_again_is_done_once(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 20);
    stage_play(stage, lose_acks);
    assert_true(least_counts(stage, "mail", 11, 20));
    assert_true(least_gives(stage, "0", "DBSIZE"));
    assert_no_warning();
}

static int lose_failures(void *argument)
{
    struct stage *stage = argument;
    least_open_settle(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    fail_some(1, 10);
    expect_that(least_sees(stage, "0", "HLEN " INFLIGHT));
    expect_that(least.nsettled == 0);
    lose_answers(stage);
    expect_that(least.nsettled == 10);
    return 0;
}

static void failures_that_are_sent_again_are_kept_once(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 10);
    stage_play(stage, lose_failures);
    assert_true(least_gives(stage, "10", "ZCARD corq:retry"));
    assert_no_warning();
}

static int wait_for_redis(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_END);
    finish(0, 1, 5);
    fail_some(6, 10);
    return_some(11, 15);
    expect_that(settle_wait_empty(settle, coro_after(30)) == -ETIMEDOUT);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    least_close_settle(stage);
    return 0;
}

static void outcomes_wait_for_redis(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 15);
    stage_play(stage, wait_for_redis);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_true(least_gives(stage, "5", "ZCARD corq:retry"));
    assert_true(least_counts(stage, "mail", 11, 15));
}

static int give_up(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_END);
    finish(0, 1, 2);
    fail_some(3, 4);
    expect_that(settle_give_up(settle) == 4);
    least_close_settle(stage);
    return 0;
}

static void what_is_given_up_stays_in_flight(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 4);
    stage_play(stage, give_up);
    assert_true(least_gives(stage, "1 2 3 4", "HVALS " INFLIGHT));
    assert_null(strstr(log_file_read(&file), "payload="));
}

/* --- a lease that was lost ------------------------------------------------ */

static int settle_all_kinds(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    finish(0, 1, 2);
    fail_some(3, 4);
    return_some(5, 6);
    least_close_settle(stage);
    expect_that(least.nsettled == 6);
    return 0;
}

/* Another process was given 2, 4 and 6, and has taken two of them. */
static void what_others_have_by_now_is_left_alone(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    redis_do(&stage->server,
             "HSET " INFLIGHT " 0000000000000001 1 0000000000000003 3 "
             "0000000000000005 5");
    redis_do(&stage->server,
             "HSET " OTHERS " 0000000000000001 4 0000000000000002 2");
    redis_do(&stage->server, "LPUSH mail 6");
    stage_play(stage, settle_all_kinds);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_true(least_gives(stage, "4 2", "HVALS " OTHERS));
    assert_true(least_gives(stage, "6 5", "LRANGE mail 0 -1"));
    assert_true(least_gives(stage, "1", "ZCARD corq:retry"));
}

static void it_is_told_that_others_have_them(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 1);
    stage_play(stage, settle_all_kinds);
    assert_int_equal(least.settle.nlost, 5);
    assert_non_null(strstr(log_file_read(&file),
                           "1 jobs that ended here had been given to another "
                           "process, because the lease of this one had run "
                           "out: they are run twice"));
}

/* --- what goes wrong ------------------------------------------------------ */

static int repair_retry(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage);
    fail_some(3, 4);
    expect_that(settle_wait_empty(settle, coro_after(100)) == -ETIMEDOUT);
    expect_that(least_gives(stage, "3 4 5 6", "HVALS " INFLIGHT));
    /* What goes elsewhere is not held up. */
    finish(0, 1, 2);
    return_some(5, 6);
    expect_that(least_sees(stage, "6 5", "LRANGE mail 0 -1"));
    redis_do(&stage->server, "DEL corq:retry");
    least_close_settle(stage);
    return 0;
}

static void jobs_stay_in_flight_until_they_can_be_kept(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    redis_do(&stage->server, "SET corq:retry nonsense");
    least_put(stage, INFLIGHT, 3, 6);
    stage_play(stage, repair_retry);
    assert_true(least_gives(stage, "2", "ZCARD corq:retry"));
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_non_null(
        strstr(log_file_read(&file), "can't write to corq:retry or corq:dead"));
}

static int repair_hash(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    finish(0, 1, 2);
    finish(1, 3, 4);
    expect_that(least_sees(stage, "0", "EXISTS " LEAST_INFLIGHT("other")));
    expect_that(least.nsettled == 2);
    redis_do(&stage->server, "DEL " INFLIGHT);
    least_close_settle(stage);
    return 0;
}

static void a_hash_that_is_none_holds_up_no_other_queue(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail", "other");
    redis_do(&stage->server, "SET " INFLIGHT " nonsense");
    least_put(stage, LEAST_INFLIGHT("other"), 3, 4);
    stage_play(stage, repair_hash);
}

static void a_full_server_still_takes_all_kinds(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail");
    least_put(stage, INFLIGHT, 1, 6);
    least_fill_server(stage, true);
    stage_play(stage, settle_all_kinds);
    least_fill_server(stage, false);
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
    assert_true(least_gives(stage, "2", "ZCARD corq:retry"));
    assert_true(least_counts(stage, "mail", 5, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(many_done_jobs_leave_by_few_commands),
        LEAST_TEST(each_queue_has_its_own_acknowledgement),
        LEAST_TEST(the_order_is_kept_across_batches),
        LEAST_TEST(the_order_is_that_of_the_attempts),
        LEAST_TEST(an_interrupted_job_goes_back_untouched),
        LEAST_TEST(a_queue_that_is_no_list_has_its_jobs_set_aside),
        LEAST_PROXY_TEST(what_is_sent_again_is_done_once),
        LEAST_PROXY_TEST(failures_that_are_sent_again_are_kept_once),
        LEAST_PROXY_TEST(outcomes_wait_for_redis),
        LEAST_PROXY_TEST(what_is_given_up_stays_in_flight),
        LEAST_TEST(what_others_have_by_now_is_left_alone),
        LEAST_TEST(it_is_told_that_others_have_them),
        LEAST_TEST(jobs_stay_in_flight_until_they_can_be_kept),
        LEAST_TEST(a_hash_that_is_none_holds_up_no_other_queue),
        LEAST_TEST(a_full_server_still_takes_all_kinds),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
