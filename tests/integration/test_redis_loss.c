#include <fcntl.h>
#include <unistd.h>

#include <event2/event.h>

#include "tests/integration/redis_stage.h"

#define LARGE_BYTES ((size_t)16 << 20)

/* --- giving up on a call -------------------------------------------------- */

static int late_reply(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    uint64_t generation = coro_redis_generation(redis);
    struct coro_redis_reply *reply = NULL;
    redis_server_pause(&stage->server);
    expect_that(coro_redis_call(redis, 2, CORO_REDIS_ARGS("ECHO", "late"),
                                coro_after(20), &reply) == -ETIMEDOUT);
    expect_that(reply == NULL);
    struct coro_redis_reply *replies[2];
    const struct coro_redis_command commands[] = {
        {.argc = 2, .argv = (const char *[]){"ECHO", "late1"}},
        {.argc = 2, .argv = (const char *[]){"ECHO", "late2"}},
    };
    expect_that(coro_redis_pipeline(redis, commands, 2, coro_after(20),
                                    replies) == -ETIMEDOUT);
    redis_server_resume(&stage->server);
    expect_that(stage_text_is(redis, "now", "ECHO", "now"));
    expect_that(coro_redis_generation(redis) == generation);
    coro_redis_stop(redis);
    return 0;
}

static void a_late_reply_goes_to_nobody_else(void **state)
{
    stage_play(*state, late_reply);
}

static int pop_for_ever(void *argument)
{
    struct stage *stage = argument;
    return coro_redis_call(stage->redis, 3,
                           CORO_REDIS_ARGS("BLPOP", "list", "0"), CORO_NEVER,
                           NULL);
}

static bool somebody_is_blocked(void *argument)
{
    struct stage *stage = argument;
    char *info = redis_text(&stage->server, "INFO clients");
    bool is_blocked = !strstr(info, "blocked_clients:0");
    free(info);
    return is_blocked;
}

static int cancel_call(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_task *task = stage_spawn(pop_for_ever, stage);
    expect_that(stage_wait_until(somebody_is_blocked, stage));
    coro_task_cancel(task);
    expect_that(stage_result(task) == -ECANCELED);
    redis_do(&stage->server, "RPUSH list x");
    expect_that(stage_text_is(redis, "now", "ECHO", "now"));
    coro_redis_stop(redis);
    return 0;
}

static void a_cancelled_call_leaves_the_connection_usable(void **state)
{
    stage_play(*state, cancel_call);
}

static int incr_once(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis_reply *reply = NULL;
    int status = coro_redis_call(stage->redis, 2, CORO_REDIS_ARGS("INCR", "n"),
                                 CORO_NEVER, &reply);
    coro_redis_reply_free(reply);
    return status;
}

static bool has_incremented(void *argument)
{
    struct stage *stage = argument;
    char *n = redis_text(&stage->server, "GET n");
    bool has = n != NULL;
    free(n);
    return has;
}

static void cancel_from_event(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    coro_task_cancel(argument);
}

/* Both events are there when the loop looks, and come in this order: the caller
 * is cancelled, and before it runs again its reply is read. */
static int cancel_with_reply(void *argument)
{
    struct stage *stage = argument;
    int fds[2] = {-1, -1};
    expect_that(pipe2(fds, O_CLOEXEC) == 0);
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    redis_server_pause(&stage->server);
    struct coro_task *task = stage_spawn(incr_once, stage);
    struct event *event = event_new(coro_loop_event_base(coro_loop_current()),
                                    fds[0], EV_READ, cancel_from_event, task);
    event_add(event, NULL);
    coro_sleep(5); /* the command is written */
    expect_that(write(fds[1], "x", 1) == 1);
    redis_server_resume(&stage->server);
    expect_that(wait_until(has_incremented, stage, PATIENCE_MS));
    redis_do(&stage->server, "PING");
    expect_that(stage_result(task) == -ECANCELED);
    expect_that(stage_integer(redis, "INCR", "n") == 2);
    event_free(event);
    close(fds[0]);
    close(fds[1]);
    coro_redis_stop(redis);
    return 0;
}

static void a_reply_that_races_with_a_cancellation_is_not_leaked(void **state)
{
    stage_play(*state, cancel_with_reply);
}

/* --- dropping and stopping ------------------------------------------------ */

static int drop(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    uint64_t generation = coro_redis_generation(redis);
    int64_t id = coro_redis_client_id(redis);
    struct coro_task *one = stage_spawn(pop_for_ever, stage);
    struct coro_task *two = stage_spawn(incr_once, stage);
    coro_relax();
    coro_redis_drop(redis, "no\nuse");
    expect_that(!coro_redis_is_up(redis));
    coro_redis_drop(redis, "nothing to drop");
    expect_that(strcmp(coro_redis_reason(redis), "no") == 0);
    expect_that(stage_result(one) == -ECONNRESET);
    expect_that(stage_result(two) == -ECONNRESET);
    expect_that(coro_redis_call(redis, 1, CORO_REDIS_ARGS("PING"), CORO_NEVER,
                                NULL) == -ENOTCONN);
    expect_that(coro_redis_client_id(redis) == -1);
    stage_wait_up(stage);
    expect_that(coro_redis_generation(redis) == generation + 1);
    expect_that(coro_redis_client_id(redis) > id);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    coro_redis_stop(redis);
    return 0;
}

static void dropping_loses_what_is_outstanding_and_connects_anew(void **state)
{
    stage_play(*state, drop);
}

static int stop_outstanding(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_task *one = stage_spawn(pop_for_ever, stage);
    struct coro_task *two = stage_spawn(incr_once, stage);
    coro_relax();
    coro_redis_stop(redis);
    expect_that(stage_result(one) == -ECONNRESET);
    expect_that(stage_result(two) == -ECONNRESET);
    return 0;
}

static void stopping_loses_what_is_outstanding(void **state)
{
    stage_play(*state, stop_outstanding);
}

static int not_yet(void *argument)
{
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(!coro_redis_is_up(redis));
    expect_that(coro_redis_generation(redis) == 0);
    expect_that(coro_redis_client_id(redis) == -1);
    expect_that(strcmp(coro_redis_reason(redis), "") == 0);
    expect_that(coro_redis_call(redis, 1, CORO_REDIS_ARGS("PING"), CORO_NEVER,
                                NULL) == -ENOTCONN);
    expect_that(coro_redis_pipeline(redis, NULL, 0, CORO_NEVER, NULL) ==
                -ENOTCONN);
    expect_that(coro_redis_wait_up(redis, 0) == -ETIMEDOUT);
    coro_redis_stop(redis);
    return 0;
}

static void a_call_before_it_is_up_is_not_sent(void **state)
{
    stage_play(*state, not_yet);
}

/* --- the bound of what is outstanding ------------------------------------- */

#define NLARGE 6

static size_t nlarge_ended;
static char *large_value;

static int ask_large(void *argument)
{
    struct stage *stage = argument;
    const char *argv[] = {"EXISTS", large_value};
    const size_t lens[] = {6, LARGE_BYTES};
    int status = coro_redis_call(stage->redis, 2, argv, lens, CORO_NEVER, NULL);
    nlarge_ended++;
    return status;
}

/* Calls more than may be outstanding while the server is frozen. */
static void call_large(struct stage *stage, struct coro_task **tasks)
{
    nlarge_ended = 0;
    large_value = calloc(1, LARGE_BYTES);
    redis_server_pause(&stage->server);
    for (size_t i = 0; i < NLARGE; i++)
        tasks[i] = stage_spawn(ask_large, stage);
    coro_sleep(20);
    expect_that(nlarge_ended == 0);
}

static int bounded(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_task *tasks[NLARGE];
    call_large(stage, tasks);
    expect_that(coro_redis_call(redis, 1, CORO_REDIS_ARGS("PING"),
                                coro_after(10), NULL) == -ETIMEDOUT);
    redis_server_resume(&stage->server);
    for (size_t i = 0; i < NLARGE; i++)
        expect_that(stage_result(tasks[i]) == 0);
    free(large_value);
    coro_redis_stop(redis);
    return 0;
}

static void callers_wait_while_too_much_is_outstanding(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG RESETSTAT");
    stage_play(stage, bounded);
    char *info = redis_text(&stage->server, "INFO commandstats");
    bool has_exists = strstr(info, "cmdstat_exists:calls=6,");
    /* It found no room in time, and so was never sent. */
    bool has_ping = strstr(info, "cmdstat_ping:");
    free(info);
    assert_true(has_exists);
    assert_false(has_ping);
}

static int stop_when_full(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_task *tasks[NLARGE];
    call_large(stage, tasks);
    coro_redis_stop(redis);
    for (size_t i = 0; i < NLARGE; i++) {
        int result = stage_result(tasks[i]);
        expect_that(result == -ECONNRESET || result == -ENOTCONN);
    }
    redis_server_resume(&stage->server);
    free(large_value);
    return 0;
}

static void stopping_ends_callers_that_wait_for_room(void **state)
{
    stage_play(*state, stop_when_full);
}

static int drop_when_full(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, stage->server.port);
    struct coro_task *tasks[NLARGE];
    call_large(stage, tasks);
    coro_redis_drop(redis, "test");
    redis_server_resume(&stage->server);
    for (size_t i = 0; i < NLARGE; i++) {
        int result = stage_result(tasks[i]);
        expect_that(result == -ECONNRESET || result == -ENOTCONN);
    }
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    free(large_value);
    coro_redis_stop(redis);
    return 0;
}

static void dropping_ends_callers_that_wait_for_room(void **state)
{
    stage_play(*state, drop_when_full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(a_late_reply_goes_to_nobody_else),
        STAGE_TEST(a_cancelled_call_leaves_the_connection_usable),
        STAGE_TEST(a_reply_that_races_with_a_cancellation_is_not_leaked),
        STAGE_TEST(dropping_loses_what_is_outstanding_and_connects_anew),
        STAGE_TEST(stopping_loses_what_is_outstanding),
        STAGE_TEST(a_call_before_it_is_up_is_not_sent),
        STAGE_TEST(callers_wait_while_too_much_is_outstanding),
        STAGE_TEST(stopping_ends_callers_that_wait_for_room),
        STAGE_TEST(dropping_ends_callers_that_wait_for_room),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
