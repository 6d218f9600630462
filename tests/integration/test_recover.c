/*
 * Recovering a process that has died of a job: that one is charged, once, and
 * after three crashes it is set aside; all else goes back as it was.
 */
#include <jansson.h>

#include "coro/base/buf.h"
#include "tests/integration/recover_stage.h"
#include "worker/envelope.h"

#define JOB   "{\"class\":\"A\",\"args\":[9007199254740993],\"jid\":\"j-1\"}"
#define JOB_2 "{\"class\":\"A\",\"args\":[],\"jid\":\"j-2\"}"

#define COUNTER "corq:crashes:j-1"

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

static const struct culprit plain = {"q", JOB, sizeof JOB - 1, COUNTER,
                                     "corq:dead"};

static bool is_next(struct stage *stage, const struct culprit *culprit)
{
    redisReply *reply = redis_reply(&stage->server, "RPOP %s", culprit->key);
    bool is = reply->type == REDIS_REPLY_STRING && reply->len == culprit->len &&
              memcmp(reply->str, culprit->payload, culprit->len) == 0;
    freeReplyObject(reply);
    return is;
}

static bool was_logged(const char *text)
{
    return strstr(log_file_read(&file), text);
}

/* --- counting ------------------------------------------------------------- */

static void a_crash_is_counted_and_the_job_goes_back(void **state)
{
    struct stage *stage = *state;
    crash(stage, &plain, "host:2:a");
    assert_true(is_next(stage, &plain));
    assert_true(
        least_gives(stage, "1 host:2:a", "HMGET " COUNTER " crashed process"));
    assert_true(was_logged("job crashed the worker (SIGSEGV at address 0x0), 1 "
                           "of 3: it goes back to its queue queue=q "
                           "process=host:2:a job=7 jid=j-1 class=A"));
    crash(stage, &plain, "host:2:b");
    assert_true(is_next(stage, &plain));
    assert_true(
        least_gives(stage, "2 host:2:b", "HMGET " COUNTER " crashed process"));
    assert_true(least_gives(stage, "0", "EXISTS corq:dead dead q"));
    assert_true(was_logged(", 2 of 3: "));
}

static void the_counter_lasts_for_three_days_from_the_first(void **state)
{
    struct stage *stage = *state;
    crash(stage, &plain, "host:2:a");
    long long left_ms = redis_integer(&stage->server, "PTTL " COUNTER);
    assert_in_range(left_ms, 259200000 - 600000, 259200000);
    redis_do(&stage->server, "PEXPIRE " COUNTER " 1000000");
    crash(stage, &plain, "host:2:b");
    left_ms = redis_integer(&stage->server, "PTTL " COUNTER);
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
    assert_true(was_logged("error job set aside in the dead set: crashed the "
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
    assert_true(was_logged("class=(raw)"));
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
    assert_true(was_logged("job dropped, as it says itself: crashed the worker "
                           "3 times"));
}

/* --- its neighbours ------------------------------------------------------- */

/* Five in flight, of which the third is guilty, two that were not yet seen. */
static void fill(struct stage *stage)
{
    recover_prepare("q", "other");
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    least_put(stage, DEAD_INFLIGHT("q"), 1, 5);
    least_push(stage, DEAD_INBOX("q"), 6, 7);
    least_push(stage, "q", 8, 9);
    least_put(stage, DEAD_INFLIGHT("other"), 10, 11);
    for (uint64_t i = 1; i <= 5; i++)
        recover_run_in(0, 100 + i, i);
    recover_run_in(1, 110, 10);
    recover_crash_by(103);
}

static bool is_filled_back(struct stage *stage)
{
    return least_gives(stage, "9 8 3 7 6 5 4 2 1", "LRANGE q 0 -1") &&
           least_gives(stage, "11 10", "LRANGE other 0 -1") &&
           least_gives(stage, "", "KEYS corq:in*");
}

static void neighbours_are_not_charged_and_come_before_it(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    recover_play(stage, 9);
    assert_true(is_filled_back(stage));
    assert_true(least_gives(stage, "1", "EVAL %s 0",
                            "return #redis.call('KEYS', 'corq:crashes:*')"));
    assert_true(was_logged("given back, of a process that is gone: 6 jobs "
                           "process=" DEAD " queue=q"));
}

static void who_is_innocent_charges_nobody(void **state)
{
    struct stage *stage = *state;
    fill(stage);
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
        fill(stage);
        recover_crash_by(numbers[i]);
        recover_play(stage, 9);
        assert_true(least_counts(stage, "q", 1, 9));
        assert_true(least_gives(stage, "", "KEYS corq:crashes:*"));
        redis_do(&stage->server, "FLUSHALL");
    }
}

/* --- again, and cut short ------------------------------------------------- */

static void doing_it_again_changes_nothing(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    recover_play(stage, 9);
    recover_play(stage, 0);
    recover_play(stage, 0);
    assert_true(is_filled_back(stage));
    assert_true(least_gives(stage, "1", "EVAL %s 0",
                            "return #redis.call('KEYS', 'corq:crashes:*')"));
}

/* Where it is cut, and what must hold then. */
struct cut {
    bool is_sent; /* what is sent is cut; otherwise what is answered */
    void (*fill)(struct stage *stage);
    bool (*is_right)(struct stage *stage);
    size_t ncuts;
};

static struct cut cut;

/* One that is killed when @nbytes have gone through, and one that goes on.
 * Returns false when the first one came to its end. */
static bool cut_at(struct stage *stage, size_t nbytes)
{
    redis_do(&stage->server, "FLUSHALL");
    cut.fill(stage);
    stage->proxy = proxy_start(stage->server.port);
    stage_connect(stage, proxy_port(stage->proxy));
    if (cut.is_sent)
        proxy_cut_after_sent(stage->proxy, nbytes, PROXY_CUT_RESET);
    else
        proxy_cut_after(stage->proxy, nbytes, PROXY_CUT_RESET);
    bool is_cut = recover_now(stage) < 0;
    coro_redis_stop(stage->redis);
    proxy_stop(stage->proxy);
    stage->proxy = NULL;
    stage_connect(stage, stage->server.port);
    expect_that(recover_now(stage) >= 0);
    coro_redis_stop(stage->redis);
    expect_that(cut.is_right(stage));
    return is_cut;
}

static int cut_everywhere(void *argument)
{
    for (size_t nbytes = 0; cut_at(argument, nbytes); nbytes += 13)
        cut.ncuts++;
    return 0;
}

static void play_cuts(struct stage *stage, struct cut with)
{
    for (int i = 0; i < 2; i++) {
        cut = with;
        cut.is_sent = i == 0;
        stage_play(stage, cut_everywhere);
        assert_true(cut.ncuts > 10);
    }
}

static bool is_charged_once(struct stage *stage)
{
    redisReply *keys = redis_reply(&stage->server, "KEYS corq:crashes:*");
    bool is_one =
        keys->elements == 1 &&
        least_gives(stage, "1", "HGET %s crashed", keys->element[0]->str);
    freeReplyObject(keys);
    return is_one && is_filled_back(stage);
}

static void wherever_it_is_cut_nothing_is_lost_or_charged_twice(void **state)
{
    play_cuts(*state, (struct cut){.fill = fill, .is_right = is_charged_once});
}

static void fill_last(struct stage *stage)
{
    fill(stage);
    redis_do(&stage->server, "HSET " DEAD_INFLIGHT("q") " %s " JOB,
             "0000000000000003");
    redis_do(&stage->server, "HSET " COUNTER " crashed 2 process host:1:x");
}

static bool is_dead_once(struct stage *stage)
{
    return least_gives(stage, "3", "HGET " COUNTER " crashed") &&
           least_gives(stage, "1", "ZCARD corq:dead") &&
           least_gives(stage, "9 8 7 6 5 4 2 1", "LRANGE q 0 -1") &&
           least_gives(stage, "11 10", "LRANGE other 0 -1") &&
           least_gives(stage, "", "KEYS corq:in*");
}

static void nor_when_it_is_to_be_set_aside(void **state)
{
    play_cuts(*state,
              (struct cut){.fill = fill_last, .is_right = is_dead_once});
}

/* --- the lease ------------------------------------------------------------ */

/* Gives it back a lease, as what it has sent before its end may do when it is
 * carried out late; once, or whenever it has none. */
struct ghost {
    bool is_stubborn;
    bool has_ended;
    int nleases;
};

static struct ghost ghost;

static int haunt(void *argument)
{
    struct stage *stage = argument;
    while (!ghost.has_ended && (ghost.is_stubborn || ghost.nleases == 0)) {
        coro_relax();
        if (redis_integer(&stage->server, "HLEN " DEAD_INFLIGHT("q")) < 2000 &&
            redis_integer(&stage->server, "EXISTS " DEAD_LEASE) == 0) {
            redis_do(&stage->server, "SET " DEAD_LEASE " 2:x");
            ghost.nleases++;
        }
    }
    return 0;
}

static int recover_haunted(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    struct coro_task *task = stage_spawn(haunt, stage);
    int64_t n = recover_now(stage);
    expect_that(ghost.is_stubborn ? n == -EBUSY : n > 0);
    ghost.has_ended = true;
    expect_that(stage_result(task) == 0);
    expect_that(ghost.is_stubborn || ghost.nleases == 1);
    coro_redis_stop(stage->redis);
    return 0;
}

static void play_haunted(struct stage *stage, bool is_stubborn)
{
    ghost = (struct ghost){.is_stubborn = is_stubborn};
    recover_prepare("q");
    least_put(stage, DEAD_INFLIGHT("q"), 1, 2000);
    redis_do(&stage->server, "SET " DEAD_LEASE " 1:x");
    stage_play(stage, recover_haunted);
}

static void a_lease_that_comes_late_is_ended_as_well(void **state)
{
    struct stage *stage = *state;
    play_haunted(stage, false);
    assert_true(least_counts(stage, "q", 1, 2000));
    assert_true(least_gives(stage, "0", "EXISTS " DEAD_LEASE));
}

static void whoever_takes_its_lease_again_and_again_lives(void **state)
{
    struct stage *stage = *state;
    play_haunted(stage, true);
    assert_true(redis_integer(&stage->server, "HLEN " DEAD_INFLIGHT("q")) > 0);
}

/* Sweepers leave alone what has a lease. */
static void the_lease_stays_while_it_can_t_be_counted(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    redis_do(&stage->server, "SET " DEAD_LEASE " 1:x");
    redis_do(&stage->server, "CONFIG SET min-replicas-to-write 1");
    recover_play(stage, -EREMOTEIO);
    redis_do(&stage->server, "CONFIG SET min-replicas-to-write 0");
    assert_true(least_gives(stage, "1", "EXISTS " DEAD_LEASE));
    assert_true(least_gives(stage, "5", "HLEN " DEAD_INFLIGHT("q")));
    recover_play(stage, 9);
    assert_true(is_charged_once(stage));
}

static void what_is_no_identity_of_another_is_refused(void **state)
{
    static char endless[VITALS_IDENTITY_BYTES + 1];
    static const char *const identities[] = {
        LEAST_PROCESS, "host:2",      "host:2:cd:x",
        "host 2:3:4",  "host:2:\x01", endless,
    };
    memset(endless, 'x', sizeof endless - 1);
    memcpy(endless, "a:b:", 4);
    struct stage *stage = *state;
    fill(stage);
    for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
        dead.corpse.identity = identities[i];
        recover_play(stage, -EINVAL);
    }
    dead.corpse.identity = "";
    recover_play(stage, 0);
    assert_true(least_gives(stage, "5", "HLEN " DEAD_INFLIGHT("q")));
}

/* --- what goes wrong ------------------------------------------------------ */

static void a_full_server_lets_it_be_done(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    least_fill_server(stage, true);
    recover_play(stage, 9);
    least_fill_server(stage, false);
    assert_true(is_charged_once(stage));
    redis_do(&stage->server, "FLUSHALL");
    fill_last(stage);
    least_fill_server(stage, true);
    recover_play(stage, 9);
    least_fill_server(stage, false);
    assert_true(is_dead_once(stage));
}

static void a_counter_of_the_wrong_type_is_told_and_left(void **state)
{
    struct stage *stage = *state;
    fill_last(stage);
    redis_do(&stage->server, "SET " COUNTER " nonsense");
    recover_play(stage, 9);
    assert_true(least_gives(stage, "nonsense", "GET " COUNTER));
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(was_logged("a crash can't be counted: WRONGTYPE"));
}

static void a_dead_set_that_is_none_has_it_go_back(void **state)
{
    struct stage *stage = *state;
    fill_last(stage);
    redis_do(&stage->server, "SET corq:dead nonsense");
    recover_play(stage, 9);
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(least_gives(stage, "", "KEYS corq:in*"));
    assert_true(was_logged("a job that crashes the worker can't be set aside: "
                           "WRONGTYPE"));
}

static void a_queue_that_is_no_list_keeps_no_other_from_it(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    redis_do(&stage->server, "DEL q");
    redis_do(&stage->server, "SET q nonsense");
    recover_play(stage, -EREMOTEIO);
    assert_true(least_gives(stage, "11 10", "LRANGE other 0 -1"));
    assert_true(least_gives(stage, "5", "HLEN " DEAD_INFLIGHT("q")));
    assert_true(least_gives(stage, "7 6", "LRANGE " DEAD_INBOX("q") " 0 -1"));
    redis_do(&stage->server, "DEL q");
    recover_play(stage, 7);
    assert_true(least_gives(stage, "3 7 6 5 4 2 1", "LRANGE q 0 -1"));
    assert_true(least_gives(stage, "1", "EVAL %s 0",
                            "return #redis.call('KEYS', 'corq:crashes:*')"));
}

static void what_is_in_flight_of_the_wrong_type_keeps_no_other_from_it(
    void **state)
{
    struct stage *stage = *state;
    fill(stage);
    redis_do(&stage->server, "SET " DEAD_INFLIGHT("q") " nonsense");
    recover_play(stage, -EREMOTEIO);
    assert_true(least_gives(stage, "11 10", "LRANGE other 0 -1"));
    assert_true(least_gives(stage, "9 8 7 6", "LRANGE q 0 -1"));
    assert_true(was_logged("what crashed the worker is not told: WRONGTYPE"));
}

static int recover_as_ann(void *argument)
{
    static char user[] = "ann", password[] = "pw";
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.user = user;
    stage->address.password = password;
    stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(recover_now(stage) == 9);
    coro_redis_stop(stage->redis);
    return 0;
}

static void who_may_not_count_gives_back_and_says_so(void **state)
{
    struct stage *stage = *state;
    fill(stage);
    redis_do(&stage->server,
             "ACL SETUSER ann on >pw ~q ~other ~corq:lease:* ~corq:inbox:* "
             "~corq:inflight:* +@all");
    stage_play(stage, recover_as_ann);
    redis_do(&stage->server, "ACL DELUSER ann");
    assert_true(least_gives(stage, "", "KEYS corq:crashes:*"));
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(was_logged("a crash can't be counted: NOPERM"));
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
        RECOVER_TEST(doing_it_again_changes_nothing),
        RECOVER_TEST(wherever_it_is_cut_nothing_is_lost_or_charged_twice),
        RECOVER_TEST(nor_when_it_is_to_be_set_aside),
        RECOVER_TEST(a_lease_that_comes_late_is_ended_as_well),
        RECOVER_TEST(whoever_takes_its_lease_again_and_again_lives),
        RECOVER_TEST(the_lease_stays_while_it_can_t_be_counted),
        RECOVER_TEST(what_is_no_identity_of_another_is_refused),
        RECOVER_TEST(a_full_server_lets_it_be_done),
        RECOVER_TEST(a_counter_of_the_wrong_type_is_told_and_left),
        RECOVER_TEST(a_dead_set_that_is_none_has_it_go_back),
        RECOVER_TEST(a_queue_that_is_no_list_keeps_no_other_from_it),
        RECOVER_TEST(
            what_is_in_flight_of_the_wrong_type_keeps_no_other_from_it),
        RECOVER_TEST(who_may_not_count_gives_back_and_says_so),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
