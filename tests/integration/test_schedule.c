/*
 * Who moves due jobs, when, and what becomes of that when Redis or a process
 * goes away.
 */
#include "tests/integration/poller.h"

static struct poller other;

static double now_s(void)
{
    return (double)coro_wall_us() / 1e6;
}

/* --- the lock ------------------------------------------------------------- */

/* Asks for the lock as @process; true when it is given. */
static bool asks_for_lock(struct stage *stage, struct coro_redis *redis,
                          const char *process)
{
    (void)stage;
    const char *argv[SCRIPT_WORDS + 7];
    const char *words[] = {
        SCHEDULE_LEADER_KEY, "retry", process, "6000", "0", "1", "1"};
    for (size_t i = 0; i < 7; i++)
        argv[SCRIPT_WORDS + i] = words[i];
    struct coro_redis_reply *reply = NULL;
    expect_that(script_call(redis, &script_due, 2, SCRIPT_WORDS + 7, argv, NULL,
                            coro_after(PATIENCE_MS), &reply) == 0);
    bool has_lock = coro_redis_reply_nitems(reply) > 1;
    coro_redis_reply_free(reply);
    return has_lock;
}

static int lead_alone(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(!schedule_is_leader(&poller.schedule));
    expect_that(stage_wait_until(poller_listens, &poller));
    expect_that(!asks_for_lock(stage, poller.redis, "host:2:bb"));
    expect_that(asks_for_lock(stage, poller.redis, "host:1:aa"));
    expect_that(
        stage_text_is(poller.redis, "host:1:aa", "GET", SCHEDULE_LEADER_KEY));
    int64_t left_ms = stage_integer(poller.redis, "PTTL", SCHEDULE_LEADER_KEY);
    expect_that(left_ms > 0 && left_ms <= SCHEDULE_LOCK_MS);
    expect_that(schedule_stop(&poller.schedule, coro_after(PATIENCE_MS)) == 0);
    expect_that(!schedule_is_leader(&poller.schedule));
    expect_that(!poller.schedule.wake);
    expect_that(stage_integer(poller.redis, "EXISTS", SCHEDULE_LEADER_KEY) ==
                0);
    poller_stop(&poller);
    return 0;
}

static void the_leader_has_the_lock_until_it_stops(void **state)
{
    stage_play(*state, lead_alone);
}

static int stop_behind_another(void *argument)
{
    struct stage *stage = argument;
    redis_do(&stage->server, "SET corq:leader host:2:bb PX 60000");
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_sees(stage, "EXISTS corq:leader", 1));
    poller_stop(&poller);
    return 0;
}

static void the_lock_of_another_is_left_alone(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, stop_behind_another);
    char *holder = redis_text(&stage->server, "GET corq:leader");
    assert_string_equal(holder, "host:2:bb");
    free(holder);
}

static int stop_at_once(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    poller_stop(&poller);
    expect_that(redis_integer(&stage->server, "EXISTS corq:leader") == 0);
    return 0;
}

static void what_is_stopped_before_it_began_does_nothing(void **state)
{
    stage_play(*state, stop_at_once);
}

static int hand_over(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    poller_start(stage, &other, stage->server.port, "host:2:bb");
    add_raw(stage, "corq:schedule", now_s() + 0.2, "mail", 1);
    expect_that(stage_sees(stage, "LLEN mail", 1));
    expect_that(!schedule_is_leader(&other.schedule));
    poller_stop(&poller);
    expect_that(stage_wait_until(poller_listens, &other));
    add_raw(stage, "corq:schedule", now_s(), "mail", 2);
    expect_that(stage_sees(stage, "LLEN mail", 2));
    poller_stop(&other);
    return 0;
}

static void another_takes_over_from_one_that_stops(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, hand_over);
    const char *log = log_file_read(&file);
    const char *line = strstr(log, "this process moves due jobs");
    assert_non_null(line);
    assert_non_null(strstr(line + 1, "this process moves due jobs"));
}

static int cut_off(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, proxy_port(stage->proxy), "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    poller_start(stage, &other, stage->server.port, "host:2:bb");
    expect_that(stage_wait_until(poller_leads, &other));
    expect_that(!schedule_is_leader(&poller.schedule));
    /* The first one comes back, and finds that it does not lead any more. */
    proxy_set_mode(stage->proxy, PROXY_PASS);
    expect_that(coro_redis_wait_up(poller.redis, coro_after(PATIENCE_MS)) == 0);
    poller_stop(&poller);
    expect_that(schedule_is_leader(&other.schedule));
    poller_stop(&other);
    return 0;
}

static void another_takes_over_from_one_that_is_cut_off(void **state)
{
    stage_play(*state, cut_off);
}

/* The lock is given to another under its hands. */
static int lose_lock(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    redis_do(&stage->server, "SET corq:leader host:2:bb PX 60000");
    while (poller.schedule.wake)
        expect_that(coro_sleep(1) == 0);
    expect_that(!schedule_is_leader(&poller.schedule));
    poller_stop(&poller);
    return 0;
}

static void who_does_not_lead_does_not_listen(void **state)
{
    stage_play(*state, lose_lock);
    assert_non_null(
        strstr(log_file_read(&file), "another process moves due jobs"));
}

/* --- when it looks -------------------------------------------------------- */

static int wake_often(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    int64_t begin_ms = coro_now_ms();
    for (int i = 1; i <= 30; i++) {
        char job[100];
        snprintf(job, sizeof job,
                 "{\"jid\":\"%d\",\"corq\":{\"key\":\"mail\",\"payload\":"
                 "\"%d\"}}",
                 i, i);
        redis_do(&stage->server, "EVAL %s 2 corq:schedule corq:wake %f %s",
                 script_add_due.text, now_s() + 0.01, job);
        expect_that(stage_sees(stage, "LLEN mail", i));
    }
    /* By itself it would have looked once a second. */
    expect_that(coro_now_ms() - begin_ms < 15000);
    poller_stop(&poller);
    return 0;
}

static void a_word_wakes_the_leader(void **state)
{
    stage_play(*state, wake_often);
}

static void only_the_first_of_a_set_brings_a_word(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "EVAL %s 2 corq:schedule corq:wake 20 a",
             script_add_due.text);
    assert_int_equal(redis_integer(&stage->server, "LLEN corq:wake"), 1);
    redis_do(&stage->server, "EVAL %s 2 corq:schedule corq:wake 10 b",
             script_add_due.text);
    assert_int_equal(redis_integer(&stage->server, "LLEN corq:wake"), 1);
    long long left_ms = redis_integer(&stage->server, "PTTL corq:wake");
    assert_in_range(left_ms, 1, 60000);
    redis_do(&stage->server, "DEL corq:wake");
    redis_do(&stage->server, "EVAL %s 2 corq:schedule corq:wake 30 c",
             script_add_due.text);
    assert_int_equal(redis_integer(&stage->server, "EXISTS corq:wake"), 0);
}

static void a_list_of_words_of_the_wrong_type_does_no_harm(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET corq:wake nonsense");
    redis_do(&stage->server, "EVAL %s 2 corq:schedule corq:wake 20 a",
             script_add_due.text);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:schedule"), 1);
}

/* How often scripts were called, by their SHA-1. */
static long ncalls(struct stage *stage)
{
    char *info = redis_text(&stage->server, "INFO commandstats");
    const char *at = strstr(info, "cmdstat_evalsha:calls=");
    long n = at ? strtol(at + strlen("cmdstat_evalsha:calls="), NULL, 10) : 0;
    free(info);
    return n;
}

static int idle(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    int64_t begin_ms = coro_now_ms();
    long begin = ncalls(stage);
    while (ncalls(stage) < begin + 3)
        expect_that(coro_sleep(20) == 0);
    expect_that(coro_now_ms() - begin_ms >= 1900);
    poller_stop(&poller);
    return 0;
}

static void an_idle_leader_asks_once_a_second(void **state)
{
    stage_play(*state, idle);
}

static int see_foreign(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    redis_do(&stage->server, "ZADD schedule %f %s", now_s() + 0.3,
             "{\"class\":\"A\",\"queue\":\"x\"}");
    expect_that(stage_sees(stage, "LLEN queue:x", 1));
    poller_stop(&poller);
    return 0;
}

static void what_others_add_is_found_without_a_word(void **state)
{
    struct stage *stage = *state;
    double begin = now_s();
    stage_play(stage, see_foreign);
    assert_true(now_s() - begin >= 0.3);
}

/* --- trouble -------------------------------------------------------------- */

static int forget_scripts(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    for (int i = 1; i <= 3; i++) {
        add_raw(stage, "corq:schedule", i, "mail", i);
        expect_that(stage_sees(stage, "LLEN mail", i));
        redis_do(&stage->server, "SCRIPT FLUSH");
    }
    poller_stop(&poller);
    return 0;
}

static void scripts_that_the_server_forgot_are_sent_again(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, forget_scripts);
    assert_null(strstr(log_file_read(&file), "will try again"));
}

static int lose_answer(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, proxy_port(stage->proxy), "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    size_t nanswered = proxy_nanswered(stage->proxy);
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    while (proxy_nanswered(stage->proxy) == nanswered)
        expect_that(coro_sleep(1) == 0);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    expect_that(stage_sees(stage, "LLEN mail", 1));
    add_raw(stage, "corq:schedule", 2, "mail", 2);
    expect_that(stage_sees(stage, "EXISTS corq:schedule", 0));
    poller_stop(&poller);
    return 0;
}

static void a_lost_connection_loses_and_doubles_nothing(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, lose_answer);
    assert_int_equal(redis_integer(&stage->server, "LLEN mail"), 2);
}

static int repair_lock(void *argument)
{
    struct stage *stage = argument;
    redis_do(&stage->server, "LPUSH corq:leader nonsense");
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    while (!strstr(log_file_read(&file), "moving due jobs: WRONGTYPE"))
        expect_that(coro_sleep(1) == 0);
    redis_do(&stage->server, "DEL corq:leader");
    expect_that(stage_sees(stage, "LLEN mail", 1));
    poller_stop(&poller);
    return 0;
}

static void a_lock_of_the_wrong_type_is_waited_for(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, repair_lock);
    assert_non_null(
        strstr(log_file_read(&file), "moving due jobs: works again"));
}

static int become_replica(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    redis_do(&stage->server, "REPLICAOF 127.0.0.1 1");
    while (!strstr(log_file_read(&file), "moving due jobs: READONLY"))
        expect_that(coro_sleep(1) == 0);
    redis_do(&stage->server, "REPLICAOF NO ONE");
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    expect_that(stage_sees(stage, "LLEN mail", 1));
    expect_that(stage_wait_until(poller_listens, &poller));
    poller_stop(&poller);
    return 0;
}

static void a_server_that_became_a_replica_is_left(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, become_replica);
    /* It was left for a new connection, which may be to another server. */
    assert_true(stage->nevents > 1);
}

static int stop_without_redis(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, proxy_port(stage->proxy), "host:1:aa");
    expect_that(stage_wait_until(poller_listens, &poller));
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    expect_that(schedule_stop(&poller.schedule, coro_after(50)) == -ETIMEDOUT);
    coro_group_close(&poller.group);
    coro_redis_stop(poller.redis);
    return 0;
}

static void stopping_does_not_wait_for_redis_for_ever(void **state)
{
    stage_play(*state, stop_without_redis);
}

/* --- who may not use everything ------------------------------------------- */

/* What is logged when the answer is here, which is later than Redis has done
 * what it tells; or NULL. */
static const char *awaited;

static int move_with_few_rights(void *argument)
{
    static char user[] = "few", password[] = "p";
    struct stage *stage = argument;
    poller = (struct poller){.redis = NULL};
    stage_aim(stage, stage->server.port);
    stage->address.user = user;
    stage->address.password = password;
    stage_start_redis(stage);
    expect_that(stage_wait_up(stage));
    coro_group_init(&poller.group, coro_loop_current());
    expect_that(schedule_start(&poller.schedule, &(struct schedule_options){
                                                     .group = &poller.group,
                                                     .redis = stage->redis,
                                                     .address = &stage->address,
                                                     .process = "host:1:aa",
                                                 }) == 0);
    poller.redis = stage->redis;
    expect_that(stage_sees(stage, stage->own, 1));
    if (awaited)
        expect_that(stage_sees_logged(&file, awaited));
    poller_stop(&poller);
    return 0;
}

static void play_with_rights(struct stage *stage, const char *rights,
                             char *until)
{
    char rule[200];
    snprintf(rule, sizeof rule, "ACL SETUSER few reset on >p +@all %s", rights);
    redis_do(&stage->server, rule);
    stage->own = until;
    stage_play(stage, move_with_few_rights);
    stage->own = NULL;
    redis_do(&stage->server, "ACL DELUSER few");
}

static void our_own_sets_are_enough(void **state)
{
    static char until[] = "LLEN mail";
    struct stage *stage = *state;
    redis_do(&stage->server, "ZADD schedule 1 {\"class\":\"A\"}");
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    awaited = "are forbidden to us";
    play_with_rights(stage, "~corq:* ~mail", until);
    awaited = NULL;
    assert_int_equal(redis_integer(&stage->server, "ZCARD schedule"), 1);
    const char *log = log_file_read(&file);
    const char *line = strstr(log, "are forbidden to us");
    assert_non_null(line);
    assert_null(strstr(line + 1, "are forbidden to us"));
    assert_null(strstr(log, "will try again"));
}

static void a_queue_may_be_used_though_it_may_not_be_listed(void **state)
{
    static char until[] = "LLEN queue:default";
    struct stage *stage = *state;
    redis_do(&stage->server, "ZADD schedule 1 {\"class\":\"A\"}");
    play_with_rights(stage, "~corq:* ~retry ~schedule ~dead ~queue:*", until);
    assert_int_equal(redis_integer(&stage->server, "EXISTS queues"), 0);
}

static void jobs_for_a_forbidden_queue_are_put_off(void **state)
{
    static char until[] = "ZCOUNT corq:schedule 2 +inf";
    struct stage *stage = *state;
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    awaited = "are put off by 30 s: NOPERM";
    play_with_rights(stage, "~corq:*", until);
    awaited = NULL;
    assert_non_null(
        strstr(log_file_read(&file), "are put off by 30 s: NOPERM"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLLER_TEST(the_leader_has_the_lock_until_it_stops),
        POLLER_TEST(the_lock_of_another_is_left_alone),
        POLLER_TEST(what_is_stopped_before_it_began_does_nothing),
        POLLER_TEST(another_takes_over_from_one_that_stops),
        POLLER_PROXY_TEST(another_takes_over_from_one_that_is_cut_off),
        POLLER_TEST(who_does_not_lead_does_not_listen),
        POLLER_TEST(a_word_wakes_the_leader),
        POLLER_TEST(only_the_first_of_a_set_brings_a_word),
        POLLER_TEST(a_list_of_words_of_the_wrong_type_does_no_harm),
        POLLER_TEST(an_idle_leader_asks_once_a_second),
        POLLER_TEST(what_others_add_is_found_without_a_word),
        POLLER_TEST(scripts_that_the_server_forgot_are_sent_again),
        POLLER_PROXY_TEST(a_lost_connection_loses_and_doubles_nothing),
        POLLER_TEST(a_lock_of_the_wrong_type_is_waited_for),
        POLLER_TEST(a_server_that_became_a_replica_is_left),
        POLLER_PROXY_TEST(stopping_does_not_wait_for_redis_for_ever),
        POLLER_TEST(our_own_sets_are_enough),
        POLLER_TEST(a_queue_may_be_used_though_it_may_not_be_listed),
        POLLER_TEST(jobs_for_a_forbidden_queue_are_put_off),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
