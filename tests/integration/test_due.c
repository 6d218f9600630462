/*
 * Due jobs, from the set in which they wait to their queue, byte for byte.
 */
#include "tests/integration/poller.h"

/* Lets a poller work until @command gives @number; the test's own, by stage. */
static int move_until(void *argument)
{
    struct stage *stage = argument;
    const struct wanted *wanted = stage->own;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_sees(stage, wanted->command, wanted->number));
    poller_stop(&poller);
    return 0;
}

static void play_until(struct stage *stage, const char *command,
                       long long number)
{
    struct wanted wanted = {stage, command, number};
    stage->own = &wanted;
    stage_play(stage, move_until);
    stage->own = NULL;
}

static double now_s(void)
{
    return (double)coro_wall_us() / 1e6;
}

/* Takes the next job of @key; it must be @expected. */
static void assert_next(struct stage *stage, const char *key,
                        const char *expected)
{
    char *job = redis_text(&stage->server, "RPOP %s", key);
    assert_non_null(job);
    assert_string_equal(job, expected);
    free(job);
}

static void due_jobs_move_in_the_order_of_their_scores(void **state)
{
    struct stage *stage = *state;
    double now = now_s();
    add_raw(stage, "corq:schedule", now - 1, "mail", 3);
    add_raw(stage, "corq:schedule", now - 3, "mail", 1);
    add_raw(stage, "corq:schedule", now - 2, "mail", 2);
    add_raw(stage, "corq:schedule", now - 2, "news", 7);
    add_raw(stage, "corq:schedule", now + 1000, "mail", 4);
    play_until(stage, "ZCARD corq:schedule", 1);
    assert_next(stage, "mail", "1");
    assert_next(stage, "mail", "2");
    assert_next(stage, "mail", "3");
    assert_next(stage, "news", "7");
    assert_int_equal(redis_integer(&stage->server, "EXISTS mail queues"), 0);
}

static void any_number_of_due_jobs_is_moved(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "EVAL %s 0",
             "for i = 1, 5000 do redis.call('ZADD', 'corq:retry', i, "
             "'{\"jid\":\"' .. i .. '\",\"corq\":{\"key\":\"mail\","
             "\"payload\":\"' .. i .. '\"}}') end return 1");
    play_until(stage, "LLEN mail", 5000);
    assert_int_equal(redis_integer(&stage->server, "EXISTS corq:retry"), 0);
    for (int i = 1; i <= 5000; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        assert_next(stage, "mail", number);
    }
}

static void a_failed_raw_job_keeps_its_envelope(void **state)
{
    struct stage *stage = *state;
    const char *envelope = "{\"jid\":\"a\",\"corq\":{\"key\":\"mail\","
                           "\"payload\":\"1\"},\"retry_count\":0}";
    redis_do(&stage->server, "ZADD corq:retry 5 %s", envelope);
    play_until(stage, "LLEN mail", 1);
    assert_next(stage, "mail", envelope);
}

static void large_jobs_are_moved_a_few_at_a_time(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "EVAL %s 0",
             "for i = 1, 5 do redis.call('ZADD', 'corq:retry', i, "
             "'{\"corq\":{\"key\":\"mail\",\"payload\":\"' .. "
             "string.rep(i, 700000) .. '\"}}') end return 1");
    play_until(stage, "LLEN mail", 5);
    redisReply *reply = redis_reply(&stage->server, "LINDEX mail 0");
    bool is_last = reply->len == 700000 && reply->str[699999] == '5';
    freeReplyObject(reply);
    assert_true(is_last);
}

/* --- jobs of other programs ----------------------------------------------- */

/* The job in @key is @before, a number with six decimals, and @after. */
static void assert_stamped(struct stage *stage, const char *key,
                           const char *before, const char *after)
{
    char *job = redis_text(&stage->server, "RPOP %s", key);
    assert_non_null(job);
    assert_int_equal(strncmp(job, before, strlen(before)), 0);
    char *end;
    double at = strtod(job + strlen(before), &end);
    assert_true(at > now_s() - 100 && at < now_s() + 1);
    assert_int_equal(end[-7], '.');
    assert_string_equal(end, after);
    free(job);
}

/* Adds @before, @at and @after as one member to @set. */
static void add_shared(struct stage *stage, const char *set, const char *before,
                       const char *at, const char *after)
{
    char job[1000];
    snprintf(job, sizeof job, "%s%s%s", before, at, after);
    redis_do(&stage->server, "ZADD %s 1700000000.25 %s", set, job);
}

#define DIGITS "1234567890123456789012345678901234567890"

static void what_other_programs_wrote_is_changed_in_one_place_only(void **state)
{
    struct stage *stage = *state;
    const char *of_6 = "{\"class\":\"A\",\"args\":[1,\"\\u00e9\"],\"retry\":"
                       "true,\"queue\":\"six\",\"jid\":\"a\",\"created_at\":"
                       "1700000000.12,\"enqueued_at\":";
    const char *of_6_end = ",\"error_class\":\"E\",\"failed_at\":1700000001.5,"
                           "\"retry_count\":0}";
    const char *of_7 = "{ \"retry\" : 5, \"queue\":\"seven\",\"class\":\"B\","
                       "\"args\":[" DIGITS "],\"unknown\":{\"b\":1,\"a\":2.50},"
                       "\"enqueued_at\":";
    const char *of_8 =
        "{\"class\":\"C\",\"args\":[],\"queue\":\"eight\","
        "\"created_at\":1780000000123,\"big\":-" DIGITS ",\"enqueued_at\":";
    const char *fresh = "{\"class\":\"D\",\"args\":[],\"queue\":\"fresh\"";
    add_shared(stage, "retry", of_6, "1700000000.98765", of_6_end);
    add_shared(stage, "schedule", of_7, "1700000000", " }");
    add_shared(stage, "retry", of_8, "1780000000456", "}");
    add_shared(stage, "schedule", fresh, "", "}");
    play_until(stage, "SCARD queues", 4);
    assert_stamped(stage, "queue:six", of_6, of_6_end);
    assert_stamped(stage, "queue:seven", of_7, " }");
    assert_stamped(stage, "queue:eight", of_8, "}");
    assert_stamped(stage, "queue:fresh",
                   "{\"class\":\"D\",\"args\":[],\"queue\":\"fresh\","
                   "\"enqueued_at\":",
                   "}");
    assert_int_equal(redis_integer(&stage->server, "SISMEMBER queues six"), 1);
    assert_int_equal(redis_integer(&stage->server, "EXISTS retry schedule"), 0);
}

static void a_raw_job_for_a_shared_queue_does_not_list_it(void **state)
{
    struct stage *stage = *state;
    add_raw(stage, "corq:schedule", 5, "queue:mail", 1);
    play_until(stage, "LLEN queue:mail", 1);
    assert_next(stage, "queue:mail", "1");
    assert_int_equal(redis_integer(&stage->server, "EXISTS queues"), 0);
}

static void a_set_of_names_of_the_wrong_type_holds_nothing_up(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET queues nonsense");
    add_shared(stage, "schedule", "{\"class\":\"A\",\"queue\":\"x\"", "", "}");
    play_until(stage, "LLEN queue:x", 1);
}

/* --- what is no job ------------------------------------------------------- */

static void what_is_not_understood_goes_to_the_dead(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ZADD retry 1 %s 2 %s", "not\njson", "[1]");
    redis_do(&stage->server, "ZADD schedule 1 %s", "");
    redis_do(&stage->server, "ZADD corq:schedule 1 5");
    add_raw(stage, "corq:schedule", 2, "mail", 6);
    play_until(stage, "ZCARD dead", 3);
    assert_next(stage, "mail", "6");
    char *score = redis_text(&stage->server, "ZSCORE dead %s", "not\njson");
    assert_non_null(score);
    assert_true(strtod(score, NULL) > now_s() - 100);
    free(score);
    redisReply *dead = redis_reply(&stage->server, "ZRANGE corq:dead 0 -1");
    assert_int_equal(dead->elements, 1);
    assert_non_null(strstr(dead->element[0]->str, "\"payload\":\"5\""));
    assert_non_null(strstr(dead->element[0]->str, "\"NotAJob\""));
    freeReplyObject(dead);
    assert_int_equal(redis_integer(&stage->server, "EXISTS retry schedule "
                                                   "corq:schedule"),
                     0);
    const char *log = log_file_read(&file);
    assert_non_null(strstr(log, "no jobs that could be run: set aside in dead "
                                "set=retry entries=2"));
}

/* What was removed is known to Redis before the answer is here. */
static int move_until_removal_is_told(void *argument)
{
    struct stage *stage = argument;
    poller_start(stage, &poller, stage->server.port, "host:1:aa");
    expect_that(stage_sees_logged(&file, "removed=6"));
    poller_stop(&poller);
    return 0;
}

static void the_dead_of_all_are_trimmed_to_ten_thousand(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "EVAL %s 0 %f",
             "for i = 1, 10004 do redis.call('ZADD', 'dead', "
             "tonumber(ARGV[1]) + i / 1000, 'x' .. i) end return 1",
             now_s() - 100);
    redis_do(&stage->server, "ZADD dead 1000 old");
    redis_do(&stage->server, "ZADD retry 1 nonsense");
    stage_play(stage, move_until_removal_is_told);
    assert_int_equal(redis_integer(&stage->server, "ZCARD dead"), 10000);
    char *gone = redis_text(&stage->server, "ZSCORE dead x5");
    char *kept = redis_text(&stage->server, "ZSCORE dead x6");
    free(kept);
    free(gone);
    assert_null(gone);
    assert_non_null(kept);
}

/* --- queues that can't be used -------------------------------------------- */

static void a_queue_of_the_wrong_type_hurts_only_its_own_jobs(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET bad nonsense");
    for (int i = 1; i <= 250; i++)
        add_raw(stage, "corq:retry", i, "bad", i);
    add_raw(stage, "corq:retry", 251, "mail", 251);
    play_until(stage, "LLEN mail", 1);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:retry"), 250);
    assert_int_equal(
        redis_integer(&stage->server, "ZCOUNT corq:retry %f +inf", now_s()),
        250);
    const char *log = log_file_read(&file);
    const char *line = strstr(log, "due jobs can't be moved and are put off by "
                                   "30 s: WRONGTYPE");
    assert_non_null(line);
    assert_null(strstr(line + 1, "due jobs can't be moved"));
}

static void a_dead_set_of_the_wrong_type_hurts_only_its_own(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET dead nonsense");
    redis_do(&stage->server, "ZADD retry 1 nonsense");
    add_raw(stage, "corq:retry", 1, "mail", 1);
    play_until(stage, "LLEN mail", 1);
    play_until(stage, "ZCOUNT retry 2 +inf", 1);
}

static void a_set_of_the_wrong_type_hurts_only_itself(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET retry nonsense");
    add_raw(stage, "corq:schedule", 1, "mail", 1);
    play_until(stage, "LLEN mail", 1);
    assert_non_null(
        strstr(log_file_read(&file), "retry can't be read: WRONGTYPE"));
}

static void a_server_out_of_memory_is_drained(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET bad nonsense");
    redis_do(&stage->server, "ZADD retry 1 nonsense");
    add_raw(stage, "corq:retry", 1, "mail", 1);
    add_raw(stage, "corq:retry", 1, "bad", 1);
    redis_do(&stage->server, "CONFIG SET maxmemory 1");
    play_until(stage, "LLEN mail", 1);
    play_until(stage, "ZCARD dead", 1);
    play_until(stage, "ZCOUNT corq:retry 2 +inf", 1);
    redis_do(&stage->server, "CONFIG SET maxmemory 0");
}

/* --- the scripts ---------------------------------------------------------- */

static int send_move(struct stage *stage, const char *member, int64_t *moved)
{
    const char *argv[SCRIPT_WORDS + 5];
    const char *words[] = {"corq:retry", "mail", "", member, "1"};
    for (size_t i = 0; i < 5; i++)
        argv[SCRIPT_WORDS + i] = words[i];
    struct coro_redis_reply *reply = NULL;
    int status = script_call(stage->redis, &script_move, 2, SCRIPT_WORDS + 5,
                             argv, NULL, coro_after(PATIENCE_MS), &reply);
    *moved = coro_redis_reply_type(reply) == CORO_REDIS_INTEGER
                 ? coro_redis_reply_integer(reply)
                 : -1;
    coro_redis_reply_free(reply);
    return status;
}

static int move_twice(void *argument)
{
    struct stage *stage = argument;
    int64_t moved;
    stage_connect(stage, stage->server.port);
    expect_that(send_move(stage, "a", &moved) == 0 && moved == 1);
    expect_that(send_move(stage, "a", &moved) == 0 && moved == 0);
    coro_redis_stop(stage->redis);
    return 0;
}

static void a_move_that_is_sent_twice_moves_once(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ZADD corq:retry 1 a");
    stage_play(stage, move_twice);
    assert_int_equal(redis_integer(&stage->server, "LLEN mail"), 1);
    assert_int_equal(redis_integer(&stage->server, "EXISTS corq:retry"), 0);
}

static int move_in_vain(void *argument)
{
    struct stage *stage = argument;
    int64_t moved;
    stage_connect(stage, stage->server.port);
    expect_that(send_move(stage, "a", &moved) == 0 && moved == -1);
    coro_redis_stop(stage->redis);
    return 0;
}

static void a_move_that_fails_leaves_the_job_where_it_was(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ZADD corq:retry 1 a");
    redis_do(&stage->server, "SET mail nonsense");
    stage_play(stage, move_in_vain);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:retry"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLLER_TEST(due_jobs_move_in_the_order_of_their_scores),
        POLLER_TEST(any_number_of_due_jobs_is_moved),
        POLLER_TEST(a_failed_raw_job_keeps_its_envelope),
        POLLER_TEST(large_jobs_are_moved_a_few_at_a_time),
        POLLER_TEST(what_other_programs_wrote_is_changed_in_one_place_only),
        POLLER_TEST(a_raw_job_for_a_shared_queue_does_not_list_it),
        POLLER_TEST(a_set_of_names_of_the_wrong_type_holds_nothing_up),
        POLLER_TEST(what_is_not_understood_goes_to_the_dead),
        POLLER_TEST(the_dead_of_all_are_trimmed_to_ten_thousand),
        POLLER_TEST(a_queue_of_the_wrong_type_hurts_only_its_own_jobs),
        POLLER_TEST(a_dead_set_of_the_wrong_type_hurts_only_its_own),
        POLLER_TEST(a_set_of_the_wrong_type_hurts_only_itself),
        POLLER_TEST(a_server_out_of_memory_is_drained),
        POLLER_TEST(a_move_that_is_sent_twice_moves_once),
        POLLER_TEST(a_move_that_fails_leaves_the_job_where_it_was),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
