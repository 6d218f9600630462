/*
 * Lines: the pops that block, one for each queue, and what becomes of that
 * which they bring when nobody here can start it.
 */
#include "tests/integration/least_stage.h"

#define INBOX(key)    LEAST_INBOX(key)
#define INFLIGHT(key) LEAST_INFLIGHT(key)

/* A server that does not know BLMOVE, as before 6.2. */
static struct redis_server old;

/* --- lines alone ---------------------------------------------------------- */

static void begin(struct stage *stage)
{
    least_open(stage, stage->server.port);
    least_start_lines(stage);
}

static void end(struct stage *stage)
{
    lines_stop(&least.lines);
    least_close(stage);
}

static const bool all_wanted[] = {true, true, true};

static void ask(void)
{
    expect_that(lines_wait(&least.lines, all_wanted, coro_after(0)) == 0);
}

static int bring_one(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    ask();
    expect_that(least_blocks(stage));
    redis_do(&stage->server, "LPUSH q 1 2 3");
    expect_that(least_sees(stage, "1", "LRANGE " INBOX("q") " 0 -1"));
    expect_that(lines_wait(&least.lines, (bool[]){false},
                           coro_after(PATIENCE_MS)) == 0);
    expect_that(least.owner.queues[0].ninbox == 1);
    /* It is not wanted any more: the next one stays where it is. */
    expect_that(!lines_are_busy(&least.lines));
    expect_that(least_gives(stage, "3 2", "LRANGE q 0 -1"));
    end(stage);
    return 0;
}

static void a_line_moves_one_job_into_the_inbox(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, bring_one);
}

static bool none_is_blocked(void *argument)
{
    struct stage *stage = argument;
    return least_nblocked(stage) == 0;
}

static int rest(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    ask();
    expect_that(least_blocks(stage));
    int64_t start_ms = coro_now_ms();
    expect_that(lines_rest(&least.lines, coro_after(PATIENCE_MS)) == 0);
    /* They did not end by themselves. */
    expect_that(coro_now_ms() - start_ms < FETCH_WAIT_S * 1000 - 1000);
    expect_that(!lines_are_busy(&least.lines));
    expect_that(stage_wait_until(none_is_blocked, stage));
    redis_do(&stage->server, "LPUSH a 1");
    redis_do(&stage->server, "LPUSH c 1");
    expect_that(least_gives(stage, "1", "LLEN a"));
    /* And they can be asked again. */
    ask();
    expect_that(least_sees(stage, "1", "LLEN " INBOX("a")));
    expect_that(least_sees(stage, "1", "LLEN " INBOX("c")));
    end(stage);
    return 0;
}

static void rest_ends_all_that_block_and_takes_no_more(void **state)
{
    struct stage *stage = *state;
    least_prepare("a", "b", "c");
    stage_play(stage, rest);
}

static int meet_wrong_type(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(lines_wait(&least.lines, all_wanted, coro_after(PATIENCE_MS)) ==
                0);
    expect_that(lines_rest(&least.lines, coro_after(PATIENCE_MS)) == 0);
    expect_that(!least.lines.is_in_trouble);
    end(stage);
    return 0;
}

/* The burst finds out, and names the key. */
static void a_key_of_the_wrong_type_is_no_trouble_of_all_lines(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET q nonsense");
    least_prepare("q");
    stage_play(stage, meet_wrong_type);
    assert_null(strstr(log_file_read(&file), "can't wait for jobs"));
}

static int rest_in_the_dark(void *argument)
{
    struct stage *stage = argument;
    least_open(stage, proxy_port(stage->proxy));
    least_start_lines(stage);
    ask();
    expect_that(least_blocks(stage));
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    expect_that(lines_rest(&least.lines, coro_after(60)) == -ETIMEDOUT);
    expect_that(lines_are_busy(&least.lines));
    end(stage);
    return 0;
}

static void rest_says_when_a_pop_could_not_be_ended(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, rest_in_the_dark);
}

/* --- with all the rest ---------------------------------------------------- */

static int run_three(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    for (uint64_t i = 1; i <= 3; i++) {
        expect_that(least_blocks(stage));
        redis_do(&stage->server, i % 2 ? "LPUSH a 0.001" : "LPUSH b 0.001");
        expect_that(least_does(i));
    }
    expect_that(least_sees(stage, "0",
                           "EXISTS a b " INFLIGHT("a") " " INFLIGHT(
                               "b") " " INBOX("a") " " INBOX("b")));
    least_close_all(stage);
    return 0;
}

static bool has_called(struct redis_server *server, const char *command)
{
    char *info = redis_text(server, "INFO commandstats");
    bool has = strstr(info, command);
    free(info);
    return has;
}

static void a_push_to_any_queue_is_run_at_once(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG RESETSTAT");
    least_prepare("a", "b");
    stage_play(stage, run_three);
    assert_true(has_called(&stage->server, "cmdstat_blmove:"));
    assert_false(has_called(&stage->server, "cmdstat_brpoplpush:"));
}

static void a_server_without_blmove_does_as_well(void **state)
{
    struct stage *stage = *state;
    struct redis_server newer = stage->server;
    redis_server_start(&old, "rename-command BLMOVE \"\"\n");
    stage->server = old;
    least_prepare("a", "b");
    stage_play(stage, run_three);
    bool has_popped = has_called(&stage->server, "cmdstat_brpoplpush:");
    redis_server_release(&stage->server);
    stage->server = newer;
    assert_true(has_popped);
}

static int push_to_both(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    expect_that(least_blocks(stage));
    redis_do(&stage->server, "EVAL %s 2 a b",
             "redis.call('LPUSH', KEYS[1], '1001') "
             "redis.call('LPUSH', KEYS[2], '1002')");
    expect_that(least_starts(1));
    expect_that(least_sees(stage, "1",
                           "EVAL return(redis.call('LLEN',KEYS[1])"
                           "+redis.call('LLEN',KEYS[2])) 2 a b"));
    expect_that(least_gives(stage, "0", "EXISTS " INBOX("a") " " INBOX("b")));
    least_close_all(stage);
    expect_that(least_nstarted() == 1);
    return 0;
}

static void what_came_beyond_the_credit_goes_back(void **state)
{
    struct stage *stage = *state;
    least_prepare("a", "b");
    least.concurrency = 1;
    stage_play(stage, push_to_both);
    assert_true(least_gives(stage, "1001 1002", "EVAL %s 2 a b",
                            "return {redis.call('RPOP', KEYS[1]), "
                            "redis.call('RPOP', KEYS[2])}"));
}

static int run_without_credit(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    expect_that(least_blocks(stage));
    redis_do(&stage->server, "LPUSH a 1001");
    expect_that(least_starts(1));
    /* The pop of the other queue is ended. */
    expect_that(stage_wait_until(none_is_blocked, stage));
    redis_do(&stage->server, "LPUSH a 1002");
    redis_do(&stage->server, "LPUSH b 1003");
    expect_that(least_gives(stage, "1002", "LRANGE a 0 -1"));
    expect_that(least_gives(stage, "1003", "LRANGE b 0 -1"));
    least_close_all(stage);
    return 0;
}

static void without_credit_nothing_blocks(void **state)
{
    struct stage *stage = *state;
    least_prepare("a", "b");
    least.concurrency = 1;
    stage_play(stage, run_without_credit);
    assert_true(least_counts(stage, "a", 1001, 1002));
}

static int find_inbox_filled(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    expect_that(least_starts(1));
    expect_that(stage_wait_until(none_is_blocked, stage));
    redis_do(&stage->server, "LPUSH " INBOX("q") " 1002");
    coro_redis_drop(stage->redis, "test");
    expect_that(least_sees(stage, "1002", "LRANGE q 0 -1"));
    expect_that(least_gives(stage, "0", "EXISTS " INBOX("q")));
    least_close_all(stage);
    return 0;
}

/* A pop of a connection that is gone may be served at any time. */
static void an_inbox_is_looked_at_after_each_reconnect(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least.concurrency = 1;
    least_push(stage, "q", 1001, 1001);
    stage_play(stage, find_inbox_filled);
    assert_true(least_counts(stage, "q", 1001, 1002));
}

static int lose_pop(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, proxy_port(stage->proxy));
    expect_that(least_blocks(stage));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    redis_do(&stage->server, "LPUSH q 1001");
    expect_that(least_sees(stage, "1001", "LRANGE " INBOX("q") " 0 -1"));
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    expect_that(least_starts(1));
    expect_that(least_gives(stage, "1001", "HVALS " INFLIGHT("q")));
    least_close_all(stage);
    return 0;
}

static void the_job_of_a_pop_whose_answer_was_lost_runs(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, lose_pop);
    assert_true(least_counts(stage, "q", 1001, 1001));
}

/* --- what goes wrong ------------------------------------------------------ */

static int run_beside_wrong_type(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    redis_do(&stage->server, "LPUSH good 0.001 0.001");
    expect_that(least_does(2));
    expect_that(least_logs("bad: WRONGTYPE"));
    redis_do(&stage->server, "LPUSH good 0.001");
    expect_that(least_does(3));
    redis_do(&stage->server, "DEL bad");
    redis_do(&stage->server, "LPUSH bad 0.001");
    expect_that(least_does(4));
    least_close_all(stage);
    return 0;
}

static void a_key_of_the_wrong_type_hurts_only_its_queue(void **state)
{
    struct stage *stage = *state;
    least_prepare("bad", "good");
    redis_do(&stage->server, "SET bad nonsense");
    stage_play(stage, run_beside_wrong_type);
    const char *text = log_file_read(&file);
    assert_null(strstr(text, "good: "));
    assert_null(strstr(text, "can't wait for jobs"));
}

static int run_on_full_server(void *argument)
{
    struct stage *stage = argument;
    least_open_all(stage, stage->server.port);
    expect_that(least_logs("can't wait for jobs, asking twice a second "
                           "instead: OOM"));
    int64_t start_ms = coro_now_ms();
    for (uint64_t i = 1; i <= 2; i++) {
        redis_do(&stage->server, "EVAL %s 1 q",
                 "redis.call('PERSIST', KEYS[1]) "
                 "redis.call('LPUSH', KEYS[1], '0.001')");
        expect_that(least_does(i));
    }
    /* Sooner than by the end of a wait. */
    expect_that(coro_now_ms() - start_ms < FETCH_WAIT_S * 1000);
    least_fill_server(stage, false);
    redis_do(&stage->server, "LPUSH q 0.001");
    expect_that(least_does(3));
    expect_that(least_logs("works again"));
    least_close_all(stage);
    return 0;
}

static void a_full_server_is_asked_by_bursts(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_fill_server(stage, true);
    stage_play(stage, run_on_full_server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(a_line_moves_one_job_into_the_inbox),
        LEAST_TEST(rest_ends_all_that_block_and_takes_no_more),
        LEAST_TEST(a_key_of_the_wrong_type_is_no_trouble_of_all_lines),
        LEAST_PROXY_TEST(rest_says_when_a_pop_could_not_be_ended),
        LEAST_TEST(a_push_to_any_queue_is_run_at_once),
        LEAST_TEST(a_server_without_blmove_does_as_well),
        LEAST_TEST(what_came_beyond_the_credit_goes_back),
        LEAST_TEST(without_credit_nothing_blocks),
        LEAST_TEST(an_inbox_is_looked_at_after_each_reconnect),
        LEAST_PROXY_TEST(the_job_of_a_pop_whose_answer_was_lost_runs),
        LEAST_TEST(a_key_of_the_wrong_type_hurts_only_its_queue),
        LEAST_TEST(a_full_server_is_asked_by_bursts),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
