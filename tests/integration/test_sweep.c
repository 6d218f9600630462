/*
 * The sweeper: whoever is gone is found, whoever lives is left alone.
 */
#include <sys/wait.h>

#include "master/queue/sweep.h"
#include "tests/integration/least_stage.h"

#define DEAD          "host:2:cd"
#define DEAD_LEASE    OWNER_LEASE_PREFIX DEAD
#define DEAD_INBOX    OWNER_INBOX_PREFIX DEAD ":q"
#define DEAD_INFLIGHT OWNER_INFLIGHT_PREFIX DEAD ":q"

#define LEASE_MS 400

static struct sweep sweep;
static struct schedule schedule;

/* Starts the sweeper of the process that leads. */
static void begin(struct stage *stage)
{
    schedule = (struct schedule){
        .is_leader = true,
        .leader_until_ms = CORO_NEVER,
    };
    least_open(stage, stage->server.port);
    coro_group_init(&least.group, coro_loop_current());
    expect_that(sweep_start(&sweep, &(struct sweep_options){
                                        .group = &least.group,
                                        .redis = stage->redis,
                                        .process = least.owner.process,
                                        .lease_ms = least.owner.lease_ms,
                                        .schedule = &schedule,
                                    }) == 0);
}

static void end(struct stage *stage)
{
    coro_group_close(&least.group);
    sweep_release(&sweep);
    least_close(stage);
}

static bool has_suspects(void *argument)
{
    (void)argument;
    return !list_is_empty(&sweep.suspects);
}

static bool has_none(void *argument)
{
    return !has_suspects(argument);
}

/* A look is counted when it begins, and has ended when there is a time. */
static bool has_looked(void *nlooks)
{
    return sweep.nlooks >= *(uint64_t *)nlooks && sweep.last_ms > 0;
}

/* Waits until the sweeper has looked so many times more. */
static bool looks_again(uint64_t ntimes)
{
    uint64_t nlooks = sweep.nlooks + ntimes;
    return stage_wait_until(has_looked, &nlooks);
}

/* What a process had when it ended. */
static void leave_behind(struct stage *stage)
{
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    least_put(stage, DEAD_INFLIGHT, 1, 3);
    least_push(stage, DEAD_INBOX, 4, 5);
    least_push(stage, "q", 6, 6);
}

static void prepare(void)
{
    least_prepare("q");
    least.lease_ms = LEASE_MS;
}

/* --- who is gone ---------------------------------------------------------- */

static int recover(void *argument)
{
    struct stage *stage = argument;
    int64_t start_ms = coro_now_ms();
    begin(stage);
    expect_that(least_sees(stage, "6", "LLEN q"));
    /* One look at a missing lease is not enough. */
    expect_that(coro_now_ms() - start_ms >= LEASE_MS / 2);
    expect_that(sweep.nlooks >= 2);
    expect_that(least_logs("given back, of a process that is gone: 5 jobs "
                           "process=host:2:cd queue=q"));
    end(stage);
    return 0;
}

static void a_lease_that_is_missing_twice_means_orphans(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    stage_play(stage, recover);
    assert_true(least_counts(stage, "q", 1, 6));
    assert_true(
        least_gives(stage, "0", "EXISTS " DEAD_INBOX " " DEAD_INFLIGHT));
}

static void what_is_ours_is_not_looked_at(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "SADD corq:owners %s", LEAST_PROCESS " q");
    least_put(stage, LEAST_INFLIGHT("q"), 1, 2);
    stage_play(stage, recover);
    assert_true(least_gives(stage, "1 2", "HVALS " LEAST_INFLIGHT("q")));
}

static void what_can_t_be_used_keeps_no_other_from_being_found(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "SADD corq:owners nonsense %s %s",
             "host:3:ef broken", "host:4:ab q");
    redis_do(&stage->server, "SET broken nonsense");
    least_put(stage, OWNER_INFLIGHT_PREFIX "host:3:ef:broken", 1, 1);
    redis_do(&stage->server, "LPUSH " OWNER_LEASE_PREFIX "host:4:ab 1");
    stage_play(stage, recover);
    assert_true(least_gives(stage, "1",
                            "HLEN " OWNER_INFLIGHT_PREFIX "host:3:ef:broken"));
    assert_true(least_gives(stage, "1", "SISMEMBER corq:owners nonsense"));
}

static void the_net_finds_what_no_owner_stands_for(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    redis_do(&stage->server, "DEL corq:owners");
    stage_play(stage, recover);
    assert_true(least_counts(stage, "q", 1, 6));
}

static int recover_by_inbox(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(least_sees(stage, "2 1", "LRANGE q:x:y 0 -1"));
    end(stage);
    return 0;
}

static void the_net_knows_queues_with_colons_by_their_inbox(void **state)
{
    struct stage *stage = *state;
    prepare();
    least_push(stage, OWNER_INBOX_PREFIX DEAD ":q:x:y", 1, 2);
    least_push(stage, OWNER_INBOX_PREFIX "nonsense", 1, 2);
    stage_play(stage, recover_by_inbox);
    assert_true(least_gives(stage, "2", "LLEN " OWNER_INBOX_PREFIX "nonsense"));
}

/* --- who lives ------------------------------------------------------------ */

static int come_back(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    redis_do(&stage->server, "SET " DEAD_LEASE " 2:elsewhere");
    expect_that(stage_wait_until(has_none, NULL));
    expect_that(looks_again(4));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    expect_that(least_gives(stage, "2", "LLEN " DEAD_INBOX));
    end(stage);
    return 0;
}

static void a_lease_that_comes_back_is_left_alone(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, come_back);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static bool is_past(void *time_ms)
{
    return coro_now_ms() > *(int64_t *)time_ms;
}

static bool has_begun(void *nlooks)
{
    return sweep.nlooks >= *(uint64_t *)nlooks;
}

/* Redis stands still for longer than a lease; then, when @nlooks more looks
 * have begun, and so all before have ended, the dead one takes its lease. */
static void freeze(struct stage *stage, uint64_t nlooks)
{
    redis_server_pause(&stage->server);
    int64_t time_ms = coro_after(least.lease_ms * 3 / 2);
    expect_that(stage_wait_until(is_past, &time_ms));
    nlooks += sweep.nlooks;
    redis_server_resume(&stage->server);
    expect_that(stage_wait_until(has_begun, &nlooks));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    redis_do(&stage->server, "SET " DEAD_LEASE " 2:elsewhere");
    expect_that(looks_again(4));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
}

static int freeze_between_looks(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(looks_again(1));
    expect_that(has_suspects(NULL));
    freeze(stage, 1);
    end(stage);
    return 0;
}

static void a_redis_that_stood_still_proves_nobody_dead(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, freeze_between_looks);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static int freeze_in_a_look(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    expect_that(sweep.last_ms == 0);
    freeze(stage, 2);
    end(stage);
    return 0;
}

/* The leases were looked at before; what comes after them takes long. */
static void nor_does_one_that_stood_still_in_the_middle_of_a_look(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    redis_do(&stage->server, "EVAL %s 0",
             "for i = 1, 500 do redis.call('LPUSH', '" OWNER_INBOX_PREFIX
             "host:3:ef:' .. i, i) end");
    stage_play(stage, freeze_in_a_look);
    assert_true(least_gives(stage, "6", "LRANGE q 0 -1"));
}

static int reconnect(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    expect_that(stage_wait_until(has_suspects, NULL));
    for (int i = 0; i < 3; i++) {
        coro_redis_drop(stage->redis, "test");
        stage_wait_up(stage);
        expect_that(looks_again(1));
    }
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    expect_that(least_sees(stage, "6", "LLEN q"));
    end(stage);
    return 0;
}

static void nor_does_a_connection_that_was_lost(void **state)
{
    struct stage *stage = *state;
    prepare();
    least.lease_ms = 1000;
    leave_behind(stage);
    stage_play(stage, reconnect);
}

static int follow(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    schedule.is_leader = false;
    int64_t time_ms = coro_after(2 * LEASE_MS);
    expect_that(stage_wait_until(is_past, &time_ms));
    expect_that(sweep.nlooks == 1);
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    schedule.is_leader = true;
    expect_that(least_sees(stage, "6", "LLEN q"));
    end(stage);
    return 0;
}

static void only_the_leader_goes_on_looking(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    stage_play(stage, follow);
}

/* --- processes of this machine -------------------------------------------- */

/* A process id that nobody has (any more). */
static pid_t dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* A process with this number, its lease and two jobs. */
struct local {
    pid_t pid;
    const char *where; /* NULL: where we are */
    bool is_gone;      /* and known to be */
    const char *more;  /* what the lease's value says behind that, or NULL */
};

static struct local local;

static int look_at_local(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    schedule.is_leader = false;
    char lease[100], inflight[100];
    snprintf(lease, sizeof lease, OWNER_LEASE_PREFIX "host:%d:cd",
             (int)local.pid);
    snprintf(inflight, sizeof inflight, OWNER_INFLIGHT_PREFIX "host:%d:cd:q",
             (int)local.pid);
    redis_do(&stage->server, "SET %s 1:%s%s PX 60000", lease,
             local.where ? local.where : least.owner.where,
             local.more ? local.more : "");
    redis_do(&stage->server, "SADD corq:owners host:%d:cd%bq", (int)local.pid,
             " ", (size_t)1);
    least_put(stage, inflight, 1, 2);
    expect_that(looks_again(1));
    if (local.is_gone)
        expect_that(least_gives(stage, "2 1", "LRANGE q 0 -1"));
    expect_that(
        least_gives(stage, local.is_gone ? "0" : "1", "EXISTS %s", lease));
    expect_that(
        least_gives(stage, local.is_gone ? "0" : "2", "HLEN %s", inflight));
    end(stage);
    return 0;
}

static void play_local(struct stage *stage, struct local what)
{
    local = what;
    prepare();
    least.lease_ms = 20000;
    stage_play(stage, look_at_local);
}

static void a_dead_process_of_this_machine_is_found_at_once(void **state)
{
    play_local(*state, (struct local){dead_pid(), NULL, true, NULL});
}

static void a_living_process_of_this_machine_is_left_alone(void **state)
{
    play_local(*state, (struct local){getpid(), NULL, false, NULL});
}

static void the_same_number_elsewhere_means_nothing(void **state)
{
    play_local(*state, (struct local){dead_pid(), "01234567.1", false, NULL});
}

/* --- supervised ones ------------------------------------------------------ */

/* The child of a supervisor, both of this machine; the child is no more. */
static void play_supervised(struct stage *stage, pid_t supervisor, bool is_gone)
{
    char more[16];
    snprintf(more, sizeof more, ":%d", (int)supervisor);
    play_local(stage, (struct local){dead_pid(), NULL, is_gone, more});
}

static void whoever_has_a_supervisor_is_left_to_that(void **state)
{
    play_supervised(*state, getpid(), false);
}

static void not_when_that_is_gone_as_well(void **state)
{
    play_supervised(*state, dead_pid(), true);
}

static void nor_when_that_has_ended_and_nobody_has_asked_how(void **state)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    play_supervised(*state, pid, true);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_living_child_is_left_alone_when_its_supervisor_is_gone(
    void **state)
{
    char more[16];
    snprintf(more, sizeof more, ":%d", (int)dead_pid());
    play_local(*state, (struct local){getpid(), NULL, false, more});
}

static void what_a_later_version_says_is_taken_for_another_machine(void **state)
{
    static const char *const more[] = {":x", ":1:x", ".1",
                                       ":",  ":0",   ":99999999999999999999"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        play_local(*state, (struct local){dead_pid(), NULL, false, more[i]});
        redis_do(&((struct stage *)*state)->server, "FLUSHALL");
    }
}

static int outlive_lease(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    redis_do(&stage->server, "SET " DEAD_LEASE " 1:%s:%d PX %d",
             least.owner.where, (int)getpid(), 3000);
    expect_that(looks_again(1));
    expect_that(least_gives(stage, "3", "HLEN " DEAD_INFLIGHT));
    expect_that(least_sees(stage, "6", "LLEN q"));
    end(stage);
    return 0;
}

/* Whatever keeps the supervisor from seeing to it. */
static void a_lease_that_runs_out_ends_the_supervisor_s_claim(void **state)
{
    struct stage *stage = *state;
    prepare();
    leave_behind(stage);
    stage_play(stage, outlive_lease);
    assert_true(least_counts(stage, "q", 1, 6));
}

/* --- forgetting ----------------------------------------------------------- */

static int forget(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    sweep.empty_ms = LEASE_MS;
    int64_t start_ms = coro_now_ms();
    expect_that(least_sees(stage, "0", "EXISTS corq:owners"));
    expect_that(coro_now_ms() - start_ms >= LEASE_MS + LEASE_MS / 2);
    expect_that(stage_wait_until(has_none, NULL));
    end(stage);
    return 0;
}

static void an_owner_is_forgotten_when_it_was_empty_twice(void **state)
{
    struct stage *stage = *state;
    prepare();
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    stage_play(stage, forget);
}

static int fill_late(void *argument)
{
    struct stage *stage = argument;
    begin(stage);
    sweep.empty_ms = 2 * LEASE_MS;
    uint64_t nlooks = sweep.nlooks + 4;
    expect_that(stage_wait_until(has_looked, &nlooks));
    /* A pop that it has left at the server is served. */
    redis_do(&stage->server, "LPUSH " DEAD_INBOX " 1");
    expect_that(least_sees(stage, "1", "LRANGE q 0 -1"));
    int64_t start_ms = coro_now_ms();
    expect_that(least_sees(stage, "0", "EXISTS corq:owners"));
    expect_that(coro_now_ms() - start_ms >= 2 * LEASE_MS);
    end(stage);
    return 0;
}

static void what_a_ghost_brings_is_given_back_and_waited_for_again(void **state)
{
    struct stage *stage = *state;
    prepare();
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    stage_play(stage, fill_late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(a_lease_that_is_missing_twice_means_orphans),
        LEAST_TEST(what_is_ours_is_not_looked_at),
        LEAST_TEST(what_can_t_be_used_keeps_no_other_from_being_found),
        LEAST_TEST(the_net_finds_what_no_owner_stands_for),
        LEAST_TEST(the_net_knows_queues_with_colons_by_their_inbox),
        LEAST_TEST(a_lease_that_comes_back_is_left_alone),
        LEAST_TEST(a_redis_that_stood_still_proves_nobody_dead),
        LEAST_TEST(nor_does_one_that_stood_still_in_the_middle_of_a_look),
        LEAST_TEST(nor_does_a_connection_that_was_lost),
        LEAST_TEST(only_the_leader_goes_on_looking),
        LEAST_TEST(a_dead_process_of_this_machine_is_found_at_once),
        LEAST_TEST(a_living_process_of_this_machine_is_left_alone),
        LEAST_TEST(the_same_number_elsewhere_means_nothing),
        LEAST_TEST(whoever_has_a_supervisor_is_left_to_that),
        LEAST_TEST(not_when_that_is_gone_as_well),
        LEAST_TEST(nor_when_that_has_ended_and_nobody_has_asked_how),
        LEAST_TEST(a_living_child_is_left_alone_when_its_supervisor_is_gone),
        LEAST_TEST(what_a_later_version_says_is_taken_for_another_machine),
        LEAST_TEST(a_lease_that_runs_out_ends_the_supervisor_s_claim),
        LEAST_TEST(an_owner_is_forgotten_when_it_was_empty_twice),
        LEAST_TEST(what_a_ghost_brings_is_given_back_and_waited_for_again),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
