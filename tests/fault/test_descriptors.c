/*
 * No file descriptors: at the start it says how many it needs; while it runs it
 * waits for some, and does not spin.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/group.h"
#include "tests/support/load.h"
#include "tests/support/scale.h"

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

/* More than a start with one process and one queue needs. */
#define ENOUGH 60

static void start_with_files(struct program *program, rlim_t soft, rlim_t hard,
                             const char *const *arguments)
{
    program_start_with(program,
                       &(struct program_options){
                           .arguments = arguments,
                           .files = {soft, hard},
                           .is_bare = true, /* a wrapper needs its own */
                       });
}

struct outcome {
    struct program *program;
    bool is_ready;
};

static bool is_known(void *argument)
{
    struct outcome *outcome = argument;
    outcome->is_ready = program_count_lines(outcome->program, "ready: ") > 0;
    return outcome->is_ready || !program_is_running(outcome->program);
}

/* Whatever the limit is, it runs, or ends and says what it needs. */
static void with_too_few_at_the_start_it_says_how_many(void **state)
{
    struct scene *scene = *state;
    size_t nrefused = 0, limit;
    struct outcome outcome = {&scene->corq, false};
    for (limit = 6; limit < ENOUGH && !outcome.is_ready; limit++) {
        start_with_files(&scene->corq, limit, limit, PROGRAM_ARGS(RUN(scene)));
        assert_true(wait_until(is_known, &outcome, PATIENCE_MS));
        if (outcome.is_ready)
            break;
        char line[80];
        snprintf(line, sizeof line, "found a limit of %zu, expected", limit);
        assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 1);
        assert_true(scene_sees(scene, line));
        nrefused++;
    }
    assert_true(outcome.is_ready && nrefused > 0);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_int_equal(scene_end(scene), 0);
    char note[80];
    snprintf(note, sizeof note, "refused below %zu, which is said", limit);
    verdict_give(&(struct verdict){.row = VERDICT_DESCRIPTORS,
                                   .njobs = 1,
                                   .nleft = verdict_count_left(&scene->redis),
                                   .note = note});
}

static void a_soft_limit_is_raised(void **state)
{
    struct scene *scene = *state;
    start_with_files(&scene->corq, 8, ENOUGH, PROGRAM_ARGS(RUN(scene)));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_int_equal(scene_end(scene), 0);
}

/* --- while it runs -------------------------------------------------------- */

/* The connections are closed, and no new one can be opened. */
static void without_any_it_waits_and_does_not_spin(void **state)
{
    struct scene *scene = *state;
    struct load load;
    struct rlimit before;
    int64_t window_ms = test_scale_is_full() ? 20000 : 3000;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    load_push(&load, scene, test_scale(3000, 500));
    scene_run_as(&scene->corq, PROGRAM_ARGS(RUN(scene), "--concurrency", "50"));
    load_see_progress(&load, 1, 3);
    group_limit_files(scene->corq.pid, 3);
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_true(scene_sees(scene, "Too many open files"));
    double cpu = group_cpu_seconds(scene->corq.pid);
    wait_out(window_ms);
    cpu = 100 * (group_cpu_seconds(scene->corq.pid) - cpu) /
          ((double)window_ms / 1000);
    size_t nlines = program_count_lines(&scene->corq, "Too many open files");
    group_limit_files(scene->corq.pid, before.rlim_cur);
    char note[80];
    snprintf(note, sizeof note,
             "without any: CPU %.1f %%, %zu lines in the log", cpu, nlines);
    load_judge(&load,
               (struct verdict){.row = VERDICT_DESCRIPTORS, .note = note});
    assert_true(cpu < (double)test_scale(10, 100));
    assert_in_range(nlines, 1, 6);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(with_too_few_at_the_start_it_says_how_many),
        scene_test(a_soft_limit_is_raised),
        scene_test(without_any_it_waits_and_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
