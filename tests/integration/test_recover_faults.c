/*
 * Recovering a process: cut short anywhere, with a lease that comes back, and
 * with keys that can't be used.
 */
#include "tests/integration/recover_stage.h"

/* --- again, and cut short ------------------------------------------------- */

static void doing_it_again_changes_nothing(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
    recover_play(stage, 9);
    recover_play(stage, 0);
    recover_play(stage, 0);
    assert_true(recover_is_back(stage));
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

static void wherever_it_is_cut_nothing_is_lost_or_charged_twice(void **state)
{
    play_cuts(*state, (struct cut){.fill = recover_fill,
                                   .is_right = recover_is_charged_once});
}

static void nor_when_it_is_to_be_set_aside(void **state)
{
    play_cuts(*state, (struct cut){.fill = recover_fill_last,
                                   .is_right = recover_is_dead_once});
}

static void fill_killed(struct stage *stage)
{
    recover_fill(stage);
    dead.corpse.cause = RECOVER_KILLED;
}

/* Each that ran; "1" to "5", and "10". */
static bool are_counted_once(struct stage *stage)
{
    return least_gives(stage, "6 6", "EVAL %s 0",
                       "local sum, keys = 0, "
                       "redis.call('KEYS', 'corq:crashes:*') "
                       "for _, key in ipairs(keys) do sum = sum + "
                       "redis.call('HGET', key, 'died') end "
                       "return {#keys, sum}") &&
           least_gives(stage, "9 8 7 6 5 4 3 2 1", "LRANGE q 0 -1") &&
           least_gives(stage, "11 10", "LRANGE other 0 -1") &&
           least_gives(stage, "", "KEYS corq:in*");
}

static void nor_when_all_that_ran_are_counted(void **state)
{
    play_cuts(*state,
              (struct cut){.fill = fill_killed, .is_right = are_counted_once});
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
    recover_fill(stage);
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
    recover_fill(stage);
    least_fill_server(stage, true);
    recover_play(stage, 9);
    least_fill_server(stage, false);
    assert_true(recover_is_charged_once(stage));
    redis_do(&stage->server, "FLUSHALL");
    recover_fill_last(stage);
    least_fill_server(stage, true);
    recover_play(stage, 9);
    least_fill_server(stage, false);
    assert_true(recover_is_dead_once(stage));
}

static void a_counter_of_the_wrong_type_is_told_and_left(void **state)
{
    struct stage *stage = *state;
    recover_fill_last(stage);
    redis_do(&stage->server, "SET " RECOVER_COUNTER " nonsense");
    recover_play(stage, 9);
    assert_true(least_gives(stage, "nonsense", "GET " RECOVER_COUNTER));
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(recover_logged("a crash can't be counted: WRONGTYPE"));
}

static void a_dead_set_that_is_none_has_it_go_back(void **state)
{
    struct stage *stage = *state;
    recover_fill_last(stage);
    redis_do(&stage->server, "SET corq:dead nonsense");
    recover_play(stage, 9);
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(least_gives(stage, "", "KEYS corq:in*"));
    assert_true(
        recover_logged("a job that crashes the worker can't be set aside: "
                       "WRONGTYPE"));
}

static void a_queue_that_is_no_list_keeps_no_other_from_it(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
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
    recover_fill(stage);
    redis_do(&stage->server, "SET " DEAD_INFLIGHT("q") " nonsense");
    recover_play(stage, -EREMOTEIO);
    assert_true(least_gives(stage, "11 10", "LRANGE other 0 -1"));
    assert_true(least_gives(stage, "9 8 7 6", "LRANGE q 0 -1"));
    assert_true(
        recover_logged("what crashed the worker is not told: WRONGTYPE"));
}

static int recover_as_ann(void *argument)
{
    struct stage *stage = argument;
    stage_connect_as_ann(stage);
    expect_that(recover_now(stage) == dead.wanted);
    coro_redis_stop(stage->redis);
    return 0;
}

static void who_may_not_count_gives_back_and_says_so(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
    redis_do(&stage->server,
             "ACL SETUSER ann on >pw ~q ~other ~corq:lease:* ~corq:inbox:* "
             "~corq:inflight:* +@all");
    dead.wanted = 9;
    stage_play(stage, recover_as_ann);
    redis_do(&stage->server, "ACL DELUSER ann");
    assert_true(least_gives(stage, "", "KEYS corq:crashes:*"));
    assert_true(least_gives(stage, "9", "LLEN q"));
    assert_true(recover_logged("a crash can't be counted: NOPERM"));
}

/* For reasons that may pass. Sweepers leave alone what has a lease. */
static void the_lease_stays_while_it_can_t_be_counted(void **state)
{
    struct stage *stage = *state;
    recover_fill(stage);
    redis_do(&stage->server, "SET " DEAD_LEASE " 1:x");
    redis_do(&stage->server, "ACL SETUSER ann on >pw ~* +@all -hexists");
    dead.wanted = -EREMOTEIO;
    stage_play(stage, recover_as_ann);
    redis_do(&stage->server, "ACL DELUSER ann");
    assert_true(least_gives(stage, "1", "EXISTS " DEAD_LEASE));
    assert_true(least_gives(stage, "5", "HLEN " DEAD_INFLIGHT("q")));
    recover_play(stage, 9);
    assert_true(recover_is_charged_once(stage));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECOVER_TEST(doing_it_again_changes_nothing),
        RECOVER_TEST(wherever_it_is_cut_nothing_is_lost_or_charged_twice),
        RECOVER_TEST(nor_when_it_is_to_be_set_aside),
        RECOVER_TEST(nor_when_all_that_ran_are_counted),
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
