/*
 * The owner: its lease is there while it lives, with a number for each time it
 * was taken; and when it leaves nothing of it is left.
 */
#include "tests/integration/least_stage.h"

#define INBOX    LEAST_INBOX("q")
#define INFLIGHT LEAST_INFLIGHT("q")

static struct owner *begin(struct stage *stage, uint16_t port)
{
    least_open(stage, port);
    expect_that(owner_start(&least.owner, coro_loop_current()) == 0);
    return &least.owner;
}

static bool wait_held(void)
{
    return owner_wait_held(&least.owner, coro_after(PATIENCE_MS)) == 0;
}

static void end(struct stage *stage)
{
    owner_stop(&least.owner);
    least_close(stage);
}

static bool has_number(struct stage *stage, const char *number)
{
    char wanted[OWNER_VALUE_MAX];
    snprintf(wanted, sizeof wanted, "%s:%s", number, least.owner.where);
    return least_gives(stage, wanted, "GET " LEAST_LEASE) &&
           strcmp(least.owner.value, wanted) == 0;
}

static bool was_held_twice(void *argument)
{
    (void)argument;
    return least.nheld == 2 && owner_is_current(&least.owner);
}

/* --- taking --------------------------------------------------------------- */

static int take(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    expect_that(!owner_is_current(owner));
    expect_that(wait_held());
    expect_that(owner_is_current(owner));
    expect_that(owner->must_reconcile);
    expect_that(least.nheld == 1);
    expect_that(has_number(stage, "1"));
    int64_t left_ms = redis_integer(&stage->server, "PTTL " LEAST_LEASE);
    expect_that(left_ms > 10000 && left_ms <= 20000);
    end(stage);
    return 0;
}

static void the_lease_is_taken_and_all_its_queues_are_known(void **state)
{
    struct stage *stage = *state;
    least_prepare("a", "q:1");
    stage_play(stage, take);
    assert_true(least_gives(stage, LEAST_PROCESS " a " LEAST_PROCESS " q:1",
                            "SORT corq:owners ALPHA"));
}

static void a_full_server_gives_a_lease(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_fill_server(stage, true);
    stage_play(stage, take);
    assert_true(least_gives(stage, LEAST_PROCESS " q", "SMEMBERS corq:owners"));
}

static int take_supervised(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    owner->supervisor = 4711;
    expect_that(wait_held());
    char wanted[OWNER_VALUE_MAX];
    snprintf(wanted, sizeof wanted, "1:%s:4711", owner->where);
    expect_that(least_gives(stage, wanted, "GET " LEAST_LEASE));
    expect_that(strcmp(owner->value, wanted) == 0);
    pid_t supervisor = 0;
    expect_that(owner_value_is_local(wanted, owner->where, &supervisor));
    expect_that(supervisor == 4711);
    end(stage);
    return 0;
}

static void the_lease_names_the_supervisor(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, take_supervised);
}

static int take_when_repaired(void *argument)
{
    struct stage *stage = argument;
    begin(stage, stage->server.port);
    expect_that(owner_wait_held(&least.owner, coro_after(60)) == -ETIMEDOUT);
    expect_that(least_gives(stage, "0", "EXISTS " LEAST_LEASE));
    redis_do(&stage->server, "DEL corq:owners");
    expect_that(wait_held());
    end(stage);
    return 0;
}

/* A lease that no owner stands for would hide the jobs from the sweeper. */
static void without_being_known_there_is_no_lease(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    redis_do(&stage->server, "SET corq:owners nonsense");
    stage_play(stage, take_when_repaired);
}

static int reconnect(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    expect_that(wait_held());
    owner->must_reconcile = false;
    size_t ninbox = owner->queues[0].ninbox;
    coro_redis_drop(stage->redis, "test");
    expect_that(!owner_is_current(owner));
    expect_that(wait_held());
    expect_that(has_number(stage, "2"));
    expect_that(least.nheld == 2);
    expect_that(owner->must_reconcile);
    /* A pop of the connection that is gone may have moved one. */
    expect_that(owner->queues[0].ninbox > ninbox);
    end(stage);
    return 0;
}

static void a_reconnect_raises_the_number_and_asks_to_reconcile(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, reconnect);
}

static int claim_late(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    expect_that(wait_held());
    char old[OWNER_VALUE_MAX];
    memcpy(old, owner->value, sizeof old);
    coro_redis_drop(stage->redis, "test");
    expect_that(wait_held());
    expect_that(least_gives(stage, "-2",
                            "EVAL %s 4 " LEAST_LEASE " " INBOX " " INFLIGHT
                            " q %s 20000 10 1000 1",
                            script_claim.text, old));
    expect_that(least_gives(stage, "1",
                            "EVAL %s 4 " LEAST_LEASE " " INBOX " " INFLIGHT
                            " q %s 20000 10 1000 1",
                            script_claim.text, owner->value));
    end(stage);
    return 0;
}

static void a_burst_with_an_earlier_number_takes_nothing(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_push(stage, "q", 1, 1);
    stage_play(stage, claim_late);
    assert_true(least_gives(stage, "1", "HLEN " INFLIGHT));
}

/* --- keeping -------------------------------------------------------------- */

static bool is_past(void *time_ms)
{
    return coro_now_ms() > *(int64_t *)time_ms;
}

static int keep(void *argument)
{
    struct stage *stage = argument;
    begin(stage, stage->server.port);
    expect_that(wait_held());
    int64_t time_ms = coro_after(least.lease_ms + 100);
    expect_that(stage_wait_until(is_past, &time_ms));
    expect_that(least_gives(stage, "1", "EXISTS " LEAST_LEASE));
    expect_that(has_number(stage, "1"));
    expect_that(least.nheld == 1);
    end(stage);
    return 0;
}

static void the_lease_is_refreshed_while_the_process_lives(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least.lease_ms = 1000;
    stage_play(stage, keep);
    assert_true(redis_integer(&stage->server, "PTTL " LEAST_LEASE) <= 1000);
}

static int lose_lease(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    expect_that(wait_held());
    owner->must_reconcile = false;
    redis_do(&stage->server, "DEL " LEAST_LEASE " corq:owners");
    expect_that(stage_wait_until(was_held_twice, NULL));
    expect_that(has_number(stage, "2"));
    expect_that(owner->must_reconcile);
    expect_that(least_gives(stage, "1", "SCARD corq:owners"));
    end(stage);
    return 0;
}

static void a_lease_that_ran_out_is_told_and_taken_anew(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least.lease_ms = 400;
    stage_play(stage, lose_lease);
    assert_non_null(strstr(log_file_read(&file),
                           "the lease of this process ran out before it was "
                           "refreshed"));
}

static int note_lost(void *argument)
{
    struct stage *stage = argument;
    struct owner *owner = begin(stage, stage->server.port);
    expect_that(wait_held());
    owner_note_lost(owner);
    expect_that(!owner_is_current(owner));
    expect_that(wait_held());
    expect_that(has_number(stage, "2"));
    end(stage);
    return 0;
}

static void a_lease_that_a_burst_found_missing_is_taken_at_once(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, note_lost);
}

/* --- leaving -------------------------------------------------------------- */

static int leave(struct stage *stage, bool is_clean)
{
    begin(stage, stage->server.port);
    expect_that(wait_held());
    owner_stop(&least.owner);
    int njobs = owner_leave(&least.owner, is_clean, coro_after(PATIENCE_MS));
    expect_that(!owner_is_current(&least.owner));
    least_close(stage);
    return njobs;
}

static int leave_clean(void *argument)
{
    expect_that(leave(argument, true) == 6);
    return 0;
}

static void fill(struct stage *stage)
{
    least_put(stage, INFLIGHT, 1, 3);
    least_push(stage, INBOX, 4, 4);
    least_push(stage, "q", 5, 6);
    least_put(stage, LEAST_INFLIGHT("other"), 1, 2);
}

static void who_leaves_gives_all_back_and_is_forgotten(void **state)
{
    struct stage *stage = *state;
    least_prepare("q", "other");
    fill(stage);
    stage_play(stage, leave_clean);
    assert_true(least_counts(stage, "q", 1, 6));
    assert_true(least_counts(stage, "other", 1, 2));
    assert_true(least_gives(stage, "0", "DBSIZE"));
}

static int leave_with_pops(void *argument)
{
    expect_that(leave(argument, false) == 6);
    return 0;
}

/* What is blocked may still fill the inbox: then the sweeper needs to know. */
static void who_leaves_a_pop_behind_stays_known(void **state)
{
    struct stage *stage = *state;
    least_prepare("q", "other");
    fill(stage);
    stage_play(stage, leave_with_pops);
    assert_true(least_gives(stage, "2", "SCARD corq:owners"));
    assert_true(least_gives(stage, "0", "EXISTS " LEAST_LEASE));
}

static int leave_broken(void *argument)
{
    expect_that(leave(argument, true) == -EREMOTEIO);
    return 0;
}

static void a_queue_that_is_no_list_keeps_no_other_from_leaving(void **state)
{
    struct stage *stage = *state;
    least_prepare("q", "other");
    fill(stage);
    redis_do(&stage->server, "DEL q");
    redis_do(&stage->server, "SET q nonsense");
    stage_play(stage, leave_broken);
    assert_true(least_counts(stage, "other", 1, 2));
    assert_true(least_gives(stage, "1 2 3", "HVALS " INFLIGHT));
    assert_true(least_gives(stage, "0", "EXISTS " LEAST_LEASE));
    assert_true(least_gives(stage, LEAST_PROCESS " q", "SMEMBERS corq:owners"));
}

static int leave_to_another(void *argument)
{
    struct stage *stage = argument;
    begin(stage, stage->server.port);
    expect_that(wait_held());
    owner_stop(&least.owner);
    redis_do(&stage->server, "SET " LEAST_LEASE " 99:elsewhere");
    expect_that(owner_leave(&least.owner, true, coro_after(PATIENCE_MS)) == 0);
    least_close(stage);
    return 0;
}

static void a_lease_that_is_not_ours_is_left_alone(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    stage_play(stage, leave_to_another);
    assert_true(least_gives(stage, "99:elsewhere", "GET " LEAST_LEASE));
    assert_true(least_gives(stage, LEAST_PROCESS " q", "SMEMBERS corq:owners"));
}

static int leave_without_redis(void *argument)
{
    struct stage *stage = argument;
    begin(stage, proxy_port(stage->proxy));
    expect_that(wait_held());
    owner_stop(&least.owner);
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    int64_t start_ms = coro_now_ms();
    expect_that(owner_leave(&least.owner, true, coro_after(50)) < 0);
    expect_that(coro_now_ms() - start_ms < 5000);
    least_close(stage);
    return 0;
}

static void leaving_does_not_wait_for_ever(void **state)
{
    struct stage *stage = *state;
    least_prepare("q");
    least_put(stage, INFLIGHT, 1, 3);
    stage_play(stage, leave_without_redis);
    assert_true(least_gives(stage, "1 2 3", "HVALS " INFLIGHT));
    assert_true(least_gives(stage, LEAST_PROCESS " q", "SMEMBERS corq:owners"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(the_lease_is_taken_and_all_its_queues_are_known),
        LEAST_TEST(the_lease_names_the_supervisor),
        LEAST_TEST(a_full_server_gives_a_lease),
        LEAST_TEST(without_being_known_there_is_no_lease),
        LEAST_TEST(a_reconnect_raises_the_number_and_asks_to_reconcile),
        LEAST_TEST(a_burst_with_an_earlier_number_takes_nothing),
        LEAST_TEST(the_lease_is_refreshed_while_the_process_lives),
        LEAST_TEST(a_lease_that_ran_out_is_told_and_taken_anew),
        LEAST_TEST(a_lease_that_a_burst_found_missing_is_taken_at_once),
        LEAST_TEST(who_leaves_gives_all_back_and_is_forgotten),
        LEAST_TEST(who_leaves_a_pop_behind_stays_known),
        LEAST_TEST(a_queue_that_is_no_list_keeps_no_other_from_leaving),
        LEAST_TEST(a_lease_that_is_not_ours_is_left_alone),
        LEAST_PROXY_TEST(leaving_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
