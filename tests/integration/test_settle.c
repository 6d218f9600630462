#include <jansson.h>

#include "coro/sched/group.h"
#include "master/queue/settle.h"
#include "tests/integration/redis_stage.h"
#include "tests/support/scale.h"
#include "tests/unit/worker/log_file.h"

static const struct job_queue queue = {.key = "mail", .key_len = 4};
static const struct job_queue other = {.key = "oth\0r", .key_len = 5};

static struct log_file file;

/* What settles, beside the stage. */
struct settling {
    struct coro_group group;
    struct settle settle;
    uint64_t nmade;
    size_t nsettled;
};

static struct settling settling;

static void note_settled(void *argument)
{
    (void)argument;
    settling.nsettled++;
}

/* Connects to @port and starts to settle. */
static struct settle *begin(struct stage *stage, uint16_t port)
{
    settling = (struct settling){.nmade = 0};
    stage_connect(stage, port);
    coro_group_init(&settling.group, coro_loop_current());
    const struct settle_options options = {
        .mode = &settle_at_most_once,
        .group = &settling.group,
        .redis = stage->redis,
        .process = "host:1:ab",
        .on_settled = note_settled,
    };
    expect_that(settle_start(&settling.settle, &options) == 0);
    return &settling.settle;
}

static void end(struct stage *stage)
{
    expect_that(settle_wait_empty(&settling.settle, coro_after(PATIENCE_MS)) ==
                0);
    coro_group_close(&settling.group);
    settle_release(&settling.settle);
    coro_redis_stop(stage->redis);
}

static struct job *make(const struct job_queue *from, const char *payload,
                        size_t len)
{
    return job_new(from, ++settling.nmade, payload, len);
}

/* A job that failed, with its number as its payload. */
static struct job *make_failed(void)
{
    char number[24];
    int len = snprintf(number, sizeof number, "%llu",
                       (unsigned long long)settling.nmade + 1);
    struct job *job = make(&queue, number, (size_t)len);
    job_fail(job, "Bad", "job %s", number);
    return job;
}

static struct job *make_numbered(size_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%zu", number);
    return make(&queue, text, (size_t)len);
}

static int open_settle(void **state)
{
    (void)state;
    log_file_open(&file);
    return 0;
}

static int open_settle_behind_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return open_settle(state);
}

static int close_settle(void **state)
{
    log_file_close(&file);
    return stage_clear(state);
}

/* --- the dead set --------------------------------------------------------- */

static int one_dead(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    struct job *job = make(&other, "a\0\xff", 3);
    job_fail(job, "BadPayload", "found %s", "nonsense");
    settle_failed(settle, job);
    end(stage);
    expect_that(settling.nsettled == 1);
    return 0;
}

static void a_dead_job_is_kept_with_its_reason_and_its_bytes(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, one_dead);
    redisReply *reply =
        redis_reply(&stage->server, "ZRANGE corq:dead 0 -1 WITHSCORES");
    assert_int_equal(reply->elements, 2);
    json_t *root = json_loads(reply->element[0]->str, 0, NULL);
    const char *class = NULL, *message = NULL, *payload64 = NULL, *key64 = NULL;
    double failed_at = 0;
    assert_int_equal(json_unpack(root, "{s:s,s:s,s:F,s:{s:s,s:s}}",
                                 "error_class", &class, "error_message",
                                 &message, "failed_at", &failed_at, "corq",
                                 "payload64", &payload64, "key64", &key64),
                     0);
    assert_string_equal(class, "BadPayload");
    assert_string_equal(message, "found nonsense");
    assert_string_equal(payload64, "YQD/");
    assert_string_equal(key64, "b3RoAHI=");
    double score = strtod(reply->element[1]->str, NULL);
    assert_true(score > failed_at - 0.001 && score < failed_at + 0.001);
    json_decref(root);
    freeReplyObject(reply);
    assert_non_null(
        strstr(log_file_read(&file),
               "job set aside in corq:dead: found nonsense error=BadPayload"));
}

static int many_dead(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    for (size_t i = 0; i < 3000; i++)
        settle_failed(settle, make_failed());
    end(stage);
    expect_that(settling.nsettled == 3000);
    return 0;
}

static void many_dead_jobs_are_written_in_batches(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, many_dead);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 3000);
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool is_batched = strstr(info, "cmdstat_evalsha:calls=3,");
    free(info);
    assert_true(is_batched);
}

static int two_large_dead(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    size_t len = (size_t)3 << 20;
    char *bytes = calloc(1, len);
    for (int i = 0; i < 2; i++)
        settle_failed(settle, make(&queue, bytes, len));
    free(bytes);
    end(stage);
    return 0;
}

static void large_dead_jobs_go_one_at_a_time(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, two_large_dead);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 2);
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool is_single = strstr(info, "cmdstat_evalsha:calls=2,");
    free(info);
    assert_true(is_single);
}

static int one_more_dead(void *argument)
{
    struct stage *stage = argument;
    settle_failed(begin(stage, stage->server.port), make_failed());
    end(stage);
    return 0;
}

/* Entries x1 to x10005, the first of them from @age_s seconds ago. */
static void fill_dead(struct stage *stage, int64_t age_s)
{
    redis_do(&stage->server, "EVAL %s 0 %lld",
             "for i = 1, 10005 do redis.call('ZADD', 'corq:dead', "
             "tonumber(ARGV[1]) + i / 1000, 'x' .. i) end return 1",
             (long long)(coro_wall_us() / 1000000 - age_s));
}

static void what_was_just_set_aside_is_not_trimmed(void **state)
{
    struct stage *stage = *state;
    fill_dead(stage, 100);
    stage_play(stage, one_more_dead);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 10006);
}

static void the_dead_set_is_trimmed_by_number_and_by_age(void **state)
{
    struct stage *stage = *state;
    fill_dead(stage, 86400);
    redis_do(&stage->server, "ZADD corq:dead 1000 old");
    stage_play(stage, one_more_dead);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 10000);
    char *old = redis_text(&stage->server, "ZSCORE corq:dead old");
    char *first = redis_text(&stage->server, "ZSCORE corq:dead x5");
    char *last = redis_text(&stage->server, "ZSCORE corq:dead x10005");
    assert_null(old);
    assert_null(first);
    assert_non_null(last);
    free(last);
}

static int repair_dead(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    settle_failed(settle, make_failed());
    settle_give_back(settle, make_numbered(7));
    expect_that(settle_wait_empty(settle, coro_after(200)) == -ETIMEDOUT);
    /* What goes elsewhere is not held up. */
    expect_that(redis_integer(&stage->server, "LLEN mail") == 1);
    expect_that(redis_integer(&stage->server, "DEL corq:dead") == 1);
    end(stage);
    return 0;
}

static void a_dead_set_of_the_wrong_type_is_waited_for(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET corq:dead nonsense");
    stage_play(stage, repair_dead);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 1);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "settling jobs: can't write to corq:dead"));
    assert_non_null(strstr(text, "settling jobs: works again"));
}

/* --- giving back ---------------------------------------------------------- */

static int give_back_some(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    for (size_t i = 1; i <= 250; i++)
        settle_give_back(settle, make_numbered(i));
    end(stage);
    expect_that(settling.nsettled == 250);
    return 0;
}

/* Takes from @key as a worker does: 1, 2, … up to @nitems, then nothing. */
static void assert_numbered(struct stage *stage, const char *key, size_t nitems)
{
    for (size_t i = 1; i <= nitems; i++) {
        char *text = redis_text(&stage->server, "RPOP %s", key);
        assert_non_null(text);
        size_t number = strtoul(text, NULL, 10);
        free(text);
        assert_int_equal(number, i);
    }
    assert_int_equal(redis_integer(&stage->server, "EXISTS %s", key), 0);
}

static void what_was_taken_first_is_taken_first_again(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH mail 251");
    stage_play(stage, give_back_some);
    assert_numbered(stage, "mail", 251);
}

static int give_back_to_two(void *argument)
{
    static const struct job_queue second = {.key = "second", .key_len = 6};
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    for (size_t i = 1; i <= 30; i++) {
        struct job *job = make_numbered(i);
        settle_give_back(settle, job);
        settle_give_back(settle, make(&second, job->payload, job->payload_len));
    }
    settle_give_back(settle, make(&other, "x\0y", 3));
    end(stage);
    return 0;
}

static void each_queue_gets_its_own_jobs_in_order(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, give_back_to_two);
    assert_numbered(stage, "mail", 30);
    assert_numbered(stage, "second", 30);
    redisReply *reply =
        redis_reply(&stage->server, "RPOP %b", "oth\0r", (size_t)5);
    assert_int_equal(reply->len, 3);
    assert_memory_equal(reply->str, "x\0y", 3);
    freeReplyObject(reply);
}

static int answer_swallowed(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_SWALLOW);
    size_t nanswered = proxy_nanswered(stage->proxy);
    for (size_t i = 1; i <= 20; i++)
        settle_give_back(settle, make_numbered(i));
    settle_failed(settle, make_failed());
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    while (proxy_nanswered(stage->proxy) == nanswered &&
           coro_now_ms() < deadline_ms)
        coro_sleep(1);
    expect_that(settling.nsettled == 0);
    /* The script has run, its answer is gone; now the connection goes, too. */
    proxy_set_mode(stage->proxy, PROXY_PASS);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    end(stage);
    expect_that(settling.nsettled == 21);
    return 0;
}

static void a_batch_whose_answer_was_lost_is_written_once(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, answer_swallowed);
    assert_numbered(stage, "mail", 20);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 1);
    redis_do(&stage->server, "DEL corq:dead");
    redisReply *marks = redis_reply(&stage->server, "KEYS *");
    assert_int_equal(marks->elements, 1);
    long long left_ms =
        redis_integer(&stage->server, "PTTL %s", marks->element[0]->str);
    freeReplyObject(marks);
    assert_true(left_ms > 0 && left_ms <= 86400000);
}

static void a_queue_that_is_no_list_has_its_jobs_set_aside(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET mail nonsense");
    stage_play(stage, give_back_some);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 250);
    redisReply *reply = redis_reply(&stage->server, "ZRANGE corq:dead 0 0");
    assert_non_null(
        strstr(reply->element[0]->str, "\"error_class\":\"NotGivenBack\""));
    freeReplyObject(reply);
    redis_do(&stage->server, "DEL corq:dead mail");
    assert_int_equal(redis_integer(&stage->server, "DBSIZE"), 0);
}

static int settle_both(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, stage->server.port);
    settle_give_back(settle, make_numbered(1));
    settle_failed(settle, make_failed());
    end(stage);
    return 0;
}

static void a_server_out_of_memory_still_takes_both(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG SET maxmemory 1");
    redisReply *reply = redis_reply(&stage->server, "SET x y");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    stage_play(stage, settle_both);
    redis_do(&stage->server, "CONFIG SET maxmemory 0");
    assert_int_equal(redis_integer(&stage->server, "LLEN mail"), 1);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"), 1);
}

/* --- Redis away ----------------------------------------------------------- */

static int give_up(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
    settle_failed(settle, make_failed());
    settle_give_back(settle, make(&queue, "line\n", 5));
    expect_that(settle_wait_empty(settle, coro_after(30)) == -ETIMEDOUT);
    coro_group_close(&settling.group);
    settle_release(&settling.settle);
    expect_that(settle_give_up(settle) == 2);
    expect_that(settle_give_up(settle) == 0);
    expect_that(settle_wait_empty(settle, coro_after(0)) == 0);
    coro_redis_stop(stage->redis);
    return 0;
}

static void what_is_given_up_is_in_the_log_with_its_bytes(void **state)
{
    stage_play(*state, give_up);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "Redis could not be told what became of this "
                                 "job: Bad queue=mail job=1 bytes=1 payload="));
    assert_non_null(
        strstr(text, "this job: not started queue=mail job=2 bytes=5"));
    assert_non_null(strstr(text, "line\\x0a"));
}

static int wait_for_redis(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = begin(stage, proxy_port(stage->proxy));
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    proxy_cut(stage->proxy, PROXY_CUT_END);
    for (size_t i = 1; i <= 5; i++)
        settle_give_back(settle, make_numbered(i));
    expect_that(settle_wait_empty(settle, coro_after(30)) == -ETIMEDOUT);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    end(stage);
    return 0;
}

static void what_could_not_be_written_waits_for_redis(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, wait_for_redis);
    assert_numbered(stage, "mail", 5);
}

int main(void)
{
#define SETTLE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_settle, close_settle)
#define PROXY_TEST(name)                                            \
    cmocka_unit_test_setup_teardown(name, open_settle_behind_proxy, \
                                    close_settle)
    const struct CMUnitTest tests[] = {
        SETTLE_TEST(a_dead_job_is_kept_with_its_reason_and_its_bytes),
        SETTLE_TEST(many_dead_jobs_are_written_in_batches),
        SETTLE_TEST(large_dead_jobs_go_one_at_a_time),
        SETTLE_TEST(the_dead_set_is_trimmed_by_number_and_by_age),
        SETTLE_TEST(what_was_just_set_aside_is_not_trimmed),
        SETTLE_TEST(a_dead_set_of_the_wrong_type_is_waited_for),
        SETTLE_TEST(what_was_taken_first_is_taken_first_again),
        SETTLE_TEST(each_queue_gets_its_own_jobs_in_order),
        PROXY_TEST(a_batch_whose_answer_was_lost_is_written_once),
        SETTLE_TEST(a_queue_that_is_no_list_has_its_jobs_set_aside),
        SETTLE_TEST(a_server_out_of_memory_still_takes_both),
        PROXY_TEST(what_is_given_up_is_in_the_log_with_its_bytes),
        PROXY_TEST(what_could_not_be_written_waits_for_redis),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
