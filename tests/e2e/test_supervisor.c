/*
 * The supervisor and its children: as many as there should be, replaced when
 * they die, told together or one by one, and gone when it is gone.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/family.h"
#include "tests/support/fate.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define MANY 16

/* Three seconds are promised, 25 are what jobs may take otherwise: whatever else
 * runs on this machine, which of the two it was is told apart. */
#define SOON_MS 15000

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

/* Starts corq and waits until all its children are ready. */
#define run_family(scene, n, ...)                                             \
    do {                                                                      \
        program_start(&(scene)->corq, PROGRAM_ARGS(RUN(scene), "--processes", \
                                                   #n, ##__VA_ARGS__));       \
        assert_true(scene_sees_lines(scene, "ready: up to", n));              \
    } while (0)

static pid_t first_child(struct scene *scene)
{
    pid_t children[MANY] = {0};
    assert_true(family_children(scene->corq.pid, children, MANY) > 0);
    return children[0];
}

static void see_children(struct scene *scene, size_t n)
{
    struct family_size wanted = {scene->corq.pid, n};
    assert_true(wait_until(family_has, &wanted, PATIENCE_MS));
}

static bool has_died(void *pid)
{
    return !family_is_alive(*(pid_t *)pid);
}

/* --- as many as there should be ------------------------------------------- */

static void there_is_a_child_for_each_process(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 3);
    pid_t children[MANY];
    assert_int_equal(family_children(scene->corq.pid, children, MANY), 3);
    for (size_t i = 0; i < 3; i++) {
        char command[200];
        family_command(children[i], command, sizeof command);
        assert_non_null(strstr(command, "child "));
        assert_non_null(strstr(command, "/3"));
    }
    assert_int_equal(scene_end(scene), 0);
    assert_true(nothing_is_left(&scene->redis));
}

static void no_password_is_in_a_list_of_processes(void **state)
{
    struct scene *scene = *state;
    char url[120], command[400];
    redis_do(&scene->redis, "CONFIG SET requirepass zyzzyva");
    scene->redis.password = "zyzzyva";
    snprintf(url, sizeof url, "redis://:zyzzyva@127.0.0.1:%u",
             scene->redis.port);
    program_start(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
    assert_true(scene_sees(scene, "ready: up to"));
    family_command(scene->corq.pid, command, sizeof command);
    assert_null(strstr(command, "zyzzyva"));
    family_command(first_child(scene), command, sizeof command);
    assert_null(strstr(command, "zyzzyva"));
    assert_int_equal(scene_end(scene), 0);
    assert_null(strstr(program_log(&scene->corq), "zyzzyva"));
}

static void only_corq_run_starts_a_child(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(
        program_run(&scene->corq, PROGRAM_ARGS("child", "1/1", "0")), 2);
    assert_non_null(strstr(program_log(&scene->corq), "only 'corq run'"));
    assert_int_equal(program_run(&scene->corq, PROGRAM_ARGS("child")), 2);
}

/* --- a child dies --------------------------------------------------------- */

static void a_killed_child_is_replaced_and_its_jobs_run_at_once(void **state)
{
    struct scene *scene = *state;
    struct ledger ledger;
    ledger_open(&ledger, "0.5", 20);
    run_family(scene, 1, "--lease", "1h");
    scene_push_sleeps(scene, "queue", "0.5", 20);
    assert_true(scene_sees_lines(scene, "Wait 0.5", 20));
    kill(first_child(scene), SIGKILL);
    /* The lease would last an hour. */
    assert_true(scene_sees(scene, "was killed by SIGKILL"));
    assert_true(scene_sees(scene, "given back, of a process that is gone: 20"));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    verdict_of_ledger((struct verdict){.row = VERDICT_CHILD_KILLED,
                                       .most_twice = 20,
                                       .note = "with a lease of an hour"},
                      &ledger, &scene->redis, QUEUES("queue"));
    assert_int_equal(scene_count_dead(scene), 0);
    ledger_close(&ledger);
}

static void the_living_take_over_what_a_dead_child_had(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 4, "--lease", "1h");
    scene_push_sleeps(scene, "queue", "0.5", 40);
    assert_true(scene_sees_lines(scene, "Wait 0.5", 40));
    pid_t children[MANY];
    family_children(scene->corq.pid, children, MANY);
    kill(children[0], SIGKILL);
    kill(children[1], SIGKILL);
    kill(children[2], SIGKILL);
    assert_true(scene_sees_lines(scene, "was killed by SIGKILL", 3));
    assert_true(scene_sees_lines(scene, "ready: up to", 7));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    see_children(scene, 4);
    assert_int_equal(scene_end(scene), 0);
}

/* The other one of two. */
static pid_t other_child(struct scene *scene, pid_t child)
{
    pid_t children[MANY] = {0};
    see_children(scene, 2);
    assert_int_equal(family_children(scene->corq.pid, children, MANY), 2);
    return children[children[0] == child];
}

/* It is told of the dead, whose places the living need, and hears it late. */
static void who_is_late_to_recover_leaves_the_living_alone(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2, "--lease", "1h");
    pid_t frozen = first_child(scene);
    kill(frozen, SIGSTOP);
    for (size_t n = 3; n <= 11; n++) {
        kill(other_child(scene, frozen), SIGKILL);
        assert_true(scene_sees_lines(scene, "ready: up to", n));
    }
    assert_true(scene_sees(scene, "too many dead children"));
    /* The frozen one may be given the first that come. */
    scene_push_sleeps(scene, "queue", "2.0", 5);
    assert_true(scene_sees_lines(scene, "Wait 2.0", 2));
    kill(frozen, SIGCONT);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(program_count_lines(&scene->corq, "Wait 2.0"), 5);
    assert_int_equal(scene_end(scene), 0);
}

struct round {
    struct scene *scene;
    size_t nleft;
};

static bool has_moved_on(void *argument)
{
    struct round *round = argument;
    return scene_count_waiting(round->scene, "queue") <= round->nleft;
}

static void children_killed_one_after_the_other_lose_nothing(void **state)
{
    struct scene *scene = *state;
    size_t nkills = test_scale_is_full() ? 60 : test_scale(10, 4);
    size_t njobs = test_scale_is_full() ? 60000 : test_scale(10000, 2000);
    struct ledger ledger;
    ledger_open(&ledger, "0.1", njobs);
    run_family(scene, 10, "--concurrency", "20", "--lease", "1h");
    scene_push_sleeps(scene, "queue", "0.1", njobs);
    for (size_t i = 0; i < nkills; i++) {
        struct round round = {scene, njobs - (i + 1) * njobs / (nkills + 1)};
        assert_true(wait_until(has_moved_on, &round, PATIENCE_MS));
        kill(first_child(scene), SIGKILL);
        assert_true(scene_sees_lines(scene, "was killed by SIGKILL", i + 1));
    }
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    char note[40];
    snprintf(note, sizeof note, "%zu kills among 10 children", nkills);
    verdict_of_ledger((struct verdict){.row = VERDICT_CHILD_KILLED,
                                       .most_twice = nkills * 20,
                                       .note = note},
                      &ledger, &scene->redis, QUEUES("queue"));
    assert_int_equal(scene_count_dead(scene), 0);
    ledger_close(&ledger);
}

/* --- a child that can't start --------------------------------------------- */

/* Kills whoever asks to be told of its parent's death: each child, but not the
 * supervisor. */
static void forbid_children(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void run_without_children(void)
{
    const char *build = getenv("BUILD");
    char path[256];
    snprintf(path, sizeof path, "%s/corq", build ? build : "build");
    forbid_children();
    /* A checker that looks for leaks at the end does so in a child, too. */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    execl(path, "corq", "run", "--redis", "redis://127.0.0.1:1", NULL);
}

static void children_that_never_get_ready_are_given_up(void **state)
{
    (void)state;
    int64_t start_ms = coro_now_ms();
    struct fate fate = fate_of(run_without_children);
    assert_int_equal(fate.signal, 0);
    assert_int_equal(fate.status, 1);
    /* Five tries, after 0.1, 0.2, 0.4 and 0.8 s: no hot loop. */
    assert_true(coro_now_ms() - start_ms >= 1500);
    assert_non_null(strstr(fate.said, "was killed by SIGSYS"));
    assert_non_null(strstr(fate.said, "is started again in 0.8 s"));
    assert_null(strstr(fate.said, "is started again in 1.6 s"));
    assert_non_null(strstr(fate.said, "no child got ready in 5 tries"));
}

/* --- told together, told alone -------------------------------------------- */

static void a_child_that_is_told_to_end_is_not_replaced(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2);
    kill(first_child(scene), SIGTERM);
    assert_true(scene_sees(scene, "none is started in its place"));
    see_children(scene, 1);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    kill(first_child(scene), SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(
        program_count_lines(&scene->corq, "none is started in its place"), 2);
    assert_true(nothing_is_left(&scene->redis));
}

static void quiet_reaches_all_and_also_those_that_come_later(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2);
    program_signal(&scene->corq, SIGTSTP);
    assert_true(scene_sees_lines(scene, "quiet: taking no more jobs", 2));
    kill(first_child(scene), SIGKILL);
    assert_true(scene_sees_lines(scene, "quiet: taking no more jobs", 3));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), 1);
}

static void quiet_reaches_one_alone(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2);
    kill(first_child(scene), SIGTSTP);
    assert_true(scene_sees(scene, "quiet: taking no more jobs"));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_int_equal(
        program_count_lines(&scene->corq, "quiet: taking no more jobs"), 1);
    assert_int_equal(scene_end(scene), 0);
}

static void a_signal_to_the_whole_group_counts_once(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2);
    scene_push_sleeps(scene, "queue", "0.5", 4);
    assert_true(scene_sees_lines(scene, "Wait 0.5", 4));
    kill(-scene->corq.pid, SIGINT); /* as Ctrl-C does */
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(program_count_lines(&scene->corq, "Done 0.5"), 4);
    assert_int_equal(program_count_lines(&scene->corq, "again"), 0);
}

static void a_second_signal_hurries_all(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 2);
    redis_do(&scene->redis, "LPUSH queue 3600 3600");
    assert_true(scene_sees_lines(scene, "Wait 3600", 2));
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "Waiting up to"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), 2);
    assert_true(nothing_is_left(&scene->redis));
}

/* --- the supervisor dies -------------------------------------------------- */

static void when_the_supervisor_dies_its_children_end(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 3);
    redis_do(&scene->redis, "LPUSH queue 3600 3600 3600 0.1");
    assert_true(scene_sees_lines(scene, "Wait 3600", 3));
    pid_t children[MANY];
    assert_int_equal(family_children(scene->corq.pid, children, MANY), 3);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    program_signal(&scene->corq, SIGKILL);
    int64_t start_ms = coro_now_ms();
    for (size_t i = 0; i < 3; i++)
        assert_true(wait_until(has_died, &children[i], PATIENCE_MS));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    int64_t took_ms = coro_now_ms() - start_ms;
    char note[60];
    snprintf(note, sizeof note, "its children ended after %.2f s",
             (double)took_ms / 1000);
    assert_true(took_ms < SOON_MS);
    assert_int_equal(scene_count_waiting(scene, "queue"), 3);
    verdict_give(&(struct verdict){
        .row = VERDICT_SUPERVISOR_KILLED, .njobs = 4, .note = note});
    assert_int_equal(
        program_count_lines(&scene->corq, "the supervisor is gone"), 3);
}

static void a_child_that_stands_still_dies_with_its_supervisor(void **state)
{
    struct scene *scene = *state;
    run_family(scene, 1);
    pid_t child = first_child(scene);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    kill(child, SIGSTOP);
    program_signal(&scene->corq, SIGKILL);
    program_wait_exit(&scene->corq, PATIENCE_MS);
    assert_true(family_is_alive(child));
    kill(child, SIGCONT);
    assert_true(wait_until(has_died, &child, PATIENCE_MS));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void killed_under_load_and_started_again_nothing_is_lost(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(6000, 1000);
    size_t nkills = test_scale_is_full() ? 10 : 3;
    struct ledger ledger;
    ledger_open(&ledger, "0.02", njobs);
    scene_push_sleeps(scene, "queue", "0.02", njobs);
    for (size_t i = 0; i < nkills; i++) {
        run_family(scene, 2, "--concurrency", "20");
        assert_true(scene_sees_lines(scene, "Done 0.02", 50));
        pid_t children[MANY];
        size_t n = family_children(scene->corq.pid, children, MANY);
        program_signal(&scene->corq, SIGKILL);
        /* The next one is there before they have gone. */
        program_start(&scene->second, PROGRAM_ARGS(RUN(scene), "--processes",
                                                   "2", "--concurrency", "20"));
        for (size_t j = 0; j < n; j++)
            assert_true(wait_until(has_died, &children[j], PATIENCE_MS));
        assert_true(
            program_wait_for_line(&scene->second, "Done 0.02", PATIENCE_MS));
        program_signal(&scene->second, SIGTERM);
        assert_int_equal(program_wait_exit(&scene->second, PATIENCE_MS), 0);
        ledger_enter(&ledger, &scene->corq);
        ledger_enter(&ledger, &scene->second);
    }
    run_family(scene, 2);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    verdict_of_ledger((struct verdict){.row = VERDICT_SUPERVISOR_KILLED,
                                       .most_twice = nkills * 40},
                      &ledger, &scene->redis, QUEUES("queue"));
    ledger_close(&ledger);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(there_is_a_child_for_each_process),
        scene_test(no_password_is_in_a_list_of_processes),
        scene_test(only_corq_run_starts_a_child),
        scene_test(a_killed_child_is_replaced_and_its_jobs_run_at_once),
        scene_test(the_living_take_over_what_a_dead_child_had),
        scene_test(who_is_late_to_recover_leaves_the_living_alone),
        scene_test(children_killed_one_after_the_other_lose_nothing),
        scene_test(children_that_never_get_ready_are_given_up),
        scene_test(a_child_that_is_told_to_end_is_not_replaced),
        scene_test(quiet_reaches_all_and_also_those_that_come_later),
        scene_test(quiet_reaches_one_alone),
        scene_test(a_signal_to_the_whole_group_counts_once),
        scene_test(a_second_signal_hurries_all),
        scene_test(when_the_supervisor_dies_its_children_end),
        scene_test(a_child_that_stands_still_dies_with_its_supervisor),
        scene_test(killed_under_load_and_started_again_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
