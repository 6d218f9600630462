/*
 * Processes that end, again and again, under load: by SIGKILL, by SIGTERM, and
 * without any time to finish. No job is lost; killed, at most what ran is run
 * again; asked to end, none.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define CONCURRENCY      200
#define CONCURRENCY_TEXT "200"

static size_t sized(size_t full, size_t usual, size_t reduced)
{
    return test_scale_is_full() ? full : test_scale(usual, reduced);
}

static void start(struct scene *scene)
{
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--concurrency", CONCURRENCY_TEXT));
}

/* --- killed --------------------------------------------------------------- */

static void killed_again_and_again_it_loses_nothing(void **state)
{
    struct scene *scene = *state;
    size_t njobs = sized(20000, 6000, 2000);
    size_t nkills = sized(20, 6, 2);
    struct ledger ledger;
    ledger_open(&ledger, "0.02", njobs);
    scene_push_sleeps(scene, "queue", "0.02", njobs);
    for (size_t i = 1; i <= nkills; i++) {
        start(scene);
        assert_true(scene_sees_waiting(scene, "queue",
                                       njobs - i * njobs / (nkills + 1)));
        program_kill(&scene->corq);
        ledger_enter(&ledger, &scene->corq);
    }
    start(scene);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    verdict_of_ledger((struct verdict){.row = VERDICT_KILLED,
                                       .most_twice = nkills * CONCURRENCY},
                      &ledger, &scene->redis, QUEUES("queue"));
    assert_int_equal(scene_count_dead(scene), 0);
    ledger_close(&ledger);
}

/* --- asked to end --------------------------------------------------------- */

static void ended_again_and_again_it_runs_each_job_once(void **state)
{
    struct scene *scene = *state;
    size_t ncycles = sized(200, 20, 4);
    size_t njobs = ncycles * 2 * CONCURRENCY;
    struct ledger ledger;
    ledger_open(&ledger, "0.02", njobs);
    scene_push_sleeps(scene, "queue", "0.02", njobs);
    for (size_t i = 1; i <= ncycles; i++) {
        start(scene);
        assert_true(scene_sees_waiting(scene, "queue",
                                       njobs - i * njobs / (ncycles + 1)));
        assert_int_equal(scene_end(scene), 0);
        ledger_enter(&ledger, &scene->corq);
        assert_true(nothing_is_left(&scene->redis));
    }
    start(scene);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    verdict_of_ledger((struct verdict){.row = VERDICT_TERM_LOADED}, &ledger,
                      &scene->redis, QUEUES("queue"));
    assert_true(nothing_is_left(&scene->redis));
    ledger_close(&ledger);
}

/* --- without any time ----------------------------------------------------- */

/* True when the queue holds the jobs 1 to @njobs, next in line first. */
static bool is_as_pushed(struct scene *scene, const char *queue,
                         const char *prefix, size_t njobs)
{
    redisReply *jobs = redis_reply(&scene->redis, "LRANGE %s 0 -1", queue);
    bool is_equal = jobs->elements == njobs;
    if (!is_equal)
        print_error("--- %zu jobs in %s, expected %zu\n", jobs->elements, queue,
                    njobs);
    for (size_t i = 0; i < njobs && is_equal; i++) {
        char expected[32];
        const char *found = jobs->element[njobs - 1 - i]->str;
        snprintf(expected, sizeof expected, "%s%05zu", prefix, i + 1);
        is_equal = strcmp(found, expected) == 0;
        if (!is_equal)
            print_error("--- job %zu of %s is %s\n", i + 1, queue, found);
    }
    freeReplyObject(jobs);
    return is_equal;
}

static void interrupt_and_compare(struct scene *scene, const char *concurrency,
                                  size_t njobs, size_t nrunning)
{
    scene_push_sleeps(scene, "first", "600.0", njobs);
    scene_push_sleeps(scene, "second", "601.0", njobs);
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--queue", "first", "--queue", "second",
                              "--concurrency", concurrency,
                              "--shutdown-timeout", "0"));
    assert_true(scene_sees_lines(scene, "Wait 60", nrunning));
    assert_int_equal(scene_end(scene), 0);
    assert_true(is_as_pushed(scene, "first", "600.0", njobs));
    assert_true(is_as_pushed(scene, "second", "601.0", njobs));
    assert_true(nothing_is_left(&scene->redis));
    verdict_give(&(struct verdict){
        .row = VERDICT_TERM_ENDLESS,
        .njobs = 2 * njobs,
        .note = "all back in their order",
    });
}

static void what_ran_is_next_in_line_again(void **state)
{
    interrupt_and_compare(*state, "200", 150, 200);
}

static void many_that_ran_keep_their_order(void **state)
{
    size_t njobs = test_scale(5000, 1500);
    char concurrency[24];
    snprintf(concurrency, sizeof concurrency, "%zu", njobs + njobs / 2);
    interrupt_and_compare(*state, concurrency, njobs, njobs + njobs / 2);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(killed_again_and_again_it_loses_nothing),
        scene_test(ended_again_and_again_it_runs_each_job_once),
        scene_test(what_ran_is_next_in_line_again),
        scene_test(many_that_ran_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
