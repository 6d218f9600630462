/*
 * Links on which nothing arrives any more, and no word of it either.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/load.h"
#include "tests/support/scale.h"

#define LEASE    "3"
#define LOST     "the lease of this process ran out"
#define BACK     "given back, of a process that is gone"
#define TOO_LATE "had been given to another process"

/* What is promised is 10 s; the checkers take longer for everything. */
#define NOTICED_MS ((int64_t)test_scale(10000, 40000))

#define start(program, ...) \
    scene_run_as(program, PROGRAM_ARGS("run", __VA_ARGS__))

/* --- nothing arrives ------------------------------------------------------ */

static void packets_that_vanish_are_noticed(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene, test_scale(3000, 500));
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    load_see_progress(&load, 1, 3);
    proxy_set_mode(scene->proxy, PROXY_VANISH);
    int64_t start_ms = coro_now_ms();
    assert_true(scene_sees(scene, "trying again"));
    int64_t took_ms = coro_now_ms() - start_ms;
    proxy_set_mode(scene->proxy, PROXY_PASS);
    assert_true(scene_sees_lines(scene, "redis: connected to", 2));
    char note[60];
    snprintf(note, sizeof note, "noticed after %.1f s", (double)took_ms / 1000);
    load_judge(&load, (struct verdict){.row = VERDICT_VANISHED,
                                       .most_twice = 50,
                                       .note = note});
    assert_in_range(took_ms, 0, NOTICED_MS);
}

/* Idle, it is the pops and the keep-alive that notice, and no job is needed
 * for it. */
static void packets_that_vanish_are_noticed_with_nothing_to_do(void **state)
{
    struct scene *scene = *state;
    start(&scene->corq, "--redis", scene->proxy_url);
    redis_do(&scene->redis, "LPUSH queue 0");
    assert_true(scene_sees(scene, "Done 0 "));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    proxy_set_mode(scene->proxy, PROXY_VANISH);
    int64_t start_ms = coro_now_ms();
    assert_true(scene_sees(scene, "trying again"));
    int64_t took_ms = coro_now_ms() - start_ms;
    proxy_set_mode(scene->proxy, PROXY_PASS);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    char note[60];
    snprintf(note, sizeof note, "with nothing to do: after %.1f s",
             (double)took_ms / 1000);
    verdict_give(&(struct verdict){.row = VERDICT_VANISHED,
                                   .njobs = 2,
                                   .nleft = verdict_count_left(&scene->redis),
                                   .note = note});
    assert_in_range(took_ms, 0, NOTICED_MS);
}

/* They come back before anybody has given up: nothing happened. */
static void packets_that_come_late_after_all_do_no_harm(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene, test_scale(3000, 500));
    start(&scene->corq, "--redis", scene->proxy_url, "--concurrency", "50");
    size_t ntimes = test_scale(3, 1);
    for (size_t i = 1; i <= ntimes; i++) {
        load_see_progress(&load, i, ntimes + 1);
        redis_do(&scene->redis, "LPUSH beside 1.5");
        start(&scene->second, "--redis", redis_url(&scene->redis), "--queue",
              "beside");
        assert_true(
            program_wait_for_line(&scene->second, "Wait 1.5 ", PATIENCE_MS));
        proxy_set_mode(scene->proxy, i % 2 ? PROXY_VANISH : PROXY_BLACK);
        assert_true(
            program_wait_for_line(&scene->second, "Done 1.5 ", PATIENCE_MS));
        proxy_set_mode(scene->proxy, PROXY_PASS);
        program_signal(&scene->second, SIGTERM);
        assert_int_equal(program_wait_exit(&scene->second, PATIENCE_MS), 0);
    }
    load_judge(&load, (struct verdict){.row = VERDICT_VANISHED,
                                       .note = "and come late"});
}

/* --- cut off -------------------------------------------------------------- */

/* Of two, one is cut off for longer than its lease; it runs on. */
static void who_is_cut_off_too_long_loses_its_jobs_to_others(void **state)
{
    struct scene *scene = *state;
    struct load load = {.scene = scene};
    ledger_open(&load.ledger, "9.0", 20);
    scene_push_sleeps(scene, "queue", "9.0", 20);
    start(&scene->corq, "--redis", scene->proxy_url, "--lease", LEASE);
    assert_true(scene_sees_lines(scene, "Wait 9.0", 20));
    start(&scene->second, "--redis", redis_url(&scene->redis), "--lease",
          LEASE);
    proxy_set_mode(scene->proxy, PROXY_VANISH);
    redis_do(&scene->redis, "DEL corq:leader");
    assert_true(
        program_wait_for_lines(&scene->second, "Wait 9.0", 20, PATIENCE_MS));
    proxy_set_mode(scene->proxy, PROXY_PASS);
    assert_true(scene_sees_lines(scene, "Done 9.0", 20));
    assert_true(scene_sees(scene, TOO_LATE));
    assert_true(scene_sees(scene, LOST));
    assert_int_equal(program_count_lines(&scene->second, BACK), 1);
    load_judge(&load, (struct verdict){.row = VERDICT_PROCESS_FROZEN,
                                       .most_twice = 20,
                                       .note = "cut off; both say so"});
}

#define link_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_with_proxy, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        link_test(packets_that_vanish_are_noticed),
        link_test(packets_that_vanish_are_noticed_with_nothing_to_do),
        link_test(packets_that_come_late_after_all_do_no_harm),
        link_test(who_is_cut_off_too_long_loses_its_jobs_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
