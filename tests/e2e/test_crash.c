/*
 * Jobs that take their process down: each is known among thousands, charged
 * alone, and set aside after three times.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/family.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define MANY 16

/* Good jobs sleep by class, the rest is for the handler of faults. */
static void run(struct scene *scene, const char *processes)
{
    program_start(&scene->corq,
                  PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                               "--handler", "sleep", "--handler", "Bad=fault",
                               "--processes", processes, "--lease", "1h",
                               "--concurrency", "100"));
    assert_true(scene_sees(scene, "ready: up to"));
}

static void push_bad(struct scene *scene, const char *what)
{
    char job[200];
    snprintf(job, sizeof job,
             "{\"class\":\"Bad\",\"args\":[\"%s\"],\"jid\":\"bad-%s\"}", what,
             what);
    redis_do(&scene->redis, "LPUSH queue %s", job);
}

/* How many counters of crashes there are: one for each job charged. */
static long long count_charged(struct scene *scene)
{
    redisReply *keys = redis_reply(&scene->redis, "KEYS corq:crashes:*");
    long long n = (long long)keys->elements;
    freeReplyObject(keys);
    return n;
}

static void remove_counters(struct scene *scene)
{
    redisReply *keys = redis_reply(&scene->redis, "KEYS corq:crashes:*");
    for (size_t i = 0; i < keys->elements; i++)
        redis_do(&scene->redis, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
}

/* @what among many good jobs; @signal is how its death is called. */
static void crash_among_good_ones(struct scene *scene, const char *what,
                                  const char *signal)
{
    size_t njobs = test_scale_is_full() ? 10000 : test_scale(3000, 400);
    struct ledger ledger;
    char wanted[200];
    ledger_open(&ledger, "0.01", njobs);
    run(scene, "2");
    scene_push_sleeps(scene, "queue", "0.01", njobs / 2);
    push_bad(scene, what);
    /* The second half is pushed beside those that already run. */
    for (size_t i = njobs / 2 + 1; i <= njobs; i++)
        redis_do(&scene->redis, "LPUSH queue 0.01%05d", (int)i);
    assert_true(scene_sees_dead(scene, 1));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    char *entry = scene_dead_entry(scene, 0);
    snprintf(wanted, sizeof wanted, "crashed the worker 3 times (%s", signal);
    if (!strstr(entry, wanted))
        fail_msg("found %s, expected %s", entry, wanted);
    snprintf(wanted, sizeof wanted, "\"jid\":\"bad-%s\"", what);
    assert_non_null(strstr(entry, wanted));
    assert_non_null(strstr(entry, "\"error_class\":\"Crashed\""));
    free(entry);
    assert_int_equal(program_count_lines(&scene->corq, "has crashed in a job"),
                     3);
    assert_int_equal(program_count_lines(&scene->corq, "class=Bad"), 6);
    assert_int_equal(count_charged(scene), 1);
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    remove_counters(scene);
    verdict_of_ledger((struct verdict){.row = VERDICT_SEGFAULT,
                                       .most_twice = 3 * 100,
                                       .note = what},
                      &ledger, &scene->redis, QUEUES("queue"));
    ledger_close(&ledger);
}

static void null_is_dereferenced(void **state)
{
    crash_among_good_ones(*state, "segv", "SIGSEGV at address 0x");
    struct scene *scene = *state;
    assert_non_null(strstr(program_log(&scene->corq), "fault_segv"));
}

static void a_stack_overflows(void **state)
{
    crash_among_good_ones(*state, "overflow", "SIGSEGV, stack overflow in");
}

static void abort_is_called(void **state)
{
    crash_among_good_ones(*state, "abort", "SIGABRT");
}

static void a_thread_of_the_executor_crashes(void **state)
{
    crash_among_good_ones(*state, "thread", "SIGSEGV at address 0x");
}

static void an_instruction_is_not_one(void **state)
{
    crash_among_good_ones(*state, "ill", "SIGILL at address 0x");
}

/* What ends in such a way has not ended in order, whatever its status. */
static void exit_is_called(void **state)
{
    struct scene *scene = *state;
    run(scene, "1");
    scene_push_sleeps(scene, "queue", "0.1", 20);
    push_bad(scene, "leave");
    assert_true(scene_sees_dead(scene, 1));
    char *entry = scene_dead_entry(scene, 0);
    assert_non_null(strstr(entry, "\"jid\":\"bad-leave\""));
    assert_non_null(strstr(entry, "crashed the worker 3 times (exit(0))"));
    free(entry);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(count_charged(scene), 1);
    assert_int_equal(scene_end(scene), 0);
}

static void a_process_ended_behind_our_back_is_replaced(void **state)
{
    struct scene *scene = *state;
    run(scene, "1");
    scene_push_sleeps(scene, "queue", "0.1", 20);
    push_bad(scene, "exit");
    assert_true(scene_sees(scene, "exit status 1 in the midst of"));
    assert_true(scene_sees(scene, "given back, of a process that is gone"));
    assert_true(scene_sees_lines(scene, "ready: up to", 2));
    program_kill(&scene->corq);
}

/* --- nobody's fault ------------------------------------------------------- */

static void a_child_killed_by_the_operator_charges_nobody(void **state)
{
    static const int numbers[] = {SIGKILL, SIGSEGV, SIGABRT};
    struct scene *scene = *state;
    run(scene, "1");
    scene_push_sleeps(scene, "queue", "0.5", 50);
    for (size_t i = 0; i < 3; i++) {
        pid_t child;
        assert_true(scene_sees_lines(scene, "Wait 0.5", 50 * (i + 1)));
        assert_int_equal(family_children(scene->corq.pid, &child, 1), 1);
        kill(child, numbers[i]);
        /* Or, where a checker has a handler of its own, ended by itself. */
        assert_true(scene_sees_lines(scene, "ready: up to", i + 2));
    }
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "crashed"), 0);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_job_found_running_in_ten_killed_children_is_set_aside(
    void **state)
{
    struct scene *scene = *state;
    run(scene, "1");
    redis_do(&scene->redis, "LPUSH queue 3600");
    for (size_t i = 1; i <= 10; i++) {
        pid_t child;
        assert_true(scene_sees_lines(scene, "Wait 3600", i));
        assert_int_equal(family_children(scene->corq.pid, &child, 1), 1);
        kill(child, SIGKILL);
        assert_true(scene_sees_lines(scene, "was killed by SIGKILL", i));
    }
    assert_true(scene_sees_dead(scene, 1));
    assert_true(scene_dead_is(scene, 0, "3600", 4, "10 processes"));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_int_equal(scene_end(scene), 0);
    verdict_give(&(struct verdict){
        .row = VERDICT_POISON,
        .njobs = 2,
        .ntwice = program_count_lines(&scene->corq, "Wait 3600") - 1,
        .most_twice = 9,
        .nleft = verdict_count_left(&scene->redis),
        .note = "one in ten killed children",
    });
}

/* --- every job of a queue crashes ----------------------------------------- */

static void many_that_crash_are_all_set_aside(void **state)
{
    struct scene *scene = *state;
    size_t nbad = test_scale(6, 2);
    run(scene, "4");
    for (size_t i = 0; i < nbad; i++)
        redis_do(&scene->redis,
                 "LPUSH queue {\"class\":\"Bad\",\"args\":[\"segv\"],"
                 "\"jid\":\"%d\"}",
                 (int)i);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees_dead(scene, nbad));
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "has crashed in a job"),
                     3 * nbad);
    verdict_give(&(struct verdict){
        .row = VERDICT_POISON,
        .njobs = nbad + 1,
        .ntwice = 2 * nbad,
        .most_twice = 2 * nbad,
        .nleft = verdict_count_left(&scene->redis),
        .note = "several at once, three crashes each",
    });
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(null_is_dereferenced),
        scene_test(a_stack_overflows),
        scene_test(abort_is_called),
        scene_test(a_thread_of_the_executor_crashes),
        scene_test(an_instruction_is_not_one),
        scene_test(exit_is_called),
        scene_test(a_process_ended_behind_our_back_is_replaced),
        scene_test(a_child_killed_by_the_operator_charges_nobody),
        scene_test(a_job_found_running_in_ten_killed_children_is_set_aside),
        scene_test(many_that_crash_are_all_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
