/*
 * What the script that takes jobs leaves behind: each job under the number that
 * it was given, wherever the numbers begin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "master/queue/owner.h"
#include "master/queue/scripts.h"
#include "tests/support/redis_server.h"

static struct redis_server server;

static int open_server(void **state)
{
    (void)state;
    redis_server_start(&server, NULL);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    redis_server_release(&server);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    redis_do(&server, "FLUSHALL");
    redis_do(&server, "SET lease 1");
    return 0;
}

/* Pushes @n jobs whose payloads are the numbers from @first on. */
static void push(const char *key, int first, int n)
{
    for (int i = 0; i < n; i++)
        redis_do(&server, "LPUSH %s %d", key, first + i);
}

/* Claims up to @most jobs of so many @bytes; freeReplyObject(). */
static redisReply *claim(int most, int bytes, uint64_t attempt)
{
    return redis_reply(
        &server, "EVAL %s 4 lease inbox inflight queue 1 20000 %d %d %llu",
        script_claim.text, most, bytes, (unsigned long long)attempt);
}

/* @n jobs came, of which the first is 1, and are in flight from @attempt on. */
static void assert_claimed(redisReply *reply, size_t n, uint64_t attempt)
{
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, n);
    assert_int_equal(redis_integer(&server, "HLEN inflight"), n);
    for (size_t i = 0; i < n; i++) {
        char field[OWNER_ATTEMPT_BYTES], number[24];
        owner_format_attempt(field, attempt + i);
        snprintf(number, sizeof number, "%zu", i + 1);
        char *payload = redis_text(&server, "HGET inflight %s", field);
        assert_string_equal(reply->element[i]->str, number);
        assert_non_null(payload);
        assert_string_equal(payload, number);
        free(payload);
    }
    freeReplyObject(reply);
}

static void attempts_are_named_one_after_the_other(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {
        1, 7, 9, 10, 95, 9999999, 99999999999990, 999999999999905,
    };
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        push("queue", 1, 33);
        assert_claimed(claim(33, 1000000, firsts[i]), 33, firsts[i]);
        assert_int_equal(redis_integer(&server, "EXISTS queue"), 0);
        redis_do(&server, "DEL inflight");
    }
}

static void a_claim_of_thousands_takes_each_once(void **state)
{
    (void)state;
    push("queue", 1, 2345);
    assert_claimed(claim(2340, 1000000, 4), 2340, 4);
    assert_int_equal(redis_integer(&server, "LLEN queue"), 5);
}

static void the_inbox_comes_before_the_queue(void **state)
{
    (void)state;
    push("inbox", 1, 4);
    push("queue", 5, 20);
    assert_claimed(claim(12, 1000000, 8), 12, 8);
    assert_int_equal(redis_integer(&server, "EXISTS inbox"), 0);
    assert_int_equal(redis_integer(&server, "LLEN queue"), 12);
}

static void the_limit_of_bytes_ends_a_claim(void **state)
{
    (void)state;
    push("queue", 1, 30);
    assert_claimed(claim(30, 9 + 2 * 2, 1), 11, 1);
    assert_int_equal(redis_integer(&server, "LLEN queue"), 19);
}

static void a_claim_without_a_lease_takes_nothing(void **state)
{
    (void)state;
    push("queue", 1, 3);
    redis_do(&server, "SET lease 2");
    redisReply *reply = claim(3, 1000, 1);
    assert_int_equal(reply->integer, -2);
    freeReplyObject(reply);
    redis_do(&server, "DEL lease");
    reply = claim(3, 1000, 1);
    assert_int_equal(reply->integer, -1);
    freeReplyObject(reply);
    assert_int_equal(redis_integer(&server, "LLEN queue"), 3);
    assert_int_equal(redis_integer(&server, "EXISTS inflight"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(attempts_are_named_one_after_the_other, begin),
        cmocka_unit_test_setup(a_claim_of_thousands_takes_each_once, begin),
        cmocka_unit_test_setup(the_inbox_comes_before_the_queue, begin),
        cmocka_unit_test_setup(the_limit_of_bytes_ends_a_claim, begin),
        cmocka_unit_test_setup(a_claim_without_a_lease_takes_nothing, begin),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
