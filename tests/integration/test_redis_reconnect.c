#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coro/sched/group.h"
#include "tests/integration/redis_stage.h"

/* --- there is no server --------------------------------------------------- */

static bool has_failed_thrice(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_DOWN) >= 3;
}

static int refused(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    stage_aim(stage, proxy_port(stage->proxy));
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed_thrice, stage));
    expect_that(!coro_redis_is_up(redis));
    for (size_t i = 0; i < 3; i++) {
        const struct coro_redis_event *event = &stage->events[i];
        expect_that(event->state == CORO_REDIS_DOWN);
        expect_that(strstr(event->reason, "Connection refused"));
        expect_that(!event->refused_us);
        /* 50 ms doubling, spread by half. */
        expect_that(event->retry_in_ms >= 25 << i);
        expect_that(event->retry_in_ms <= 75 << i);
    }
    expect_that(strstr(coro_redis_reason(redis), "Connection refused"));
    proxy_set_mode(stage->proxy, PROXY_PASS);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    expect_that(stage_nevents(stage, CORO_REDIS_UP) == 1);
    expect_that(coro_redis_generation(redis) == 1);
    coro_redis_stop(redis);
    return 0;
}

static int with_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return 0;
}

static void a_refused_connection_is_tried_again_after_growing_waits(
    void **state)
{
    stage_play(*state, refused);
}

static bool has_failed(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_DOWN) >= 1;
}

static int black_hole(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    stage_aim(stage, proxy_port(stage->proxy));
    stage->options.connect_timeout_ms = 50;
    int64_t start_ms = coro_now_ms();
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(coro_now_ms() - start_ms >= 50);
    expect_that(strcmp(stage->reasons[0], "no answer from the server") == 0);
    coro_redis_stop(redis);
    return 0;
}

static void a_server_that_says_nothing_is_given_up_in_time(void **state)
{
    stage_play(*state, black_hole);
}

/* A listener whose queue is full: further attempts to connect get no answer. */
static int open_full(int fds[4], uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fds[0], (struct sockaddr *)&address, len) < 0 ||
        listen(fds[0], 0) < 0 ||
        getsockname(fds[0], (struct sockaddr *)&address, &len) < 0)
        return -1;
    for (int i = 1; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&address, len);
    }
    *ret_port = ntohs(address.sin_port);
    return 0;
}

static void close_full(const int fds[4])
{
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

static int never_accepted(void *argument)
{
    struct stage *stage = argument;
    int fds[4];
    uint16_t port = 0;
    expect_that(open_full(fds, &port) == 0);
    stage_aim(stage, port);
    stage->options.connect_timeout_ms = 50;
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(
        strcmp(stage->reasons[0], "no answer to the connection attempt") == 0);
    coro_redis_stop(redis);
    close_full(fds);
    return 0;
}

static void a_connection_that_is_never_made_is_given_up_in_time(void **state)
{
    stage_play(*state, never_accepted);
}

/* --- names ---------------------------------------------------------------- */

static int by_name(void *argument)
{
    static char name[] = "localhost";
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.host = name;
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    coro_redis_stop(redis);
    return 0;
}

static void a_name_is_resolved(void **state)
{
    stage_play(*state, by_name);
}

static int no_such_name(void *argument)
{
    static char name[] = "no..such..name";
    struct stage *stage = argument;
    stage_aim(stage, stage->server.port);
    stage->address.host = name;
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(
        strstr(stage->reasons[0], "can't resolve the name 'no..such..name': "));
    coro_redis_stop(redis);
    return 0;
}

static void a_name_that_does_not_exist_is_named_in_the_reason(void **state)
{
    stage_play(*state, no_such_name);
}

/* --- losing the connection ------------------------------------------------ */

static int pop_for_ever(void *argument)
{
    struct stage *stage = argument;
    return coro_redis_call(stage->redis, 3,
                           CORO_REDIS_ARGS("BLPOP", "none", "0"), CORO_NEVER,
                           NULL);
}

/* Three calls are outstanding when @cut is done; then it comes up again. */
static void lose(struct stage *stage, uint16_t port,
                 void (*cut)(struct stage *stage))
{
    struct coro_redis *redis = stage_connect(stage, port);
    uint64_t generation = coro_redis_generation(redis);
    struct coro_task *tasks[3];
    for (size_t i = 0; i < 3; i++)
        tasks[i] = stage_spawn(pop_for_ever, stage);
    coro_sleep(5);
    cut(stage);
    for (size_t i = 0; i < 3; i++)
        expect_that(stage_result(tasks[i]) == -ECONNRESET);
    stage_wait_up(stage);
    expect_that(coro_redis_generation(redis) == generation + 1);
    expect_that(stage_nevents(stage, CORO_REDIS_UP) == 2);
    expect_that(stage_nevents(stage, CORO_REDIS_DOWN) >= 1);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    coro_redis_stop(redis);
}

static void kill_and_start(struct stage *stage)
{
    redis_server_kill(&stage->server);
    redis_server_again(&stage->server);
}

static int lose_server(void *argument)
{
    struct stage *stage = argument;
    lose(stage, stage->server.port, kill_and_start);
    return 0;
}

static void a_killed_server_fails_all_calls_and_is_found_again(void **state)
{
    stage_play(*state, lose_server);
}

static void cut_end(struct stage *stage)
{
    proxy_cut(stage->proxy, PROXY_CUT_END);
}

static void cut_reset(struct stage *stage)
{
    proxy_cut(stage->proxy, PROXY_CUT_RESET);
}

static void cut_half(struct stage *stage)
{
    proxy_cut(stage->proxy, PROXY_CUT_HALF);
}

static int lose_by_end(void *argument)
{
    struct stage *stage = argument;
    lose(stage, proxy_port(stage->proxy), cut_end);
    expect_that(strcmp(stage->reasons[1], "Server closed the connection") == 0);
    return 0;
}

static int lose_by_reset(void *argument)
{
    struct stage *stage = argument;
    lose(stage, proxy_port(stage->proxy), cut_reset);
    expect_that(strcmp(stage->reasons[1], "Connection reset by peer") == 0);
    return 0;
}

static int lose_by_half(void *argument)
{
    struct stage *stage = argument;
    lose(stage, proxy_port(stage->proxy), cut_half);
    return 0;
}

static void an_end_of_stream_is_a_loss(void **state)
{
    stage_play(*state, lose_by_end);
}

static void a_reset_is_a_loss(void **state)
{
    stage_play(*state, lose_by_reset);
}

static void a_half_closed_connection_is_a_loss(void **state)
{
    stage_play(*state, lose_by_half);
}

static int cut_in_the_middle(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis = stage_connect(stage, proxy_port(stage->proxy));
    uint64_t generation = coro_redis_generation(redis);
    /* "$5\r\nhello\r\n" ends in its length, in its bytes, before its end. */
    static const size_t places[] = {1, 6, 10};
    for (size_t i = 0; i < 3; i++) {
        struct coro_redis_reply *reply = NULL;
        proxy_cut_after(stage->proxy, places[i], PROXY_CUT_END);
        expect_that(coro_redis_call(redis, 2, CORO_REDIS_ARGS("ECHO", "hello"),
                                    coro_after(PATIENCE_MS),
                                    &reply) == -ECONNRESET);
        expect_that(reply == NULL);
        stage_wait_up(stage);
    }
    expect_that(coro_redis_generation(redis) == generation + 3);
    expect_that(stage_text_is(redis, "hello", "ECHO", "hello"));
    coro_redis_stop(redis);
    return 0;
}

static void a_reply_that_is_cut_in_the_middle_is_no_reply(void **state)
{
    stage_play(*state, cut_in_the_middle);
}

static int bytewise(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_BYTEWISE);
    struct coro_redis *redis = stage_connect(stage, proxy_port(stage->proxy));
    expect_that(stage_text_is(redis, "hello", "ECHO", "hello"));
    expect_that(stage_integer(redis, "RPUSH", "list", "a", "b") == 2);
    struct coro_redis_reply *reply =
        stage_ask(redis, "LRANGE", "list", "0", "-1");
    expect_that(coro_redis_reply_nitems(reply) == 2);
    coro_redis_reply_free(reply);
    coro_redis_stop(redis);
    return 0;
}

static void bytes_that_come_one_at_a_time_make_the_same_replies(void **state)
{
    stage_play(*state, bytewise);
}

/* --- one after another ---------------------------------------------------- */

static int after_another(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    stage_aim(stage, proxy_port(stage->proxy));
    struct coro_redis *first = stage_start_redis(stage);
    stage->options.after = first;
    stage->options.on_event = NULL;
    struct coro_redis *second = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(strcmp(coro_redis_reason(second), "") == 0);
    proxy_set_mode(stage->proxy, PROXY_PASS);
    stage_wait_up(stage);
    expect_that(coro_redis_is_up(first));
    expect_that(proxy_naccepted(stage->proxy) == 2);
    expect_that(coro_redis_client_id(second) > coro_redis_client_id(first));
    coro_redis_stop(second);
    coro_redis_stop(first);
    return 0;
}

static void a_second_connection_waits_for_the_first(void **state)
{
    stage_play(*state, after_another);
}

/* --- stopping in every state ---------------------------------------------- */

/* Stops after 0, 1, 2 … turns of the loop, so in every step of coming up. */
static int stop_on_the_way(void *argument)
{
    struct stage *stage = argument;
    for (int nturns = 0; nturns < 12; nturns++) {
        stage_aim(stage, stage->server.port);
        stage->options.client_name = "name";
        struct coro_redis *redis = stage_start_redis(stage);
        for (int i = 0; i < nturns; i++)
            coro_sleep(i % 2);
        coro_redis_stop(redis);
    }
    return 0;
}

static void it_can_be_stopped_at_every_step_of_coming_up(void **state)
{
    stage_play(*state, stop_on_the_way);
}

static int stop_connecting(void *argument)
{
    struct stage *stage = argument;
    int fds[4];
    uint16_t port = 0;
    expect_that(open_full(fds, &port) == 0);
    stage_aim(stage, port);
    struct coro_redis *redis = stage_start_redis(stage);
    coro_sleep(5);
    coro_redis_stop(redis);
    expect_that(stage->nevents == 0);
    close_full(fds);
    return 0;
}

static void it_can_be_stopped_while_it_connects(void **state)
{
    stage_play(*state, stop_connecting);
}

static int stop_greeting(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    stage_aim(stage, proxy_port(stage->proxy));
    struct coro_redis *redis = stage_start_redis(stage);
    coro_sleep(5);
    coro_redis_stop(redis);
    expect_that(stage->nevents == 0);
    return 0;
}

static void it_can_be_stopped_while_it_greets(void **state)
{
    stage_play(*state, stop_greeting);
}

static int stop_resolving(void *argument)
{
    static char name[] = "localhost";
    struct stage *stage = argument;
    for (int i = 0; i < 5; i++) {
        stage_aim(stage, stage->server.port);
        stage->address.host = name;
        struct coro_redis *redis = stage_start_redis(stage);
        for (int j = 0; j < i; j++)
            coro_relax();
        coro_redis_stop(redis);
    }
    return 0;
}

static void it_can_be_stopped_while_it_resolves(void **state)
{
    stage_play(*state, stop_resolving);
}

static int stop_waiting(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    stage_aim(stage, proxy_port(stage->proxy));
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed_thrice, stage));
    coro_redis_stop(redis);
    return 0;
}

static void it_can_be_stopped_between_two_attempts(void **state)
{
    stage_play(*state, stop_waiting);
}

static int stop_second(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    stage_aim(stage, proxy_port(stage->proxy));
    struct coro_redis *first = stage_start_redis(stage);
    stage->options.after = first;
    struct coro_redis *second = stage_start_redis(stage);
    coro_sleep(5);
    coro_redis_stop(second);
    coro_redis_stop(first);
    return 0;
}

static void it_can_be_stopped_while_it_waits_for_another(void **state)
{
    stage_play(*state, stop_second);
}

int main(void)
{
#define PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, with_proxy, stage_clear)
    const struct CMUnitTest tests[] = {
        PROXY_TEST(a_refused_connection_is_tried_again_after_growing_waits),
        PROXY_TEST(a_server_that_says_nothing_is_given_up_in_time),
        STAGE_TEST(a_connection_that_is_never_made_is_given_up_in_time),
        STAGE_TEST(a_name_is_resolved),
        STAGE_TEST(a_name_that_does_not_exist_is_named_in_the_reason),
        STAGE_TEST(a_killed_server_fails_all_calls_and_is_found_again),
        PROXY_TEST(an_end_of_stream_is_a_loss),
        PROXY_TEST(a_reset_is_a_loss),
        PROXY_TEST(a_half_closed_connection_is_a_loss),
        PROXY_TEST(a_reply_that_is_cut_in_the_middle_is_no_reply),
        PROXY_TEST(bytes_that_come_one_at_a_time_make_the_same_replies),
        PROXY_TEST(a_second_connection_waits_for_the_first),
        STAGE_TEST(it_can_be_stopped_at_every_step_of_coming_up),
        STAGE_TEST(it_can_be_stopped_while_it_connects),
        PROXY_TEST(it_can_be_stopped_while_it_greets),
        STAGE_TEST(it_can_be_stopped_while_it_resolves),
        PROXY_TEST(it_can_be_stopped_between_two_attempts),
        PROXY_TEST(it_can_be_stopped_while_it_waits_for_another),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
