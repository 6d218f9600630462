/*
 * Real sentinels find the primary, and find it again. A failover takes them a
 * second or more, so these tests take longer than others.
 */
#include "tests/integration/redis_stage.h"
#include "tests/support/sentinel_set.h"

static struct sentinel_set *set_of(const struct stage *stage)
{
    return stage->own;
}

static int open_set(void **state)
{
    static struct stage stage;
    static struct sentinel_set set;
    stage = (struct stage){.own = &set};
    sentinel_set_start(&set);
    *state = &stage;
    return 0;
}

static int close_set(void **state)
{
    struct stage *stage = *state;
    proxy_stop(stage->proxy);
    sentinel_set_release(stage->own);
    return 0;
}

static int clear(void **state)
{
    struct stage *stage = *state;
    proxy_stop(stage->proxy);
    stage->proxy = NULL;
    return 0;
}

/* Sets the next connection to ask @nsentinels at @ports for @name. */
static void aim_at(struct stage *stage, const uint16_t *ports,
                   size_t nsentinels, char *name)
{
    static char host[] = "127.0.0.1";
    static struct coro_redis_host hosts[SENTINELS];
    for (size_t i = 0; i < nsentinels; i++)
        hosts[i] = (struct coro_redis_host){host, ports[i]};
    stage_aim(stage, 0);
    stage->address = (struct coro_redis_address){
        .sentinels = hosts,
        .nsentinels = nsentinels,
        .primary_name = name,
    };
}

static void aim(struct stage *stage)
{
    static char name[] = SENTINEL_SET_NAME;
    uint16_t ports[SENTINELS];
    for (size_t i = 0; i < SENTINELS; i++)
        ports[i] = set_of(stage)->sentinels[i].port;
    aim_at(stage, ports, SENTINELS, name);
}

/* Aims at a proxy that never answers, and behind it at a sentinel. */
static void aim_past_a_black_hole(struct stage *stage)
{
    static char name[] = SENTINEL_SET_NAME;
    uint16_t ports[] = {proxy_port(stage->proxy),
                        set_of(stage)->sentinels[1].port};
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    aim_at(stage, ports, 2, name);
}

static int with_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(set_of(stage)->sentinels[0].port);
    return 0;
}

static struct coro_redis *connect_to_primary(struct stage *stage)
{
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    return redis;
}

/* True when it is connected to @server, by the port that it says it has. */
static bool is_at(struct coro_redis *redis, const struct redis_server *server)
{
    struct coro_redis_reply *reply = stage_ask(redis, "CONFIG", "GET", "port");
    bool is_there = reply && coro_redis_reply_nitems(reply) == 2 &&
                    atoi(coro_redis_reply_text(coro_redis_reply_item(reply, 1),
                                               NULL)) == server->port;
    coro_redis_reply_free(reply);
    return is_there;
}

static bool has_failed(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_DOWN) >= 1;
}

/* Says what the reason was when that is not the expected one. */
static bool reason_has(const char *reason, const char *text)
{
    if (strstr(reason, text))
        return true;
    print_error("--- found the reason '%s'\n", reason);
    return false;
}

/* --- finding it ----------------------------------------------------------- */

static int find(void *argument)
{
    struct stage *stage = argument;
    aim(stage);
    struct coro_redis *redis = connect_to_primary(stage);
    expect_that(is_at(redis, &set_of(stage)->servers[0]));
    expect_that(stage_nevents(stage, CORO_REDIS_DOWN) == 0);
    coro_redis_stop(redis);
    return 0;
}

static void the_primary_is_found(void **state)
{
    stage_play(*state, find);
}

static int first_dead(void *argument)
{
    static char name[] = SENTINEL_SET_NAME;
    struct stage *stage = argument;
    uint16_t ports[] = {proxy_port(stage->proxy),
                        set_of(stage)->sentinels[1].port};
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    aim_at(stage, ports, 2, name);
    struct coro_redis *redis = connect_to_primary(stage);
    expect_that(is_at(redis, &set_of(stage)->servers[0]));
    expect_that(stage_nevents(stage, CORO_REDIS_DOWN) == 0);
    coro_redis_stop(redis);
    return 0;
}

static void a_dead_sentinel_is_passed_over(void **state)
{
    stage_play(*state, first_dead);
}

static int first_silent(void *argument)
{
    struct stage *stage = argument;
    aim_past_a_black_hole(stage);
    struct coro_redis *redis = connect_to_primary(stage);
    expect_that(proxy_naccepted(stage->proxy) == 1);
    coro_redis_drop(redis, "test");
    stage_wait_up(stage);
    expect_that(is_at(redis, &set_of(stage)->servers[0]));
    expect_that(proxy_naccepted(stage->proxy) == 1);
    coro_redis_stop(redis);
    return 0;
}

static void a_silent_sentinel_is_given_up_in_time_and_asked_last(void **state)
{
    stage_play(*state, first_silent);
}

static int by_name(void *argument)
{
    static char host[] = "localhost";
    struct stage *stage = argument;
    aim(stage);
    for (size_t i = 0; i < SENTINELS; i++)
        stage->address.sentinels[i].name = host;
    struct coro_redis *redis = connect_to_primary(stage);
    expect_that(is_at(redis, &set_of(stage)->servers[0]));
    coro_redis_stop(redis);
    return 0;
}

static void the_names_of_sentinels_are_resolved(void **state)
{
    stage_play(*state, by_name);
}

static int log_in(void *argument)
{
    static char user[] = "limited", password[] = "secret";
    struct stage *stage = argument;
    aim(stage);
    stage->address.user = user;
    stage->address.password = password;
    struct coro_redis *redis = connect_to_primary(stage);
    expect_that(stage_text_is(redis, "limited", "ACL", "WHOAMI"));
    struct coro_redis_reply *reply = stage_ask(redis, "ROLE");
    expect_that(coro_redis_reply_is_error(reply, "NOPERM"));
    coro_redis_reply_free(reply);
    coro_redis_stop(redis);
    return 0;
}

static void who_may_not_ask_for_the_role_trusts_the_sentinels(void **state)
{
    struct stage *stage = *state;
    redis_do(&set_of(stage)->servers[0],
             "ACL SETUSER limited on >secret ~* +@all -role");
    stage_play(stage, log_in);
}

/* --- finding nothing ------------------------------------------------------ */

static int wrong_name(void *argument)
{
    static char name[] = "wrong";
    struct stage *stage = argument;
    aim(stage);
    stage->address.primary_name = name;
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    char text[400];
    const struct redis_server *sentinels = set_of(stage)->sentinels;
    snprintf(text, sizeof text,
             "no sentinel tells where 'wrong' is: "
             "127.0.0.1:%d: knows no primary of that name; "
             "127.0.0.1:%d: knows no primary of that name; "
             "127.0.0.1:%d: knows no primary of that name",
             sentinels[0].port, sentinels[1].port, sentinels[2].port);
    expect_that(reason_has(stage->reasons[0], text));
    expect_that(!stage->events[0].refused_us);
    coro_redis_stop(redis);
    return 0;
}

static void a_name_that_nobody_knows_is_the_reason(void **state)
{
    stage_play(*state, wrong_name);
}

static int no_sentinel(void *argument)
{
    static char name[] = SENTINEL_SET_NAME;
    struct stage *stage = argument;
    uint16_t ports[] = {proxy_port(stage->proxy),
                        set_of(stage)->servers[0].port};
    proxy_set_mode(stage->proxy, PROXY_REFUSE);
    aim_at(stage, ports, 2, name);
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    char text[200];
    snprintf(text, sizeof text,
             ": 127.0.0.1:%d: Connection refused; 127.0.0.1:%d: ERR unknown",
             ports[0], ports[1]);
    expect_that(reason_has(stage->reasons[0], text));
    coro_redis_stop(redis);
    return 0;
}

static void who_was_asked_and_what_was_said_is_the_reason(void **state)
{
    stage_play(*state, no_sentinel);
}

static int stop_asking(void *argument)
{
    struct stage *stage = argument;
    for (int nturns = 0; nturns < 10; nturns++) {
        aim_past_a_black_hole(stage);
        struct coro_redis *redis = stage_start_redis(stage);
        for (int i = 0; i < nturns; i++)
            coro_sleep(i % 2);
        coro_redis_stop(redis);
        expect_that(stage->nevents == 0);
    }
    return 0;
}

static void it_can_be_stopped_while_it_asks(void **state)
{
    stage_play(*state, stop_asking);
}

/* --- following it --------------------------------------------------------- */

static int demoted(void *argument)
{
    struct stage *stage = argument;
    struct sentinel_set *set = set_of(stage);
    aim(stage);
    struct coro_redis *redis = connect_to_primary(stage);
    const struct redis_server *before = sentinel_set_primary(set);
    expect_that(is_at(redis, before));
    sentinel_set_swap(set);
    /* The connection stays, as it is nobody's business but ours. */
    struct coro_redis_reply *reply = stage_ask(redis, "SET", "key", "1");
    expect_that(coro_redis_reply_is_error(reply, "READONLY"));
    coro_redis_drop(redis, coro_redis_reply_text(reply, NULL));
    coro_redis_reply_free(reply);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(reason_has(stage->reasons[1], "READONLY"));
    size_t nfailed = stage_nevents(stage, CORO_REDIS_DOWN);
    while (stage_nevents(stage, CORO_REDIS_DOWN) < nfailed + 2)
        coro_sleep(1);
    char text[80];
    snprintf(text, sizeof text, "127.0.0.1:%d: it is a replica", before->port);
    expect_that(reason_has(coro_redis_reason(redis), text));
    sentinel_set_teach(set);
    stage_wait_up(stage);
    expect_that(is_at(redis, sentinel_set_primary(set)));
    expect_that(stage_text_is(redis, "OK", "SET", "key", "1"));
    coro_redis_stop(redis);
    return 0;
}

static void a_demoted_primary_is_left_for_the_new_one(void **state)
{
    stage_play(*state, demoted);
}

/* True when the stage's connection is up for the second time. */
static bool is_up_again(void *argument)
{
    const struct stage *stage = argument;
    return coro_redis_is_up(stage->redis) &&
           coro_redis_generation(stage->redis) == 2;
}

/* Connects twice, has the sentinels change the primary, and looks for both. */
static void follow(struct stage *stage,
                   bool (*change)(struct sentinel_set *set))
{
    struct sentinel_set *set = set_of(stage);
    aim(stage);
    struct coro_redis *redis = connect_to_primary(stage);
    stage->options.after = redis;
    stage->options.on_event = NULL;
    struct coro_redis *second = connect_to_primary(stage);
    expect_that(is_at(second, &set->servers[0]));
    expect_that(change(set));
    stage->redis = redis;
    expect_that(stage_wait_until(is_up_again, stage));
    expect_that(is_at(redis, &set->servers[1]));
    expect_that(stage_text_is(redis, "OK", "SET", "key", "1"));
    stage->redis = second;
    expect_that(stage_wait_until(is_up_again, stage));
    expect_that(is_at(second, &set->servers[1]));
    coro_redis_stop(second);
    coro_redis_stop(redis);
}

static int follow_failover(void *argument)
{
    follow(argument, sentinel_set_fail_over);
    return 0;
}

static void a_failover_is_followed(void **state)
{
    stage_play(*state, follow_failover);
}

static int follow_kill(void *argument)
{
    follow(argument, sentinel_set_kill_primary);
    return 0;
}

static void the_successor_of_a_killed_primary_is_found(void **state)
{
    stage_play(*state, follow_kill);
}

static bool swap_and_teach(struct sentinel_set *set)
{
    sentinel_set_swap(set);
    sentinel_set_teach(set);
    return true;
}

static int follow_news(void *argument)
{
    struct stage *stage = argument;
    follow(stage, swap_and_teach);
    expect_that(reason_has(stage->reasons[1], "the primary is another one"));
    return 0;
}

/* Nobody closes these connections. */
static void a_primary_that_sentinels_name_no_more_is_left(void **state)
{
    stage_play(*state, follow_news);
}

#define FIND_TEST(name) cmocka_unit_test_teardown(name, clear)
#define PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, with_proxy, clear)
#define MOVE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_set, close_set)

int main(void)
{
    const struct CMUnitTest finding[] = {
        FIND_TEST(the_primary_is_found),
        PROXY_TEST(a_dead_sentinel_is_passed_over),
        PROXY_TEST(a_silent_sentinel_is_given_up_in_time_and_asked_last),
        FIND_TEST(the_names_of_sentinels_are_resolved),
        FIND_TEST(who_may_not_ask_for_the_role_trusts_the_sentinels),
        FIND_TEST(a_name_that_nobody_knows_is_the_reason),
        PROXY_TEST(who_was_asked_and_what_was_said_is_the_reason),
        PROXY_TEST(it_can_be_stopped_while_it_asks),
    };
    const struct CMUnitTest following[] = {
        MOVE_TEST(a_demoted_primary_is_left_for_the_new_one),
        MOVE_TEST(a_failover_is_followed),
        MOVE_TEST(the_successor_of_a_killed_primary_is_found),
        MOVE_TEST(a_primary_that_sentinels_name_no_more_is_left),
    };
    int nfailed = cmocka_run_group_tests(finding, open_set, close_set);
    return nfailed + cmocka_run_group_tests(following, NULL, NULL);
}
