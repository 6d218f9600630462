/*
 * Recovering a process that was ended from outside: each job that was running
 * is counted, and one that has lived through ten such ends is set aside.
 */
#include "master/queue/charge.h"
#include "tests/integration/recover_stage.h"

/* A job with the id j<number>. */
static void put_job(struct stage *stage, uint64_t number)
{
    char job[80];
    int len = snprintf(job, sizeof job,
                       "{\"class\":\"A\",\"args\":[],\"jid\":\"j%llu\"}",
                       (unsigned long long)number);
    recover_put_in(stage, "q", number, job, (size_t)len);
}

/* Jobs from @first to @last are in flight; all but the last were running. */
static void fill(struct stage *stage, const char *identity, uint64_t first,
                 uint64_t last)
{
    least_prepare("q");
    recover_begin(identity);
    dead.corpse.cause = RECOVER_KILLED;
    for (uint64_t i = first; i <= last; i++) {
        put_job(stage, i);
        if (i < last)
            recover_run_in(0, 1000 + i, i);
    }
}

/* How many counters there are. */
static long long ncounters(struct stage *stage)
{
    return redis_integer(&stage->server, "EVAL %s 0",
                         "return #redis.call('KEYS', 'corq:crashes:*')");
}

/* The ids in a queue, from the next one on. */
static bool has_in_line(struct stage *stage, const char *wanted)
{
    return least_gives(stage, wanted, "EVAL %s 1 q",
                       "local ids = '' "
                       "local jobs = redis.call('LRANGE', KEYS[1], 0, -1) "
                       "for i = #jobs, 1, -1 do ids = ids .. "
                       "string.match(jobs[i], '\"(j%d+)\"') end return ids");
}

/* --- counting ------------------------------------------------------------- */

static void all_that_ran_are_counted_and_go_back_in_order(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    recover_play(stage, 4);
    assert_true(has_in_line(stage, "j1j2j3j4"));
    assert_true(
        least_gives(stage, "1 host:2:a", "HMGET corq:crashes:j1 died process"));
    assert_true(least_gives(stage, "1", "HGET corq:crashes:j3 died"));
    assert_int_equal(ncounters(stage), 3);
    assert_in_range(redis_integer(&stage->server, "PTTL corq:crashes:j2"),
                    259200000 - 600000, 259200000);
    /* Nobody is blamed. */
    assert_null(strstr(log_file_read(&file), "crashed"));
    assert_true(least_gives(stage, "0", "EXISTS corq:dead"));
}

static void doing_it_again_counts_no_more(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    recover_play(stage, 4);
    recover_play(stage, 0);
    /* As when it was killed after counting. */
    redis_do(&stage->server, "DEL q");
    fill(stage, "host:2:a", 1, 4);
    recover_play(stage, 4);
    assert_true(least_gives(stage, "1", "HGET corq:crashes:j1 died"));
    fill(stage, "host:2:b", 1, 4);
    recover_play(stage, 4);
    assert_true(least_gives(stage, "2", "HGET corq:crashes:j1 died"));
}

static void the_tenth_end_sets_a_job_aside_and_no_other(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    redis_do(&stage->server,
             "HSET corq:crashes:j2 died 9 process host:2:x crashed 1");
    recover_play(stage, 4);
    assert_true(has_in_line(stage, "j1j3j4"));
    assert_true(least_gives(stage, "1", "ZCARD corq:dead"));
    assert_true(
        least_gives(stage, "10 1", "HMGET corq:crashes:j2 died crashed"));
    char *bytes = redis_text(&stage->server, "EVAL %s 1 corq:dead",
                             "return redis.call('ZRANGE', KEYS[1], 0, 0)[1]");
    assert_non_null(strstr(bytes, "\"jid\":\"j2\""));
    assert_non_null(strstr(bytes, "\"error_class\":\"Killed\""));
    assert_non_null(strstr(bytes, "was running in 10 processes that were "
                                  "killed"));
    free(bytes);
    assert_non_null(strstr(log_file_read(&file),
                           "error job set aside in the dead set: was running "
                           "in 10 processes that were killed queue=q "
                           "process=host:2:a job=1002 jid=j2 class=A"));
}

static void whoever_is_taken_out_of_the_dead_set_begins_anew(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 2);
    redis_do(&stage->server, "HSET corq:crashes:j1 died 10 process host:2:x");
    recover_play(stage, 2);
    assert_true(least_gives(stage, "1", "HGET corq:crashes:j1 died"));
    assert_true(least_gives(stage, "0", "EXISTS corq:dead"));
}

/* --- whom it does not concern --------------------------------------------- */

static void put_raw(struct stage *stage, uint64_t attempt, const char *payload)
{
    recover_put_in(stage, "q", attempt, payload, strlen(payload));
    recover_run_in(0, 1000 + attempt, attempt);
}

static void equal_jobs_without_an_id_are_not_counted(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 1);
    for (uint64_t i = 2; i <= 21; i++)
        put_raw(stage, i, "5");
    put_raw(stage, 30, "unlike others");
    recover_play(stage, 22);
    assert_int_equal(ncounters(stage), 1);
    assert_true(least_gives(stage, "22", "LLEN q"));
}

static void what_has_ended_or_is_nonsense_is_not_counted(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 1);
    recover_run_in(0, 0, 1);  /* has ended */
    recover_run_in(0, 5, 0);  /* was never in flight */
    recover_run_in(0, 6, 77); /* is not any more */
    recover_run_in(99, 7, 1); /* a queue that there is not */
    recover_run_in(0, 8, UINT64_MAX);
    recover_play(stage, 1);
    assert_int_equal(ncounters(stage), 0);
    assert_true(has_in_line(stage, "j1"));
}

/* Between being named and being counted it may be settled: what its process had
 * sent before its end is still carried out. */
static void what_is_settled_meanwhile_is_not_counted(void **state)
{
    struct stage *stage = *state;
    recover_prepare("q");
    put_job(stage, 1);
    assert_true(
        least_gives(stage, "0 1",
                    "EVAL %s 3 " DEAD_INFLIGHT(
                        "q") " a b died host:2:a "
                             "1000 10 0000000000000002 0000000000000001",
                    script_count.text));
    assert_true(least_gives(stage, "0 1", "EVAL %s 0",
                            "return {redis.call('EXISTS', 'a'), "
                            "redis.call('EXISTS', 'b')}"));
}

/* --- many, and large ones ------------------------------------------------- */

static int recover_by_proxy(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, proxy_port(stage->proxy));
    size_t nbefore = proxy_nanswered(stage->proxy);
    expect_that(recover_now(stage) == 301);
    expect_that(proxy_nanswered(stage->proxy) - nbefore < 100000);
    coro_redis_stop(stage->redis);
    return 0;
}

static void of_many_and_large_ones_no_payload_is_fetched(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 301);
    redis_do(&stage->server, "EVAL %s 1 " OWNER_INFLIGHT_PREFIX "host:2:a:q",
             "for i = 1, 301 do redis.call('HSET', KEYS[1], "
             "string.format('%016d', i), '{\"class\":\"A\",\"args\":[\"' .. "
             "string.rep('x', 20000) .. '\"],\"jid\":\"j' .. i .. '\"}') end");
    /* One of the first that are counted, so that there are others after it. */
    redis_do(&stage->server, "SET corq:crashes:j1 nonsense");
    stage->proxy = proxy_start(stage->server.port);
    stage_play(stage, recover_by_proxy);
    assert_int_equal(ncounters(stage), 300);
    assert_true(least_gives(stage, "301", "LLEN q"));
}

/* --- what goes wrong ------------------------------------------------------ */

static void one_counter_of_the_wrong_type_hurts_no_other(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    redis_do(&stage->server, "SET corq:crashes:j2 nonsense");
    recover_play(stage, 4);
    assert_true(has_in_line(stage, "j1j2j3j4"));
    assert_true(least_gives(stage, "1", "HGET corq:crashes:j3 died"));
    assert_non_null(strstr(log_file_read(&file),
                           "that jobs ran in a process that was killed can't "
                           "be counted: WRONGTYPE"));
}

static void a_dead_set_that_is_none_has_it_go_back(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    redis_do(&stage->server, "HSET corq:crashes:j2 died 9 process host:2:x");
    redis_do(&stage->server, "SET corq:dead nonsense");
    recover_play(stage, 4);
    assert_true(has_in_line(stage, "j1j2j3j4"));
    assert_non_null(strstr(log_file_read(&file),
                           "a job that was running in processes that were "
                           "killed can't be set aside: WRONGTYPE"));
}

static void a_full_server_lets_it_be_done(void **state)
{
    struct stage *stage = *state;
    fill(stage, "host:2:a", 1, 4);
    redis_do(&stage->server, "HSET corq:crashes:j2 died 9 process host:2:x");
    least_fill_server(stage, true);
    recover_play(stage, 4);
    least_fill_server(stage, false);
    assert_true(has_in_line(stage, "j1j3j4"));
    assert_true(least_gives(stage, "1", "HGET corq:crashes:j1 died"));
    assert_true(least_gives(stage, "1", "ZCARD corq:dead"));
}

/* --- names ---------------------------------------------------------------- */

/* A job, and how it is known; NULL: by its bytes. */
struct named {
    const char *payload;
    const char *name;
};

static const struct named named[] = {
    {"{\"class\":\"A\",\"args\":[],\"jid\":\"b1\"}", "jb1"},
    {"{\"jid\":\"b1\",\"class\":\"A\"}", "jb1"},
    {" {\n\"jid\" : \"b1\" ,\t\"class\" : \"A\" } ", "jb1"},
    {"{\"jid\":\"b1\",\"corq\":{\"key\":\"q\",\"payload\":\"5\"}}", "jb1"},
    {"{\"corq\":{\"jid\":\"no\",\"key\":\"q\"},\"jid\":\"b1\"}", "jb1"},
    /* members of members, and strings that look like them */
    {"{\"class\":\"A\",\"args\":[{\"jid\":\"no\"}]}", NULL},
    {"{\"class\":\"A\",\"args\":[\"jid\",\"no\"],\"jid\":\"b1\"}", "jb1"},
    {"{\"class\":\"A\",\"x\":\"\\\",\\\"jid\\\":\\\"no\\\"\"}", NULL},
    {"{\"class\":\"\\\\\",\"jid\":\"b1\"}", "jb1"},
    {"{\"class\":\"\\\\\\\"\",\"x\":\"\\\\\",\"jid\":\"b1\"}", "jb1"},
    {"{\"class\":\"A\",\"args\":[[[]],{\"a\":{}}],\"jid\":\"b1\"}", "jb1"},
    {"{\"x\":\"jid\",\"class\":\"A\",\"jid\":\"b1\"}", "jb1"},
    {"{\"jid\":\"no\",\"class\":\"A\",\"jid\":\"b1\"}", "jb1"},
    /* no id, or no job that could have one */
    {"{\"class\":\"A\"}", NULL},
    {"{\"class\":\"A\",\"jid\":\"\"}", NULL},
    {"{\"class\":\"A\",\"jid\":5}", NULL},
    {"{\"class\":\"A\",\"jid\":null}", NULL},
    {"{\"class\":5,\"jid\":\"no\"}", NULL},
    {"{\"jid\":\"no\"}", NULL},
    {"[\"class\",\"A\",\"jid\",\"no\"]", NULL},
    {"\"class\":\"A\",\"jid\":\"no\"", NULL},
    {"5", NULL},
    {"", NULL},
    {"{", NULL},
    {"{\"class\":\"A\",\"jid\":\"no", NULL},
    {"{\"class\":\"A\",\"jid\":\"no\\", NULL},
    {"{\"class\":\"A\",\"jid\":\"b1\"", NULL},
    {"{}}}}\"class\":\"A\",\"jid\":\"no\"", NULL},
    {"not a job", NULL},
};

/* How Redis names @payload; to be freed. */
static char *name_of(struct stage *stage, const char *payload)
{
    redis_do(&stage->server, "HSET x 1 %b", payload, strlen(payload));
    redisReply *reply =
        redis_reply(&stage->server, "EVAL %s 1 x 100 1", script_identify.text);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    char *name = strdup(reply->element[0]->str);
    freeReplyObject(reply);
    return name;
}

static void assert_named(struct stage *stage, const char *payload,
                         const char *wanted)
{
    char digest[42];
    char *name = name_of(stage, payload);
    if (!wanted) {
        char *sha = redis_text(&stage->server, "EVAL %s 0 %b",
                               "return redis.sha1hex(ARGV[1])", payload,
                               strlen(payload));
        snprintf(digest, sizeof digest, "d%s", sha);
        free(sha);
        wanted = digest;
    }
    if (strcmp(name, wanted) != 0)
        fail_msg("%.100s: '%s', expected '%s'", payload, name, wanted);
    free(name);
}

static void a_job_is_known_by_its_id_or_else_by_its_bytes(void **state)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        assert_named(*state, named[i].payload, named[i].name);
}

static void an_id_that_is_no_plain_word_is_digested(void **state)
{
    static const char *const ids[] = {"a b", "\xc3\xa9", "a\\u0000b", "*"};
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char payload[100];
        snprintf(payload, sizeof payload, "{\"class\":\"A\",\"jid\":\"%s\"}",
                 ids[i]);
        char *name = name_of(stage, payload);
        assert_int_equal(name[0], 'j');
        assert_int_equal(strlen(name), 41);
        assert_int_equal(strspn(name + 1, "0123456789abcdef"), 40);
        free(name);
    }
    char payload[200];
    snprintf(payload, sizeof payload, "{\"class\":\"A\",\"jid\":\"%065d\"}", 1);
    char *name = name_of(stage, payload);
    assert_int_equal(strlen(name), 41);
    free(name);
}

/* What stands before an id, a million times. */
struct piece {
    const char *begin;
    const char *piece;
    const char *end;
    char kind; /* of the name */
};

static void nobody_has_redis_look_for_an_id_without_end(void **state)
{
    static const struct piece pieces[] = {
        {"", "[],", "1", 'd'},           {"", "\"\",", "1", 'd'},
        {"\"", "\\\"", "\"", 'd'},       {"\"", "\\\\", "\"", 'd'},
        {"\"", "0123456789", "\"", 'j'}, {"", "12345,", "1", 'j'},
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        redis_do(&stage->server, "EVAL %s 1 x %s %s %s",
                 "redis.call('HSET', KEYS[1], '1', "
                 "'{\"class\":\"A\",\"args\":[' .. ARGV[1] .. "
                 "string.rep(ARGV[2], 1000000) .. ARGV[3] .. "
                 "'],\"jid\":\"b1\"}')",
                 pieces[i].begin, pieces[i].piece, pieces[i].end);
        int64_t start_ms = coro_now_ms();
        redisReply *reply = redis_reply(&stage->server, "EVAL %s 1 x 100 1",
                                        script_identify.text);
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_int_equal(reply->element[0]->str[0], pieces[i].kind);
        freeReplyObject(reply);
        assert_true(coro_now_ms() - start_ms < PATIENCE_MS);
    }
}

static int identify_large_ones(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    struct owner_queue queue;
    expect_that(owner_queue_init(&queue, DEAD, "q", 1) == 0);
    struct charge charge = {
        .redis = stage->redis,
        .process = DEAD,
        .queue = &queue,
        .deadline_ms = coro_after(PATIENCE_MS),
    };
    struct charge_job jobs[8] = {{.number = 0}};
    for (size_t i = 0; i < 8; i++)
        owner_format_attempt(jobs[i].attempt, i + 1);
    expect_that(charge_identify(&charge, jobs, 8) == 0);
    for (size_t i = 0; i < 8; i++)
        expect_that(jobs[i].name[0] == (i == 4 ? '\0' : 'd'));
    expect_that(strcmp(jobs[0].name, jobs[7].name) != 0);
    owner_queue_release(&queue);
    coro_redis_stop(stage->redis);
    return 0;
}

static void large_ones_are_looked_at_a_few_at_a_time(void **state)
{
    struct stage *stage = *state;
    redis_do(
        &stage->server, "EVAL %s 1 " DEAD_INFLIGHT("q"),
        "for i = 1, 8 do if i ~= 5 then redis.call('HSET', KEYS[1], "
        "string.format('%016d', i), i .. string.rep('x', 600000)) end end");
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, identify_large_ones);
    char *info = redis_text(&stage->server, "INFO commandstats");
    const char *at = strstr(info, "cmdstat_evalsha:calls=");
    assert_non_null(at);
    assert_in_range(atoi(strchr(at, '=') + 1), 6, 9);
    free(info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECOVER_TEST(all_that_ran_are_counted_and_go_back_in_order),
        RECOVER_TEST(doing_it_again_counts_no_more),
        RECOVER_TEST(the_tenth_end_sets_a_job_aside_and_no_other),
        RECOVER_TEST(whoever_is_taken_out_of_the_dead_set_begins_anew),
        RECOVER_TEST(equal_jobs_without_an_id_are_not_counted),
        RECOVER_TEST(what_has_ended_or_is_nonsense_is_not_counted),
        RECOVER_TEST(what_is_settled_meanwhile_is_not_counted),
        RECOVER_TEST(of_many_and_large_ones_no_payload_is_fetched),
        RECOVER_TEST(one_counter_of_the_wrong_type_hurts_no_other),
        RECOVER_TEST(a_dead_set_that_is_none_has_it_go_back),
        RECOVER_TEST(a_full_server_lets_it_be_done),
        RECOVER_TEST(a_job_is_known_by_its_id_or_else_by_its_bytes),
        RECOVER_TEST(an_id_that_is_no_plain_word_is_digested),
        RECOVER_TEST(nobody_has_redis_look_for_an_id_without_end),
        RECOVER_TEST(large_ones_are_looked_at_a_few_at_a_time),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
