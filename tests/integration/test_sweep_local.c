/*
 * The sweeper and processes of its own machine: who is no more is found at once,
 * but not what somebody else sees to.
 */
#include <sys/wait.h>

#include "tests/integration/sweep_stage.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAST_TEST(a_dead_process_of_this_machine_is_found_at_once),
        LEAST_TEST(a_living_process_of_this_machine_is_left_alone),
        LEAST_TEST(the_same_number_elsewhere_means_nothing),
        LEAST_TEST(whoever_has_a_supervisor_is_left_to_that),
        LEAST_TEST(not_when_that_is_gone_as_well),
        LEAST_TEST(nor_when_that_has_ended_and_nobody_has_asked_how),
        LEAST_TEST(a_living_child_is_left_alone_when_its_supervisor_is_gone),
        LEAST_TEST(what_a_later_version_says_is_taken_for_another_machine),
        LEAST_TEST(a_lease_that_runs_out_ends_the_supervisor_s_claim),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
