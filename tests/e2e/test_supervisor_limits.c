/*
 * Children that have run enough jobs, or have grown too large, are replaced:
 * one at a time, and without a job that runs twice.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/family.h"
#include "tests/support/ledger.h"
#include "tests/support/scene.h"

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

static void after_so_many_jobs_a_child_is_replaced(void **state)
{
    struct scene *scene = *state;
    struct ledger ledger;
    ledger_open(&ledger, "0.05", 2000);
    program_start(&scene->corq,
                  PROGRAM_ARGS(RUN(scene), "--processes", "2", "--max-jobs",
                               "200", "--concurrency", "20", "--lease", "1h"));
    assert_true(scene_sees_lines(scene, "ready: up to", 2));
    scene_push_sleeps(scene, "queue", "0.05", 2000);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_true(scene_sees_lines(scene, "jobs (--max-jobs)", 2));
    assert_true(scene_sees_lines(scene, "ready: up to", 4));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    assert_true(ledger_balances(&ledger, 0));
    assert_true(nothing_is_left(&scene->redis));
    ledger_close(&ledger);
}

/* The one that is to go still runs a job; the next one is there already. */
static void the_next_one_does_not_wait_for_the_last_jobs(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(RUN(scene), "--max-jobs", "1"));
    assert_true(scene_sees(scene, "ready: up to"));
    redis_do(&scene->redis, "LPUSH queue 3600 0.1");
    assert_true(scene_sees(scene, "jobs (--max-jobs)"));
    assert_true(scene_sees_lines(scene, "ready: up to", 2));
    struct family_size both = {scene->corq.pid, 2};
    assert_true(wait_until(family_has, &both, PATIENCE_MS));
    redis_do(&scene->redis, "LPUSH queue 0.2");
    assert_true(scene_sees(scene, "Done 0.2"));
    /* One at a time: though that job was one too many for it as well. */
    assert_int_equal(program_count_lines(&scene->corq, "is replaced"), 1);
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "SIGTERM received"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), 1);
    assert_true(nothing_is_left(&scene->redis));
}

static void a_child_that_has_grown_too_large_is_replaced(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(RUN(scene), "--handler", "fault",
                                             "--max-rss", "300MiB"));
    assert_true(scene_sees(scene, "ready: up to"));
    redis_do(&scene->redis, "LPUSH queue %s", "leak 1");
    redis_do(&scene->redis, "LPUSH queue %s", "leak 310");
    assert_true(scene_sees(scene, "MiB of memory (--max-rss)"));
    assert_true(scene_sees_lines(scene, "ready: up to", 2));
    struct family_size one = {scene->corq.pid, 1};
    assert_true(wait_until(family_has, &one, PATIENCE_MS));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "is replaced"), 1);
    assert_true(nothing_is_left(&scene->redis));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(after_so_many_jobs_a_child_is_replaced),
        scene_test(the_next_one_does_not_wait_for_the_last_jobs),
        scene_test(a_child_that_has_grown_too_large_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
