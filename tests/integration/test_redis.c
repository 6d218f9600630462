#include "coro/sched/group.h"
#include "tests/integration/redis_stage.h"
#include "tests/support/scale.h"

/* --- kinds of replies ----------------------------------------------------- */

static int every_kind(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_redis_reply *reply = stage_ask(redis, "SET", "key", "value");
    expect_that(coro_redis_reply_type(reply) == CORO_REDIS_STATUS);
    expect_that(stage_reply_is(reply, "OK"));
    reply = stage_ask(redis, "GET", "key");
    expect_that(coro_redis_reply_type(reply) == CORO_REDIS_STRING);
    expect_that(stage_reply_is(reply, "value"));
    reply = stage_ask(redis, "GET", "none");
    expect_that(coro_redis_reply_type(reply) == CORO_REDIS_NIL);
    expect_that(stage_reply_is(reply, ""));
    expect_that(stage_integer(redis, "DECRBY", "n", "9007199254740993") ==
                -9007199254740993);
    reply = stage_ask(redis, "LPUSH", "key", "x");
    expect_that(coro_redis_reply_type(reply) == CORO_REDIS_ERROR);
    expect_that(coro_redis_reply_is_error(reply, "WRONGTYPE"));
    expect_that(!coro_redis_reply_is_error(reply, "OOM"));
    expect_that(coro_redis_reply_nitems(reply) == 0);
    coro_redis_reply_free(reply);
    coro_redis_stop(redis);
    return 0;
}

static void a_call_gets_its_reply_of_whatever_kind(void **state)
{
    stage_play(*state, every_kind);
}

static int nested(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_redis_reply *reply = stage_ask(
        redis, "EVAL", "return {1,{'two',{3,false}},{},redis.error_reply('E')}",
        "0");
    if (expect_that(coro_redis_reply_nitems(reply) == 4)) {
        const struct coro_redis_reply *two = coro_redis_reply_item(reply, 1);
        const struct coro_redis_reply *three = coro_redis_reply_item(two, 1);
        const struct coro_redis_reply *item = coro_redis_reply_item(reply, 0);
        expect_that(coro_redis_reply_integer(item) == 1);
        item = coro_redis_reply_item(two, 0);
        expect_that(strcmp(coro_redis_reply_text(item, NULL), "two") == 0);
        item = coro_redis_reply_item(three, 0);
        expect_that(coro_redis_reply_integer(item) == 3);
        item = coro_redis_reply_item(three, 1);
        expect_that(coro_redis_reply_type(item) == CORO_REDIS_NIL);
        item = coro_redis_reply_item(reply, 2);
        expect_that(coro_redis_reply_type(item) == CORO_REDIS_ARRAY);
        expect_that(coro_redis_reply_nitems(item) == 0);
        item = coro_redis_reply_item(reply, 3);
        expect_that(coro_redis_reply_is_error(item, "E"));
    }
    coro_redis_reply_free(reply);
    coro_redis_reply_free(NULL);
    coro_redis_stop(redis);
    coro_redis_stop(NULL);
    return 0;
}

static void arrays_in_arrays_are_read(void **state)
{
    stage_play(*state, nested);
}

static int any_bytes(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    const char *set[] = {"SET", "k\0\r\n", bytes};
    const size_t set_lens[] = {SIZE_MAX, 4, sizeof bytes};
    struct coro_redis_reply *reply;
    expect_that(coro_redis_call(redis, 3, set, set_lens, CORO_NEVER, NULL) ==
                0);
    const char *get[] = {"GET", "k\0\r\n"};
    if (expect_that(coro_redis_call(redis, 2, get, set_lens, CORO_NEVER,
                                    &reply) == 0)) {
        size_t len;
        const char *text = coro_redis_reply_text(reply, &len);
        expect_that(len == sizeof bytes);
        expect_that(memcmp(text, bytes, sizeof bytes) == 0);
        expect_that(text[len] == '\0');
        coro_redis_reply_free(reply);
    }
    expect_that(stage_text_is(redis, "", "ECHO", ""));
    coro_redis_stop(redis);
    return 0;
}

static void arguments_and_replies_hold_any_bytes(void **state)
{
    stage_play(*state, any_bytes);
}

#define LARGE_BYTES ((size_t)16 << 20)

static int large(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    char *bytes = malloc(LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        bytes[i] = (char)(i * 7 + (i >> 12));
    const char *argv[] = {"ECHO", bytes};
    const size_t lens[] = {4, LARGE_BYTES};
    struct coro_redis_reply *reply;
    if (expect_that(coro_redis_call(redis, 2, argv, lens, CORO_NEVER, &reply) ==
                    0)) {
        size_t len;
        const char *text = coro_redis_reply_text(reply, &len);
        expect_that(len == LARGE_BYTES);
        expect_that(memcmp(text, bytes, LARGE_BYTES) == 0);
        coro_redis_reply_free(reply);
    }
    free(bytes);
    coro_redis_stop(redis);
    return 0;
}

static void sixteen_mebibytes_go_and_come(void **state)
{
    stage_play(*state, large);
}

static int many_words(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    const char *argv[1002] = {"RPUSH", "list"};
    for (size_t i = 2; i < 1002; i++)
        argv[i] = "x";
    struct coro_redis_reply *reply = NULL;
    expect_that(coro_redis_call(redis, 1002, argv, NULL, CORO_NEVER, &reply) ==
                0);
    expect_that(stage_reply_integer(reply) == 1000);
    coro_redis_stop(redis);
    return 0;
}

static void a_command_may_have_a_thousand_words(void **state)
{
    stage_play(*state, many_words);
}

/* --- several at once ------------------------------------------------------ */

static int pipeline(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_redis_command commands[100];
    struct coro_redis_reply *replies[100];
    const char *incr[] = {"INCR", "n"};
    const char *wrong[] = {"NOSUCH"};
    for (size_t i = 0; i < 100; i++)
        commands[i] = (struct coro_redis_command){.argc = 2, .argv = incr};
    commands[50] = (struct coro_redis_command){.argc = 1, .argv = wrong};
    if (expect_that(coro_redis_pipeline(redis, commands, 100, CORO_NEVER,
                                        replies) == 0))
        for (size_t i = 0; i < 100; i++) {
            bool is_wrong = coro_redis_reply_is_error(replies[i], "ERR");
            expect_that(is_wrong == (i == 50));
            int64_t n = coro_redis_reply_integer(replies[i]);
            expect_that(is_wrong || n == (int64_t)(i < 50 ? i + 1 : i));
            coro_redis_reply_free(replies[i]);
        }
    expect_that(coro_redis_pipeline(redis, NULL, 0, CORO_NEVER, NULL) == 0);
    coro_redis_stop(redis);
    return 0;
}

static void a_pipeline_has_its_replies_in_order(void **state)
{
    stage_play(*state, pipeline);
}

static int echo_own_number(void *argument)
{
    struct stage *stage = argument;
    static int last;
    char number[16];
    snprintf(number, sizeof number, "%d", ++last);
    for (int i = 0; i < 3; i++)
        expect_that(stage_text_is(stage->redis, number, "ECHO", number));
    return 0;
}

static long long nreads(struct stage *stage)
{
    char *info = redis_text(&stage->server, "INFO stats");
    const char *at = strstr(info, "total_reads_processed:");
    long long n = at ? atoll(strchr(at, ':') + 1) : -1;
    free(info);
    return n;
}

static int many_callers(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    long long before = nreads(stage);
    size_t ncallers = test_scale(1000, 100);
    for (size_t i = 0; i < ncallers; i++)
        expect_that(coro_group_spawn(&group, echo_own_number, stage, NULL) ==
                    0);
    expect_that(coro_group_wait(&group, coro_after(PATIENCE_MS)) == 0);
    /* What was called in one turn of the loop left in one write: the server
     * needs far fewer reads than there were commands. */
    expect_that(nreads(stage) - before < 3 * (long long)ncallers / 10);
    coro_group_close(&group);
    coro_redis_stop(redis);
    return 0;
}

static void a_thousand_callers_are_pipelined_and_answered_right(void **state)
{
    stage_play(*state, many_callers);
}

/* --- who we are ----------------------------------------------------------- */

static int introduce(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->options.client_name = "host:1:abc";
    stage->address.db = 5;
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "host:1:abc", "CLIENT", "GETNAME"));
    expect_that(stage_integer(redis, "CLIENT", "ID") ==
                coro_redis_client_id(redis));
    stage_text_is(redis, "OK", "SET", "where", "five");
    char line[80];
    snprintf(line, sizeof line, "id=%lld ",
             (long long)coro_redis_client_id(redis));
    char *list = redis_text(&stage->server, "CLIENT LIST");
    expect_that(strstr(list, line) && strstr(list, "name=host:1:abc"));
    free(list);
    coro_redis_stop(redis);
    return 0;
}

static void name_number_and_database_are_as_asked_for(void **state)
{
    struct stage *stage = *state;
    stage_play(stage, introduce);
    assert_int_equal(redis_integer(&stage->server, "EXISTS where"), 0);
    redis_do(&stage->server, "SELECT 5");
    assert_int_equal(redis_integer(&stage->server, "EXISTS where"), 1);
    redis_do(&stage->server, "SELECT 0");
}

static int by_socket(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, 0);
    stage->address.host = NULL;
    stage->address.path = stage->server.socket_path;
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    coro_redis_stop(redis);
    return 0;
}

static void a_unix_socket_does_as_well(void **state)
{
    stage_play(*state, by_socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(a_call_gets_its_reply_of_whatever_kind),
        STAGE_TEST(arrays_in_arrays_are_read),
        STAGE_TEST(arguments_and_replies_hold_any_bytes),
        STAGE_TEST(sixteen_mebibytes_go_and_come),
        STAGE_TEST(a_command_may_have_a_thousand_words),
        STAGE_TEST(a_pipeline_has_its_replies_in_order),
        STAGE_TEST(a_thousand_callers_are_pipelined_and_answered_right),
        STAGE_TEST(name_number_and_database_are_as_asked_for),
        STAGE_TEST(a_unix_socket_does_as_well),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
