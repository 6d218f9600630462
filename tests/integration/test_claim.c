/*
 * claim.lua, word by word: what a burst takes, in which order, and that what
 * can't be taken stays where it was.
 */
#include "tests/integration/least_stage.h"

#define INBOX    LEAST_INBOX("q")
#define INFLIGHT LEAST_INFLIGHT("q")

/* The first fields of the hash. */
#define A1 "0000000000000001"
#define A2 "0000000000000002"
#define A3 "0000000000000003"

static int open_claim(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET " LEAST_LEASE " 7:here PX 60000");
    return least_setup(state);
}

/* Takes up to @wanted jobs of @nbytes in all, as the connection @value. */
static redisReply *claim_as(struct stage *stage, const char *value, int wanted,
                            int nbytes, long long first)
{
    return redis_reply(&stage->server,
                       "EVAL %s 4 " LEAST_LEASE " " INBOX " " INFLIGHT
                       " q %s 60000 %d %d %lld",
                       script_claim.text, value, wanted, nbytes, first);
}

static redisReply *claim(struct stage *stage, int wanted, long long first)
{
    return claim_as(stage, "7:here", wanted, 1 << 20, first);
}

/* --- order ---------------------------------------------------------------- */

static void the_oldest_jobs_are_taken_in_their_order(void **state)
{
    struct stage *stage = *state;
    least_push(stage, "q", 1, 5);
    assert_true(least_is(claim(stage, 3, 1), "1 2 3"));
    assert_true(
        least_gives(stage, A1 " 1 " A2 " 2 " A3 " 3", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "5 4", "LRANGE q 0 -1"));
}

static void the_inbox_comes_before_the_queue(void **state)
{
    struct stage *stage = *state;
    least_push(stage, INBOX, 1, 2);
    least_push(stage, "q", 3, 5);
    assert_true(least_is(claim(stage, 3, 1), "1 2 3"));
    assert_true(
        least_gives(stage, A1 " 1 " A2 " 2 " A3 " 3", "HGETALL " INFLIGHT));
    assert_true(least_gives(stage, "0", "EXISTS " INBOX));
    assert_true(least_gives(stage, "5 4", "LRANGE q 0 -1"));
}

static void an_inbox_with_enough_leaves_the_queue_alone(void **state)
{
    struct stage *stage = *state;
    least_push(stage, INBOX, 1, 3);
    least_push(stage, "q", 4, 5);
    assert_true(least_is(claim(stage, 2, 1), "1 2"));
    assert_true(least_gives(stage, "3", "LRANGE " INBOX " 0 -1"));
    assert_true(least_gives(stage, "5 4", "LRANGE q 0 -1"));
}

static void nothing_to_be_taken_makes_no_hash(void **state)
{
    struct stage *stage = *state;
    assert_true(least_is(claim(stage, 100, 1), ""));
    assert_true(least_gives(stage, LEAST_LEASE, "KEYS *"));
}

static void attempts_are_of_one_width_and_count_on(void **state)
{
    struct stage *stage = *state;
    least_push(stage, "q", 1, 3);
    freeReplyObject(claim(stage, 1, 9));
    freeReplyObject(claim(stage, 2, 4503599627370496));
    assert_true(least_gives(stage,
                            "0000000000000009 1 4503599627370496 2 "
                            "4503599627370497 3",
                            "HGETALL " INFLIGHT));
}

static void payloads_may_be_any_bytes(void **state)
{
    static const char bytes[] = {'a', 0, '\xff', '\r', '\n'};
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH q %b %s", bytes, sizeof bytes, "");
    redisReply *jobs = claim(stage, 2, 1);
    assert_int_equal(jobs->elements, 2);
    assert_int_equal(jobs->element[0]->len, sizeof bytes);
    assert_memory_equal(jobs->element[0]->str, bytes, sizeof bytes);
    assert_int_equal(jobs->element[1]->len, 0);
    freeReplyObject(jobs);
    assert_true(least_gives(stage, "5 0", "EVAL %s 1 " INFLIGHT,
                            "return {redis.call('HSTRLEN', KEYS[1], '" A1
                            "'), redis.call('HSTRLEN', KEYS[1], '" A2 "')}"));
}

/* --- many ----------------------------------------------------------------- */

static void ten_thousand_come_in_one_burst(void **state)
{
    struct stage *stage = *state;
    least_push(stage, INBOX, 1, 4000);
    least_push(stage, "q", 4001, 10000);
    redisReply *jobs = claim(stage, 10000, 1);
    assert_int_equal(jobs->elements, 10000);
    for (size_t i = 0; i < jobs->elements; i++)
        assert_int_equal(strtoul(jobs->element[i]->str, NULL, 10), i + 1);
    freeReplyObject(jobs);
    assert_true(least_gives(stage, "10000", "HLEN " INFLIGHT));
    assert_true(least_gives(stage, "1 500 501 9999 10000",
                            "HMGET " INFLIGHT " " A1 " 0000000000000500 "
                            "0000000000000501 0000000000009999 "
                            "0000000000010000"));
    assert_true(least_gives(stage, "0", "EXISTS q " INBOX));
}

/* The burst makes the hash a table by a field of its own, which must go. */
static void no_field_is_left_that_is_no_attempt(void **state)
{
    struct stage *stage = *state;
    for (int first = 1; first <= 10; first += 9) {
        least_push(stage, "q", 1, 9);
        freeReplyObject(claim(stage, 9, first));
        assert_true(least_gives(stage, "0", "HEXISTS " INFLIGHT " -"));
    }
    assert_true(least_gives(stage, "18", "HLEN " INFLIGHT));
    assert_true(least_gives(stage, "hashtable", "OBJECT ENCODING " INFLIGHT));
}

/* --- bytes ---------------------------------------------------------------- */

static void a_burst_ends_before_it_has_too_many_bytes(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH q 1234567890 1234567890 1234567890");
    assert_true(
        least_is(claim_as(stage, "7:here", 3, 25, 1), "1234567890 1234567890"));
    assert_true(least_gives(stage, "1", "LLEN q"));
    assert_true(least_gives(stage, "2", "HLEN " INFLIGHT));
}

static void one_job_is_taken_however_large(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH q 1234567890 2");
    assert_true(least_is(claim_as(stage, "7:here", 2, 5, 1), "1234567890"));
    assert_true(least_gives(stage, "2", "LRANGE q 0 -1"));
}

static void the_queue_does_not_overtake_a_large_job_of_the_inbox(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "LPUSH " INBOX " 1 1234567890");
    redis_do(&stage->server, "LPUSH q 3");
    assert_true(least_is(claim_as(stage, "7:here", 3, 5, 1), "1"));
    assert_true(least_gives(stage, "1234567890", "LRANGE " INBOX " 0 -1"));
    assert_true(least_gives(stage, "3", "LRANGE q 0 -1"));
}

/* --- the lease ------------------------------------------------------------ */

static void assert_untaken(struct stage *stage)
{
    assert_true(least_gives(stage, "2 1", "LRANGE q 0 -1"));
    assert_true(least_gives(stage, "0", "LRANGE " INBOX " 0 -1"));
    assert_true(least_gives(stage, "0", "EXISTS " INFLIGHT));
}

static void push_both(struct stage *stage)
{
    least_push(stage, INBOX, 0, 0);
    least_push(stage, "q", 1, 2);
}

static void without_the_lease_nothing_is_taken(void **state)
{
    struct stage *stage = *state;
    push_both(stage);
    redis_do(&stage->server, "DEL " LEAST_LEASE);
    assert_true(least_is(claim(stage, 3, 1), "-1"));
    assert_untaken(stage);
    assert_true(least_gives(stage, "0", "EXISTS " LEAST_LEASE));
}

static void a_burst_of_a_connection_that_is_gone_takes_nothing(void **state)
{
    struct stage *stage = *state;
    push_both(stage);
    assert_true(least_is(claim_as(stage, "6:here", 3, 100, 1), "-2"));
    assert_untaken(stage);
    assert_true(least_gives(stage, "7:here", "GET " LEAST_LEASE));
}

static void a_burst_refreshes_the_lease(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "PEXPIRE " LEAST_LEASE " 1000");
    freeReplyObject(claim(stage, 1, 1));
    assert_true(redis_integer(&stage->server, "PTTL " LEAST_LEASE) > 30000);
}

/* --- what goes wrong ------------------------------------------------------ */

/* All keys and digests of their values. */
static redisReply *dump(struct stage *stage)
{
    return redis_reply(&stage->server, "EVAL %s 0",
                       "local all = {} "
                       "for _, key in ipairs(redis.call('KEYS', '*')) do "
                       "all[#all + 1] = key .. redis.sha1hex("
                       "redis.call('DUMP', key)) end "
                       "table.sort(all) return all");
}

static void assert_nothing_changes(struct stage *stage, const char *broken)
{
    char before[4096] = "";
    redis_do(&stage->server, "DEL %s", broken);
    redis_do(&stage->server, "ZADD %s 1 x", broken);
    redisReply *reply = dump(stage);
    least_write(reply, before, sizeof before);
    freeReplyObject(reply);
    reply = claim(stage, 20, 1);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_non_null(strstr(reply->str, "WRONGTYPE"));
    freeReplyObject(reply);
    assert_true(least_is(dump(stage), before));
}

static void any_key_of_the_wrong_type_leaves_all_as_it_was(void **state)
{
    static const char *const keys[] = {LEAST_LEASE, INBOX, INFLIGHT, "q"};
    struct stage *stage = *state;
    for (size_t i = 0; i < 4; i++) {
        redis_do(&stage->server, "FLUSHALL");
        redis_do(&stage->server, "SET " LEAST_LEASE " 7:here PX 60000");
        least_push(stage, INBOX, 1, 2);
        least_push(stage, "q", 3, 20);
        assert_nothing_changes(stage, keys[i]);
    }
}

static void a_full_server_can_be_emptied(void **state)
{
    struct stage *stage = *state;
    least_push(stage, INBOX, 1, 2);
    least_push(stage, "q", 3, 20);
    least_fill_server(stage, true);
    redisReply *reply = redis_reply(&stage->server, "SET x y");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    reply = claim(stage, 20, 1);
    size_t ntaken = reply->elements;
    freeReplyObject(reply);
    least_fill_server(stage, false);
    assert_int_equal(ntaken, 20);
    assert_true(least_gives(stage, "20", "HLEN " INFLIGHT));
    assert_true(least_gives(stage, "0", "EXISTS q " INBOX));
}

int main(void)
{
#define CLAIM_TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_claim, least_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM_TEST(the_oldest_jobs_are_taken_in_their_order),
        CLAIM_TEST(the_inbox_comes_before_the_queue),
        CLAIM_TEST(an_inbox_with_enough_leaves_the_queue_alone),
        CLAIM_TEST(nothing_to_be_taken_makes_no_hash),
        CLAIM_TEST(attempts_are_of_one_width_and_count_on),
        CLAIM_TEST(payloads_may_be_any_bytes),
        CLAIM_TEST(ten_thousand_come_in_one_burst),
        CLAIM_TEST(no_field_is_left_that_is_no_attempt),
        CLAIM_TEST(a_burst_ends_before_it_has_too_many_bytes),
        CLAIM_TEST(one_job_is_taken_however_large),
        CLAIM_TEST(the_queue_does_not_overtake_a_large_job_of_the_inbox),
        CLAIM_TEST(without_the_lease_nothing_is_taken),
        CLAIM_TEST(a_burst_of_a_connection_that_is_gone_takes_nothing),
        CLAIM_TEST(a_burst_refreshes_the_lease),
        CLAIM_TEST(any_key_of_the_wrong_type_leaves_all_as_it_was),
        CLAIM_TEST(a_full_server_can_be_emptied),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
