#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "coro/io/redis_internal.h"
#include "master/queue/answer.h"

/* What a reply with these bytes of the protocol means. */
static enum answer answer_to(const char *bytes)
{
    void *raw = NULL;
    redisReader *reader = redisReaderCreate();
    redisReaderFeed(reader, bytes, strlen(bytes));
    assert_int_equal(redisReaderGetReply(reader, &raw), REDIS_OK);
    assert_non_null(raw);
    struct coro_redis_reply *reply = coro_redis_reply_take(raw);
    enum answer answer = answer_of(reply);
    coro_redis_reply_free(reply);
    freeReplyObject(raw);
    redisReaderFree(reader);
    return answer;
}

static enum answer answer_to_error(const char *text)
{
    char bytes[300];
    snprintf(bytes, sizeof bytes, "-%s\r\n", text);
    return answer_to(bytes);
}

static void whatever_is_no_error_is_fine(void **state)
{
    (void)state;
    assert_int_equal(answer_to("+OK\r\n"), ANSWER_OK);
    assert_int_equal(answer_to(":1\r\n"), ANSWER_OK);
    assert_int_equal(answer_to("$-1\r\n"), ANSWER_OK);
    assert_int_equal(answer_to("*0\r\n"), ANSWER_OK);
    assert_int_equal(answer_to("$9\r\nWRONGTYPE\r\n"), ANSWER_OK);
    assert_int_equal(answer_to("*1\r\n-WRONGTYPE\r\n"), ANSWER_OK);
}

static void a_key_that_can_not_be_used_is_its_own_trouble(void **state)
{
    (void)state;
    assert_int_equal(
        answer_to_error("WRONGTYPE Operation against a key holding the wrong "
                        "kind of value"),
        ANSWER_QUEUE);
    assert_int_equal(
        answer_to_error("NOPERM this user has no permissions to access one of "
                        "the keys used as arguments"),
        ANSWER_QUEUE);
}

static void a_server_that_can_not_just_now_is_asked_later(void **state)
{
    (void)state;
    static const char *const errors[] = {
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but",
        "NOREPLICAS Not enough good replicas to write.",
        "MASTERDOWN Link with MASTER is down",
        "BUSY Redis is busy running a script.",
        "ERR something that nobody has thought of",
        "X",
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        assert_int_equal(answer_to_error(errors[i]), ANSWER_LATER);
    assert_int_equal(answer_to("-\r\n"), ANSWER_LATER);
}

static void another_server_or_another_log_in_may_do(void **state)
{
    (void)state;
    static const char *const errors[] = {
        "READONLY You can't write against a read only replica.",
        "UNBLOCKED force unblock from blocking operation, instance state",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR max number of clients reached",
        "ERR Protocol error: invalid bulk length",
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        assert_int_equal(answer_to_error(errors[i]), ANSWER_RECONNECT);
}

static void an_unblocked_pop_is_simply_sent_again(void **state)
{
    (void)state;
    assert_int_equal(
        answer_to_error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        ANSWER_AGAIN);
}

static void a_command_that_is_not_known_is_told_from_others(void **state)
{
    (void)state;
    assert_int_equal(answer_to_error("ERR unknown command 'BLMOVE'"),
                     ANSWER_UNKNOWN);
    assert_int_equal(answer_to_error("ERR wrong number of arguments for "
                                     "'rpop' command"),
                     ANSWER_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_no_error_is_fine),
        cmocka_unit_test(a_key_that_can_not_be_used_is_its_own_trouble),
        cmocka_unit_test(a_server_that_can_not_just_now_is_asked_later),
        cmocka_unit_test(another_server_or_another_log_in_may_do),
        cmocka_unit_test(an_unblocked_pop_is_simply_sent_again),
        cmocka_unit_test(a_command_that_is_not_known_is_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
