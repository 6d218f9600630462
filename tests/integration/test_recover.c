/*
 * Recovering a process that has died of a job: that one is charged, once, and
 * after three crashes it is set aside; all else goes back as it was.
 */
#include <jansson.h>

#include "coro/base/buf.h"
#include "tests/integration/recover_stage.h"
#include "worker/envelope.h"

/* A job, where it comes from, and how it is known. */
struct culprit {
    const char *key;
    const char *payload;
    size_t len;
    const char *counter; /* NULL: by a digest */
    const char *set;     /* where it ends; NULL: nowhere */
};

/* It was job 7 of a process, attempt 3 of it, and that died of it. */
static void crash(struct stage *stage, const struct culprit *culprit,
                  const char *identity)
{
    least_prepare(culprit->key);
    recover_begin(identity);
    recover_put_in(stage, culprit->key, 3, culprit->payload, culprit->len);
    recover_run_in(0, 7, 3);
    recover_crash_by(7);
    recover_play(stage, 1);
}

static const struct culprit plain = {"q", RECOVER_JOB, sizeof RECOVER_JOB - 1,
                                     RECOVER_COUNTER, "corq:dead"};

static bool is_next(struct stage *stage, const struct culprit *culprit)
{
    redisReply *reply = redis_reply(&stage->server, "RPOP %s", culprit->key);
    bool is = reply->type == REDIS_REPLY_STRING && reply->len == culprit->len &&
              memcmp(reply->str, culprit->payload, culprit->len) == 0;
    freeReplyObject(reply);
    return is;
}

/* --- counting ------------------------------------------------------------- */

static void a_crash_is_counted_and_the_job_goes_back(void **state)
{
    struct stage *stage = *state;
    crash(stage, &plain, "host:2:a");
    assert_true(is_next(stage, &plain));
    assert_true(least_gives(stage, "1 host:2:a",
                            "HMGET " RECOVER_COUNTER " crashed process"));
    assert_true(
        recover_logged("job crashed the worker (SIGSEGV at address 0x0), 1 "
                       "of 3: it goes back to its queue queue=q "
                       "process=host:2:a job=7 jid=j-1 class=A"));
    crash(stage, &plain, "host:2:b");
    assert_true(is_next(stage, &plain));
    assert_true(least_gives(stage, "2 host:2:b",
                            "HMGET " RECOVER_COUNTER " crashed process"));
    assert_true(least_gives(stage, "0", "EXISTS corq:dead dead q"));
    assert_true(recover_logged(", 2 of 3: "));
}

static void the_counter_lasts_for_three_days_from_the_first(void **state)
{
    struct stage *stage = *state;
    crash(stage, &plain, "host:2:a");
    long long left_ms = redis_integer(&stage->server, "PTTL " RECOVER_COUNTER);
    assert_in_range(left_ms, 259200000 - 600000, 259200000);
    redis_do(&stage->server, "PEXPIRE " RECOVER_COUNTER " 1000000");
    crash(stage, &plain, "host:2:b");
    left_ms = redis_integer(&stage->server, "PTTL " RECOVER_COUNTER);
    assert_in_range(left_ms, 1, 1000000);
}

/* --- setting aside -------------------------------------------------------- */

static char *only_member(struct stage *stage, const char *set)
{
    redisReply *reply = redis_reply(&stage->server, "ZRANGE %s 0 -1", set);
    if (reply->elements != 1)
        fail_msg("%s has %zu entries, expected one", set, reply->elements);
    char *bytes = strdup(reply->element[0]->str);
    freeReplyObject(reply);
    return bytes;
}

static const char *text_of(const json_t *root, const char *name)
{
    const char *text = json_string_value(json_object_get(root, name));
    return text ? text : "";
}

/* What the envelope @root has is the job, byte for byte. */
static void assert_holds(const char *bytes, const struct culprit *culprit)
{
    struct coro_buf key, payload;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&payload, CORO_BUF_NO_LIMIT);
    assert_int_equal(envelope_read(bytes, strlen(bytes), &key, &payload), 0);
    assert_string_equal(key.data, culprit->key);
    assert_int_equal(payload.len, culprit->len);
    assert_memory_equal(payload.data, culprit->payload, culprit->len);
    coro_buf_release(&key);
    coro_buf_release(&payload);
}

/* Lets it crash three times; returns what is in the dead set. */
static char *crash_thrice(struct stage *stage, const struct culprit *culprit)
{
    for (int i = 1; i <= 3; i++) {
        char identity[16];
        snprintf(identity, sizeof identity, "host:2:%d", i);
        crash(stage, culprit, identity);
        if (i < 3)
            assert_true(is_next(stage, culprit));
        if (culprit->counter)
            assert_true(least_gives(stage,
                                    i == 1   ? "1"
                                    : i == 2 ? "2"
                                             : "3",
                                    "HGET %s crashed", culprit->counter));
    }
    assert_true(least_gives(stage, "0", "EXISTS %s", culprit->key));
    assert_true(least_gives(stage, "", "KEYS corq:in*"));
    if (!culprit->set)
        return NULL;
    char *bytes = only_member(stage, culprit->set);
    json_t *root = json_loads(bytes, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(root);
    assert_string_equal(text_of(root, "error_class"), "Crashed");
    assert_string_equal(text_of(root, "error_message"),
                        "crashed the worker 3 times (SIGSEGV at address 0x0)");
    assert_true(strlen(text_of(root, "jid")) > 0);
    json_decref(root);
    return bytes;
}

static void the_third_crash_sets_a_job_aside(void **state)
{
    struct stage *stage = *state;
    char *bytes = crash_thrice(stage, &plain);
    assert_non_null(
        strstr(bytes, "\"args\":[9007199254740993],\"jid\":\"j-1\""));
    assert_non_null(strstr(bytes, "\"corq\":{\"key\":\"q\"}"));
    free(bytes);
    assert_true(
        recover_logged("error job set aside in the dead set: crashed the "
                       "worker 3 times (SIGSEGV at address 0x0) queue=q "
                       "process=host:2:3 job=7 jid=j-1 class=A"));
}

static void a_job_of_a_shared_queue_is_dead_where_others_look(void **state)
{
    struct culprit culprit = plain;
    culprit.key = "queue:mail";
    culprit.set = "dead";
    char *bytes = crash_thrice(*state, &culprit);
    assert_non_null(strstr(bytes, "\"queue\":\"mail\""));
    assert_non_null(strstr(bytes, "\"retry_count\":0"));
    free(bytes);
    assert_true(least_gives((struct stage *)*state, "0", "EXISTS corq:dead"));
}

static void a_raw_job_is_known_by_its_bytes(void **state)
{
    struct culprit culprit = {"queue:mail", "not a job", 9, NULL, "corq:dead"};
    struct stage *stage = *state;
    char counter[60];
    char *digest = redis_text(&stage->server, "EVAL %s 0 %s",
                              "return redis.sha1hex(ARGV[1])", culprit.payload);
    snprintf(counter, sizeof counter, "corq:crashes:%s", digest);
    free(digest);
    culprit.counter = counter;
    char *bytes = crash_thrice(stage, &culprit);
    assert_holds(bytes, &culprit);
    free(bytes);
    assert_true(recover_logged("class=(raw)"));
}

static void binary_jobs_and_those_without_an_id_too(void **state)
{
    static const char without[] = "{\"class\":\"A\",\"args\":[1]}";
    static const char binary[] = {'{', 0, '\xff', '\n', '"'};
    struct stage *stage = *state;
    struct culprit culprit = {"q", without, sizeof without - 1, NULL,
                              "corq:dead"};
    char *bytes = crash_thrice(stage, &culprit);
    assert_non_null(strstr(bytes, "\"class\":\"A\",\"args\":[1]"));
    free(bytes);
    redis_do(&stage->server, "FLUSHALL");
    culprit = (struct culprit){"q", binary, sizeof binary, NULL, "corq:dead"};
    bytes = crash_thrice(stage, &culprit);
    assert_holds(bytes, &culprit);
    free(bytes);
    redis_do(&stage->server, "FLUSHALL");
    culprit = (struct culprit){"q", "", 0, NULL, "corq:dead"};
    bytes = crash_thrice(stage, &culprit);
    assert_holds(bytes, &culprit);
    free(bytes);
}

static void an_envelope_stays_one_and_counts_on(void **state)
{
    static const char envelope[] =
        "{\"jid\":\"e-1\",\"corq\":{\"key\":\"q\",\"payload\":\"5\"},"
        "\"retry_count\":4,\"failed_at\":1795577147.5}";
    struct culprit culprit = {"q", envelope, sizeof envelope - 1,
                              "corq:crashes:e-1", "corq:dead"};
    char *bytes = crash_thrice(*state, &culprit);
    assert_non_null(strstr(bytes, "\"jid\":\"e-1\""));
    assert_non_null(strstr(bytes, "\"retry_count\":5"));
    assert_non_null(strstr(bytes, "\"payload\":\"5\""));
    free(bytes);
}

static void who_wants_to_be_kept_nowhere_is_dropped(void **state)
{
    static const char *const payloads[] = {
        "{\"class\":\"A\",\"jid\":\"x\",\"dead\":false}",
        "{\"class\":\"A\",\"jid\":\"x\",\"retry\":false}",
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < 2; i++) {
        struct culprit culprit = {"q", payloads[i], strlen(payloads[i]),
                                  "corq:crashes:x", NULL};
        assert_null(crash_thrice(stage, &culprit));
        assert_true(least_gives(stage, "1", "DBSIZE"));
        redis_do(&stage->server, "FLUSHALL");
    }
    assert_true(
        recover_logged("job dropped, as it says itself: crashed the worker "
                       "3 times"));
}

/* --- its neighbours ------------------------------------------------------- */

static void neighbours_are_not_charged_and_come_before_it(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
    recover_play(stage, 9);
    assert_true(recover_is_back(stage));
    assert_true(least_gives(stage, "1", "EVAL %s 0",
                            "return #redis.call('KEYS', 'corq:crashes:*')"));
    assert_true(recover_logged("given back, of a process that is gone: 6 jobs "
                               "process=" DEAD " queue=q"));
}

static void who_is_innocent_charges_nobody(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
    dead.corpse.cause = RECOVER_INNOCENT;
    redis_do(&stage->server, "SET " DEAD_LEASE " 1:x PX 60000");
    recover_play(stage, 9);
    assert_true(least_counts(stage, "q", 1, 9));
    assert_true(least_gives(stage, "", "KEYS corq:crashes:*"));
    assert_true(least_gives(stage, "0", "EXISTS " DEAD_LEASE));
}

static void a_crash_of_no_job_charges_nobody(void **state)
{
    static const uint64_t numbers[] = {0, 4711};
    struct stage *stage = *state;
    for (size_t i = 0; i < 2; i++) {
        recover_fill(stage);
        recover_run_in(99, 4711, 1); /* of no queue that there is */
        recover_crash_by(numbers[i]);
        recover_play(stage, 9);
        assert_true(least_counts(stage, "q", 1, 9));
        assert_true(least_gives(stage, "", "KEYS corq:crashes:*"));
        redis_do(&stage->server, "FLUSHALL");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECOVER_TEST(a_crash_is_counted_and_the_job_goes_back),
        RECOVER_TEST(the_counter_lasts_for_three_days_from_the_first),
        RECOVER_TEST(the_third_crash_sets_a_job_aside),
        RECOVER_TEST(a_job_of_a_shared_queue_is_dead_where_others_look),
        RECOVER_TEST(a_raw_job_is_known_by_its_bytes),
        RECOVER_TEST(binary_jobs_and_those_without_an_id_too),
        RECOVER_TEST(an_envelope_stays_one_and_counts_on),
        RECOVER_TEST(who_wants_to_be_kept_nowhere_is_dropped),
        RECOVER_TEST(neighbours_are_not_charged_and_come_before_it),
        RECOVER_TEST(who_is_innocent_charges_nobody),
        RECOVER_TEST(a_crash_of_no_job_charges_nobody),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
