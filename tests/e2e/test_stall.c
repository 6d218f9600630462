/*
 * Jobs that hold the worker, so that no other goes on: the log tells which one
 * and what it does, the jobs stay its process's, and with --stall-abort the
 * process ends. Jobs that hold nothing up are never named.
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

#include "coro/core/sanitize.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

#define HELD   "a job has held the worker for"
#define LET_GO "a job has let go of the worker after"

static void push(struct scene *scene, const char *class, const char *subject)
{
    redis_do(&scene->redis, "LPUSH queue {\"class\":\"%s\",\"args\":[\"%s\"]}",
             class, subject);
}

/* The first line of the log with @text, as a string. Ownership: free(). */
static char *line_with(struct scene *scene, const char *text)
{
    assert_true(scene_sees(scene, text));
    const char *log = program_log(&scene->corq);
    const char *at = strstr(log, text);
    while (at > log && at[-1] != '\n')
        at--;
    return strndup(at, strcspn(at, "\n"));
}

static void assert_in(const char *line, const char *text)
{
    if (!strstr(line, text))
        fail_msg("\"%s\" is not in \"%s\"", text, line);
}

/* The number that stands behind @label. */
static double number_in(const char *line, const char *label)
{
    assert_in(line, label);
    return strtod(strstr(line, label) + strlen(label), NULL);
}

static void run_with(struct scene *scene, const char *const *more)
{
    const char *arguments[32] = {
        SCENE_RUN(scene), "--handler",     "Spin=fault", "--handler",
        "Block=fault",    "--concurrency", "5"};
    size_t n = 0;
    while (arguments[n])
        n++;
    while (*more)
        arguments[n++] = *more++;
    scene_run_as(&scene->corq, arguments);
}

#define run_faults(scene, ...) run_with(scene, PROGRAM_ARGS(__VA_ARGS__))

/* --- named ---------------------------------------------------------------- */

/* The thread of a program that a checker runs is not seen to compute. */
static void assert_spins(const char *line)
{
#ifndef CORO_VALGRIND
    assert_in(line, "spin < run < ");
#else
    (void)line;
#endif
}

static void a_job_that_spins_is_named_with_what_it_does(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--handler", "sleep");
    push(scene, "Spin", "spin 4");
    char *line = line_with(scene, HELD);
    assert_in(line, " warn ");
    assert_in(line, "class=Spin queue=queue job=1 ");
    assert_in(line, "payload=\"{\\\"class\\\":\\\"Spin\\\"");
    assert_true(number_in(line, HELD) >= 1);
    assert_spins(line);
    free(line);
    line = line_with(scene, LET_GO);
    assert_in(line, "class=Spin queue=queue job=1 ");
    assert_true(number_in(line, LET_GO) >= 1);
    free(line);
    assert_int_equal(program_count_lines(&scene->corq, HELD), 1);
    program_signal(&scene->corq, SIGUSR2);
    assert_true(scene_sees(scene, "stalls=1"));
    assert_int_equal(scene_end(scene), 0);
}

static void a_job_that_goes_on_is_named_again(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--stall-warn", "200ms");
    push(scene, "Spin", "spin 6");
    assert_true(scene_sees_lines(scene, HELD, 2));
    assert_true(scene_sees(scene, LET_GO));
    assert_int_equal(program_count_lines(&scene->corq, HELD), 2);
    assert_int_equal(scene_end(scene), 0);
}

static void a_job_that_sleeps_with_its_thread_is_named(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--handler", "sleep");
    push(scene, "Block", "block 4");
    char *line = line_with(scene, HELD);
    assert_in(line, "class=Block queue=queue job=1 ");
#ifndef CORO_VALGRIND
    assert_in(line, "sleeps_in=clock_nanosleep ");
#endif
    free(line);
    assert_true(scene_sees(scene, LET_GO));
    assert_int_equal(scene_end(scene), 0);
}

static void nothing_is_said_when_that_is_not_wanted(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--stall-warn", "0", "--handler", "sleep");
    push(scene, "Spin", "spin 3");
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, HELD), 0);
    assert_int_equal(program_count_lines(&scene->corq, LET_GO), 0);
}

/* --- never named ---------------------------------------------------------- */

static void jobs_that_wait_are_never_named(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(1000, 200);
    scene_push_sleeps(scene, "queue", "2.0", njobs);
    scene_run(scene, "--concurrency", "1000");
    assert_true(scene_sees_lines(scene, "Done 2.0", njobs));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, HELD), 0);
}

static void many_short_jobs_are_never_named(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(100000, 5000);
    scene_push_sleeps(scene, "queue", "0.0", njobs);
    scene_run(scene, "--handler", "noop");
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, HELD), 0);
}

/* --- the lease ------------------------------------------------------------ */

struct leases {
    struct scene *scene;
    bool was_lost; /* one of the two */
};

static size_t count_leases(struct scene *scene)
{
    redisReply *leases = redis_reply(&scene->redis, "KEYS corq:lease:*");
    size_t count = leases->elements;
    freeReplyObject(leases);
    return count;
}

static bool both_have_one(void *argument)
{
    return count_leases(argument) == 2;
}

static bool stall_is_over(void *argument)
{
    struct leases *leases = argument;
    leases->was_lost |= count_leases(leases->scene) < 2;
    return program_count_lines(&leases->scene->corq, LET_GO) > 0;
}

/* And another process is there to take what is given up. */
static void a_stall_longer_than_the_lease_costs_no_job(void **state)
{
    enum { NJOBS = 20 };

    struct scene *scene = *state;
    struct ledger ledger;
    const char *const arguments[] = {
        "run",     "--redis",   redis_url(&scene->redis),
        "--lease", "3s",        "--handler",
        "sleep",   "--handler", "Spin=fault",
        NULL};
    ledger_open(&ledger, "1.5", NJOBS);
    scene_push_sleeps(scene, "queue", "1.5", NJOBS);
    scene_run_as(&scene->corq, arguments);
    assert_true(scene_sees_lines(scene, "Wait 1.5", NJOBS));
    push(scene, "Spin", "spin 8");
    assert_true(scene_sees(scene, HELD));
    scene_run_as(&scene->second, arguments);
    assert_true(wait_until(both_have_one, scene, PATIENCE_MS));
    struct leases leases = {.scene = scene};
    assert_true(wait_until(stall_is_over, &leases, PATIENCE_MS));
    assert_false(leases.was_lost);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    program_signal(&scene->second, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->second, PATIENCE_MS), 0);
    ledger_enter(&ledger, &scene->corq);
    ledger_enter(&ledger, &scene->second);
    assert_true(ledger_balances(&ledger, 0));
    ledger_close(&ledger);
    assert_int_equal(program_count_lines(&scene->corq, "ended done=21 "), 1);
    assert_int_equal(program_count_lines(&scene->second, "ended done=0 "), 1);
    assert_int_equal(program_count_lines(&scene->second, "given back"), 0);
    assert_true(nothing_is_left(&scene->redis));
}

/* --- the end of the process ----------------------------------------------- */

static void a_job_that_stalls_for_too_long_ends_its_process(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--stall-abort", "2s", "--handler", "sleep");
    push(scene, "Spin", "spin 600");
    char *line = line_with(scene, "ending this process");
    assert_in(line, " error ");
    assert_in(line, "class=Spin queue=queue job=1 ");
    assert_true(number_in(line, HELD) >= 2);
    assert_spins(line);
    free(line);
    /* The supervisor has found that out from the vitals. */
    line = line_with(scene, "has ended itself in a job");
    assert_in(line, "held the worker for ");
    assert_in(line, "job=1 ");
    assert_in(line, "spin 600");
    assert_spins(line);
    free(line);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_int_equal(scene_end(scene), 0);
}

/* The one that sleeps is in the same process each time. */
static void a_job_that_always_stalls_is_set_aside_alone(void **state)
{
    struct scene *scene = *state;
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--stall-abort", "500ms", "--concurrency", "5",
                              "--handler", "sleep", "--handler", "Spin=fault",
                              "--lease", "1h"));
    redis_do(&scene->redis, "LPUSH queue 4.5");
    assert_true(scene_sees(scene, "Wait 4.5"));
    push(scene, "Spin", "spin 600");
    assert_true(scene_sees_dead(scene, 1));
    char *entry = scene_dead_entry(scene, 0);
    assert_in(entry, "spin 600");
    assert_in(entry, "crashed the worker 3 times (held the worker for ");
    free(entry);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(program_count_lines(&scene->corq, "Done 4.5"), 1);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_dead(scene), 1);
}

/* What came to it before it was held, and what is pushed meanwhile. */
static void what_waits_behind_a_job_that_spins_is_run_by_others(void **state)
{
    struct scene *scene = *state;
    run_faults(scene, "--handler", "sleep", "--lease", "1h");
    push(scene, "Spin", "spin 3600");
    assert_true(scene_sees(scene, "payload=\"{\\\"class\\\":\\\"Spin"));
    scene_push_sleeps(scene, "queue", "0.0", 40);
    scene_run_as(&scene->second,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis)));
    assert_true(
        program_wait_for_lines(&scene->second, "Done 0.0", 40, PATIENCE_MS));
    assert_int_equal(program_count_lines(&scene->corq, "Wait 0.0"), 0);
    program_signal(&scene->second, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->second, PATIENCE_MS), 0);
    program_kill(&scene->corq);
}

int main(void)
{
#define SCENE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_job_that_spins_is_named_with_what_it_does),
        SCENE_TEST(a_job_that_goes_on_is_named_again),
        SCENE_TEST(a_job_that_sleeps_with_its_thread_is_named),
        SCENE_TEST(nothing_is_said_when_that_is_not_wanted),
        SCENE_TEST(jobs_that_wait_are_never_named),
        SCENE_TEST(many_short_jobs_are_never_named),
        SCENE_TEST(a_stall_longer_than_the_lease_costs_no_job),
        SCENE_TEST(what_waits_behind_a_job_that_spins_is_run_by_others),
        SCENE_TEST(a_job_that_stalls_for_too_long_ends_its_process),
        SCENE_TEST(a_job_that_always_stalls_is_set_aside_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
