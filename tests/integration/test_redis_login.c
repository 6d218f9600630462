#include "tests/integration/redis_stage.h"

static char secret[] = "secret";
static char wrong[] = "wrong";

static int open_with_password(void **state)
{
    static struct stage stage;
    stage.server.password = secret;
    redis_server_start(&stage.server, "requirepass secret\nmaxclients 20\n");
    *state = &stage;
    return 0;
}

static bool has_failed(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_DOWN) >= 1;
}

/* Tries to log in; expects to be refused for a reason with @text. */
static void be_refused(struct stage *stage, const char *text)
{
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(strstr(stage->reasons[0], text));
    expect_that(!strstr(stage->reasons[0], wrong));
    expect_that(stage->events[0].refused_us);
    expect_that(stage->events[0].retry_in_ms > 0);
    coro_redis_stop(redis);
}

static void be_let_in(struct stage *stage, const char *who)
{
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(stage_nevents(stage, CORO_REDIS_DOWN) == 0);
    expect_that(stage_text_is(redis, who, "ACL", "WHOAMI"));
    coro_redis_stop(redis);
}

static int right_password(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.password = secret;
    be_let_in(stage, "default");
    return 0;
}

static void the_right_password_lets_us_in(void **state)
{
    stage_play(*state, right_password);
}

static int wrong_password(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.password = wrong;
    be_refused(stage, "WRONGPASS");
    return 0;
}

static void a_wrong_password_is_refused_for_good(void **state)
{
    stage_play(*state, wrong_password);
}

static int no_password(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    be_refused(stage, "NOAUTH");
    return 0;
}

static void a_missing_password_is_refused_for_good(void **state)
{
    stage_play(*state, no_password);
}

static int acl_user(void *argument)
{
    static char name[] = "worker";
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.user = name;
    stage->address.password = secret;
    be_let_in(stage, "worker");
    stage_aim(stage, stage->server.port);
    stage->address.user = wrong;
    stage->address.password = secret;
    be_refused(stage, "WRONGPASS");
    return 0;
}

static void a_user_logs_in_by_name(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ACL SETUSER worker on >secret ~* +@all");
    stage_play(stage, acl_user);
}

static int no_permission(void *argument)
{
    static char name[] = "limited";
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.user = name;
    stage->address.password = secret;
    stage->options.client_name = "name";
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(coro_redis_client_id(redis) == -1);
    struct coro_redis_reply *reply = stage_ask(redis, "GET", "k");
    expect_that(coro_redis_reply_is_error(reply, "NOPERM"));
    coro_redis_reply_free(reply);
    coro_redis_stop(redis);
    return 0;
}

static void a_user_who_may_not_use_client_comes_up_without_a_number(
    void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "ACL SETUSER limited on >secret ~* +ping");
    stage_play(stage, no_permission);
}

static int no_such_database(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.password = secret;
    stage->address.db = 1000;
    be_refused(stage, "ERR DB index is out of range");
    return 0;
}

static void a_database_that_is_not_there_is_refused_for_good(void **state)
{
    stage_play(*state, no_such_database);
}

/* --- the server is full --------------------------------------------------- */

static bool has_room_again(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_UP) >= 1;
}

static int full(void *argument)
{
    struct stage *stage = argument;
    redisContext *others[20];
    /* Connected to the kernel is not yet a client: newer servers take only some
     * in one turn. Who has an answer is one. */
    for (size_t i = 0; i < 20; i++) {
        others[i] = redisConnectUnix(stage->server.socket_path);
        freeReplyObject(redisCommand(others[i], "PING"));
    }
    stage_aim(stage, stage->server.port);
    stage->options.client_name = "name";
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(stage_nevents(stage, CORO_REDIS_UP) == 0);
    /* The server says why and closes: what we had sent by then makes that a
     * reset, which may overtake the words. */
    expect_that(strstr(stage->reasons[0], "max number of clients") ||
                strstr(stage->reasons[0], "reset by peer") ||
                strstr(stage->reasons[0], "closed the connection"));
    expect_that(!stage->events[0].refused_us);
    for (size_t i = 0; i < 20; i++)
        redisFree(others[i]);
    stage->address.password = secret;
    expect_that(stage_wait_until(has_room_again, stage));
    coro_redis_stop(redis);
    return 0;
}

static void a_server_with_too_many_clients_is_tried_again(void **state)
{
    stage_play(*state, full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(the_right_password_lets_us_in),
        STAGE_TEST(a_wrong_password_is_refused_for_good),
        STAGE_TEST(a_missing_password_is_refused_for_good),
        STAGE_TEST(a_user_logs_in_by_name),
        STAGE_TEST(a_user_who_may_not_use_client_comes_up_without_a_number),
        STAGE_TEST(a_database_that_is_not_there_is_refused_for_good),
        STAGE_TEST(a_server_with_too_many_clients_is_tried_again),
    };
    return cmocka_run_group_tests(tests, open_with_password, stage_close);
}
