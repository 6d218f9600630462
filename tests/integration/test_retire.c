/*
 * Where failed jobs go, and that the programs which share a queue can read what
 * they find there.
 */
#include <jansson.h>

#include "tests/integration/least_stage.h"

#define PRIVATE LEAST_INFLIGHT("mail")
#define SHARED  LEAST_INFLIGHT("queue:mail")

/* The queues by number. */
enum { MAIL, QUEUE_MAIL };

/* A failure that a script plays: the job, and how it fails. */
struct failure {
    size_t queue;
    const char *payload;
    bool is_permanent;
    int64_t delay_ms;
};

static struct failure failure;

static int fail_it(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, stage->server.port);
    struct job *job = least_make(failure.queue, 1, failure.payload);
    job->outcome = failure.is_permanent ? job_fail(job, "Bad", "for good")
                                        : job_retry(job, failure.delay_ms,
                                                    "Timeout", "after %d s", 5);
    settle_outcome(settle, job);
    least_close_settle(stage);
    expect_that(least.nsettled == 1 && least.settle.nlost == 0);
    return 0;
}

/* Has one job fail; it is out of flight then. */
static void play_failure(struct stage *stage, struct failure with)
{
    failure = with;
    least_prepare("mail", "queue:mail");
    least_put(stage, with.queue == MAIL ? PRIVATE : SHARED, 1, 1);
    stage_play(stage, fail_it);
    assert_true(least_gives(stage, "0", "EXISTS " PRIVATE " " SHARED));
}

static void play_retry(struct stage *stage, size_t queue, const char *payload)
{
    play_failure(stage, (struct failure){queue, payload, false, -1});
}

static void play_permanent(struct stage *stage, size_t queue,
                           const char *payload)
{
    play_failure(stage, (struct failure){queue, payload, true, -1});
}

/* --- what is found then --------------------------------------------------- */

static double now_s(void)
{
    return (double)coro_wall_us() / 1e6;
}

/* The one member of a set: its bytes, to be freed, and its score. */
static char *only_member(struct stage *stage, const char *set,
                         double *ret_score)
{
    redisReply *reply =
        redis_reply(&stage->server, "ZRANGE %s 0 -1 WITHSCORES", set);
    if (reply->elements != 2)
        fail_msg("%s has %zu entries, expected one", set, reply->elements / 2);
    *ret_score = strtod(reply->element[1]->str, NULL);
    char *bytes = strdup(reply->element[0]->str);
    freeReplyObject(reply);
    return bytes;
}

static json_t *load(const char *bytes)
{
    json_t *root = json_loads(bytes, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(root);
    return root;
}

/* A time that readers of every version take for seconds: the newest goes by
 * the type, a whole number would be milliseconds to it. */
static void assert_is_now(const json_t *time)
{
    assert_true(json_is_real(time));
    assert_true(json_real_value(time) > now_s() - 60);
    assert_true(json_real_value(time) < now_s() + 1);
}

/* What the pages of these programs need of an entry of `retry` or `dead`. */
static void assert_is_readable(const json_t *root)
{
    const json_t *jid = json_object_get(root, "jid");
    assert_true(json_is_string(jid) && json_string_length(jid) > 0);
    assert_true(json_is_string(json_object_get(root, "class")));
    assert_true(json_is_array(json_object_get(root, "args")));
    assert_true(json_is_string(json_object_get(root, "error_class")));
    assert_true(json_is_string(json_object_get(root, "error_message")));
    assert_string_equal(json_string_value(json_object_get(root, "queue")),
                        "mail");
    const json_t *count = json_object_get(root, "retry_count");
    assert_true(json_is_integer(count));
    if (json_integer_value(count) == 0)
        assert_is_now(json_object_get(root, "failed_at"));
    else
        assert_is_now(json_object_get(root, "retried_at"));
}

static long long integer_of(const json_t *root, const char *name)
{
    assert_true(json_is_integer(json_object_get(root, name)));
    return json_integer_value(json_object_get(root, name));
}

static const char *text_of(const json_t *root, const char *name)
{
    assert_true(json_is_string(json_object_get(root, name)));
    return json_string_value(json_object_get(root, name));
}

/* --- shared queues -------------------------------------------------------- */

static void a_shared_job_is_retried_as_others_would(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, QUEUE_MAIL,
               "{\"class\":\"A\",\"args\":[9007199254740993],\"jid\":\"j1\","
               "\"own\":{\"b\":1, \"a\":2}}");
    double score;
    char *bytes = only_member(stage, "retry", &score);
    assert_in_range((int64_t)(score - now_s()), 13, 25);
    json_t *root = load(bytes);
    assert_is_readable(root);
    assert_string_equal(text_of(root, "jid"), "j1");
    assert_int_equal(integer_of(root, "retry_count"), 0);
    assert_string_equal(text_of(root, "error_class"), "Timeout");
    assert_string_equal(text_of(root, "error_message"), "after 5 s");
    assert_null(json_object_get(root, "corq"));
    json_decref(root);
    assert_non_null(strstr(bytes, "\"args\":[9007199254740993]"));
    assert_non_null(strstr(bytes, "\"own\":{\"b\":1, \"a\":2}"));
    free(bytes);
    assert_true(least_gives(stage, "0", "EXISTS corq:retry corq:dead dead"));
}

static void later_failures_count_on(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, QUEUE_MAIL,
               "{\"class\":\"A\",\"args\":[],\"jid\":\"j1\",\"retry_count\":3,"
               "\"failed_at\":1725490519.500000}");
    double score;
    char *bytes = only_member(stage, "retry", &score);
    assert_in_range((int64_t)(score - now_s()), 269, 271 + 50);
    json_t *root = load(bytes);
    assert_is_readable(root);
    assert_int_equal(integer_of(root, "retry_count"), 4);
    json_decref(root);
    assert_non_null(strstr(bytes, "\"failed_at\":1725490519.500000"));
    free(bytes);
}

static void an_exhausted_shared_job_is_dead_for_all(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, QUEUE_MAIL,
               "{\"class\":\"A\",\"args\":[],\"jid\":\"j1\","
               "\"retry_count\":24}");
    double score;
    char *bytes = only_member(stage, "dead", &score);
    assert_true(score > now_s() - 60 && score < now_s() + 1);
    json_t *root = load(bytes);
    assert_is_readable(root);
    assert_int_equal(integer_of(root, "retry_count"), 25);
    json_decref(root);
    free(bytes);
    assert_true(least_gives(stage, "0", "EXISTS retry corq:dead"));
}

static void a_retry_queue_of_its_own_is_where_it_goes(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, QUEUE_MAIL,
               "{\"class\":\"A\",\"args\":[],\"jid\":\"j\","
               "\"queue\":\"mail\",\"retry_queue\":\"slow\"}");
    double score;
    char *bytes = only_member(stage, "retry", &score);
    assert_non_null(strstr(bytes, "\"queue\":\"slow\""));
    free(bytes);
}

static void a_raw_job_of_a_shared_queue_is_kept_from_others(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, QUEUE_MAIL, "not a job");
    assert_true(least_gives(stage, "0", "EXISTS retry dead"));
    double score;
    char *bytes = only_member(stage, "corq:retry", &score);
    json_t *root = load(bytes);
    const json_t *own = json_object_get(root, "corq");
    assert_string_equal(text_of(own, "key"), "queue:mail");
    assert_string_equal(text_of(own, "payload"), "not a job");
    json_decref(root);
    free(bytes);
}

/* --- queues of our own ---------------------------------------------------- */

static void a_raw_job_is_retried_in_an_envelope(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, MAIL, "not a job");
    assert_true(least_gives(stage, "0", "EXISTS retry dead corq:dead"));
    double score;
    char *bytes = only_member(stage, "corq:retry", &score);
    assert_in_range((int64_t)(score - now_s()), 13, 25);
    json_t *root = load(bytes);
    assert_int_equal(strlen(text_of(root, "jid")), 24);
    assert_int_equal(integer_of(root, "retry_count"), 0);
    assert_is_now(json_object_get(root, "failed_at"));
    assert_string_equal(text_of(json_object_get(root, "corq"), "payload"),
                        "not a job");
    json_decref(root);
    free(bytes);
}

static void a_described_job_without_an_id_gets_one(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, MAIL, "{\"class\":\"A\",\"args\":[1]}");
    double score;
    char *bytes = only_member(stage, "corq:retry", &score);
    json_t *root = load(bytes);
    assert_int_equal(strlen(text_of(root, "jid")), 24);
    assert_string_equal(text_of(json_object_get(root, "corq"), "key"), "mail");
    json_decref(root);
    free(bytes);
}

static void a_handler_s_delay_is_the_score(void **state)
{
    struct stage *stage = *state;
    double before = now_s();
    play_failure(stage, (struct failure){MAIL, "x", false, 86400000});
    double after = now_s(), score;
    free(only_member(stage, "corq:retry", &score));
    assert_true(score > before + 86399.999 && score < after + 86400.001);
}

static int fail_alike(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, stage->server.port);
    for (uint64_t attempt = 1; attempt <= 20; attempt++) {
        struct job *job = least_make(
            MAIL, attempt, attempt % 2 ? "x" : "{\"class\":\"A\",\"args\":[]}");
        job->outcome = job_retry(job, 1000, "Timeout", "again");
        settle_outcome(settle, job);
    }
    least_close_settle(stage);
    return 0;
}

static void equal_jobs_do_not_become_one(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail", "queue:mail");
    least_put(stage, PRIVATE, 1, 20);
    stage_play(stage, fail_alike);
    assert_true(least_gives(stage, "20", "ZCARD corq:retry"));
}

static void who_moves_due_jobs_is_woken(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, MAIL, "x");
    assert_true(least_gives(stage, "1", "LRANGE corq:wake 0 -1"));
    assert_true(redis_integer(&stage->server, "PTTL corq:wake") > 0);
}

/* --- nowhere -------------------------------------------------------------- */

static void retry_false_goes_nowhere(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, MAIL, "{\"class\":\"A\",\"retry\":false}");
    play_permanent(stage, QUEUE_MAIL, "{\"class\":\"A\",\"retry\":false}");
    assert_true(least_gives(stage, "0", "DBSIZE"));
    assert_non_null(
        strstr(log_file_read(&file), "job dropped, as it says itself"));
}

static void dead_false_goes_nowhere_in_the_end(void **state)
{
    struct stage *stage = *state;
    play_permanent(stage, QUEUE_MAIL, "{\"class\":\"A\",\"dead\":false}");
    play_retry(stage, MAIL, "{\"class\":\"A\",\"dead\":false,\"retry\":0}");
    assert_true(least_gives(stage, "0", "DBSIZE"));
}

/* --- the dead set --------------------------------------------------------- */

static void zero_retries_and_permanent_failures_are_dead(void **state)
{
    struct stage *stage = *state;
    play_retry(stage, MAIL, "{\"class\":\"A\",\"retry\":0}");
    play_permanent(stage, MAIL, "y");
    assert_true(least_gives(stage, "2", "ZCARD corq:dead"));
    assert_true(least_gives(stage, "1", "DBSIZE"));
}

/* Entries x1 to x10005, the first of them from @age_s seconds ago. */
static void fill_dead(struct stage *stage, const char *set, int64_t age_s)
{
    redis_do(&stage->server, "EVAL %s 1 %s %lld",
             "for i = 1, 10005 do redis.call('ZADD', KEYS[1], "
             "tonumber(ARGV[1]) + i / 1000, 'x' .. i) end return 1",
             set, (long long)(coro_wall_us() / 1000000 - age_s));
}

static void both_dead_sets_are_trimmed(void **state)
{
    static const char *const sets[] = {"corq:dead", "dead"};
    struct stage *stage = *state;
    for (size_t i = 0; i < 2; i++) {
        fill_dead(stage, sets[i], 86400);
        redis_do(&stage->server, "ZADD %s 1000 old", sets[i]);
        play_permanent(stage, i, "{\"class\":\"A\",\"args\":[]}");
        assert_true(least_gives(stage, "10000", "ZCARD %s", sets[i]));
        assert_true(
            least_gives(stage, "(nil) (nil)", "ZMSCORE %s old x5", sets[i]));
        assert_true(redis_integer(&stage->server, "ZRANK %s x10005", sets[i]) >
                    0);
    }
    assert_non_null(strstr(log_file_read(&file), "its 7 oldest entries"));
}

static void entries_of_the_last_hour_are_not_trimmed(void **state)
{
    struct stage *stage = *state;
    fill_dead(stage, "corq:dead", 100);
    play_permanent(stage, MAIL, "x");
    assert_true(least_gives(stage, "10006", "ZCARD corq:dead"));
}

/* --- several at once ------------------------------------------------------ */

static int fail_both(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, stage->server.port);
    for (uint64_t attempt = 1; attempt <= 10; attempt++) {
        struct job *job =
            least_make(QUEUE_MAIL, attempt,
                       attempt % 2 ? "x" : "{\"class\":\"A\",\"args\":[]}");
        job->outcome = job_retry(job, 1000, "Timeout", "again");
        settle_outcome(settle, job);
    }
    least_close_settle(stage);
    return 0;
}

static void one_queue_may_fill_both_sets(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail", "queue:mail");
    least_put(stage, SHARED, 1, 10);
    stage_play(stage, fail_both);
    assert_true(least_gives(stage, "0", "EXISTS " SHARED));
    assert_true(least_gives(stage, "5", "ZCARD corq:retry"));
    assert_true(least_gives(stage, "5", "ZCARD retry"));
}

static int fail_two(void *argument)
{
    struct stage *stage = argument;
    struct settle *settle = least_open_settle(stage, stage->server.port);
    for (uint64_t attempt = 1; attempt <= 2; attempt++) {
        struct job *job = least_make(attempt == 1 ? QUEUE_MAIL : MAIL, attempt,
                                     "{\"class\":\"A\",\"args\":[]}");
        job->outcome = job_retry(job, 1000, "Timeout", "again");
        settle_outcome(settle, job);
    }
    expect_that(least_sees(stage, "1", "ZCARD corq:retry"));
    expect_that(least_gives(stage, "1", "HLEN " SHARED));
    redis_do(&stage->server, "DEL retry");
    least_close_settle(stage);
    return 0;
}

static void a_set_of_others_that_is_none_holds_up_no_other(void **state)
{
    struct stage *stage = *state;
    least_prepare("mail", "queue:mail");
    least_put(stage, SHARED, 1, 1);
    least_put(stage, PRIVATE, 2, 2);
    redis_do(&stage->server, "SET retry nonsense");
    stage_play(stage, fail_two);
    assert_true(least_gives(stage, "1", "ZCARD retry"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(a_shared_job_is_retried_as_others_would),
        LEAST_TEST(later_failures_count_on),
        LEAST_TEST(an_exhausted_shared_job_is_dead_for_all),
        LEAST_TEST(a_retry_queue_of_its_own_is_where_it_goes),
        LEAST_TEST(a_raw_job_of_a_shared_queue_is_kept_from_others),
        LEAST_TEST(a_raw_job_is_retried_in_an_envelope),
        LEAST_TEST(a_described_job_without_an_id_gets_one),
        LEAST_TEST(a_handler_s_delay_is_the_score),
        LEAST_TEST(equal_jobs_do_not_become_one),
        LEAST_TEST(who_moves_due_jobs_is_woken),
        LEAST_TEST(retry_false_goes_nowhere),
        LEAST_TEST(dead_false_goes_nowhere_in_the_end),
        LEAST_TEST(zero_retries_and_permanent_failures_are_dead),
        LEAST_TEST(both_dead_sets_are_trimmed),
        LEAST_TEST(entries_of_the_last_hour_are_not_trimmed),
        LEAST_TEST(one_queue_may_fill_both_sets),
        LEAST_TEST(a_set_of_others_that_is_none_holds_up_no_other),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
