/*
 * SIGTERM at each time there is: idle, twice, at the start, without Redis. What
 * ran is next in line again or recovered; none is lost.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/load.h"
#include "tests/support/scale.h"
#include "tests/support/seed.h"

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

#define start(program, ...) scene_run_as(program, PROGRAM_ARGS(__VA_ARGS__))

static int64_t end_in_ms(struct program *program)
{
    int64_t start_ms = coro_now_ms();
    program_signal(program, SIGTERM);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
    return coro_now_ms() - start_ms;
}

static void idle_it_ends_within_a_second(void **state)
{
    struct scene *scene = *state;
    size_t nrounds = test_scale(10, 2);
    int64_t longest_ms = 0;
    for (size_t i = 1; i <= nrounds; i++) {
        start(&scene->corq, RUN(scene), "--shutdown-timeout", "600");
        redis_do(&scene->redis, "LPUSH queue 0");
        assert_true(scene_sees(scene, "Done 0 "));
        assert_true(sees_drained(&scene->redis, QUEUES("queue")));
        int64_t took_ms = end_in_ms(&scene->corq);
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    char note[40];
    snprintf(note, sizeof note, "%lld ms at most", (long long)longest_ms);
    assert_true(nothing_is_left(&scene->redis));
    verdict_give(&(struct verdict){
        .row = VERDICT_TERM_IDLE, .njobs = nrounds, .note = note});
    assert_in_range(longest_ms, 0, test_scale(1000, 20000));
}

static void told_twice_it_does_not_wait_and_loses_nothing(void **state)
{
    struct scene *scene = *state;
    struct load load = {.scene = scene};
    ledger_open(&load.ledger, "3.0", 50);
    scene_push_sleeps(scene, "queue", "3.0", 50);
    start(&scene->corq, RUN(scene), "--shutdown-timeout", "600");
    assert_true(scene_sees_lines(scene, "Wait 3.0", 50));
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "Waiting up to 600.0 s for 50 jobs"));
    int64_t took_ms = end_in_ms(&scene->corq);
    assert_int_equal(scene_count_waiting(scene, "queue"), 50);
    load_enter(&load, &scene->corq);
    start(&scene->second, RUN(scene));
    char note[40];
    snprintf(note, sizeof note, "ended after %lld ms", (long long)took_ms);
    load_judge(&load, (struct verdict){.row = VERDICT_TERM_TWICE,
                                       .most_twice = 50,
                                       .note = note});
}

/* --- at the start --------------------------------------------------------- */

static bool is_due(void *argument)
{
    return coro_now_ns() >= *(int64_t *)argument;
}

/* Before the handlers stand a signal still ends it as it does any program. */
static void end_early(struct program *program, int64_t after_ns)
{
    int64_t due_ns = coro_now_ns() + after_ns;
    wait_until(is_due, &due_ns, PATIENCE_MS);
    if (program_is_running(program))
        program_signal(program, SIGTERM);
    int status = program_wait_exit(program, PATIENCE_MS);
    assert_true(status == 0 || status == 1000 + SIGTERM);
}

static void told_at_any_moment_of_its_start_it_ends(void **state)
{
    struct scene *scene = *state;
    size_t nrounds = test_scale_is_full() ? 300 : test_scale(40, 5);
    struct coro_rng rng;
    struct load load;
    seed_rng(&rng);
    load_push(&load, scene, 10 * nrounds);
    for (size_t i = 0; i < nrounds; i++) {
        program_start(&scene->corq,
                      PROGRAM_ARGS(RUN(scene), "--concurrency", "5"));
        end_early(&scene->corq,
                  (int64_t)coro_rng_below(&rng, test_scale(50, 3000)) *
                      1000000);
        load_enter(&load, &scene->corq);
    }
    start(&scene->second, RUN(scene));
    char note[60];
    snprintf(note, sizeof note, "told %zu times in its first 50 ms", nrounds);
    load_judge(&load,
               (struct verdict){.row = VERDICT_TERM_EARLY, .note = note});
}

/* --- without Redis -------------------------------------------------------- */

static void what_redis_could_not_be_told_is_recovered(void **state)
{
    struct scene *scene = *state;
    struct load load = {.scene = scene};
    ledger_open(&load.ledger, "1.0", 30);
    scene_push_sleeps(scene, "queue", "1.0", 30);
    start(&scene->corq, RUN(scene), "--shutdown-timeout", "3");
    assert_true(scene_sees_lines(scene, "Wait 1.0", 30));
    redis_server_kill(&scene->redis);
    assert_true(scene_sees(scene, "trying again"));
    end_in_ms(&scene->corq);
    assert_true(scene_sees(scene, "what became of 30 jobs"));
    load_enter(&load, &scene->corq);
    redis_server_again(&scene->redis);
    start(&scene->second, RUN(scene));
    load_judge(&load, (struct verdict){.row = VERDICT_TERM_EARLY,
                                       .most_twice = 30,
                                       .note = "the log says: 30 jobs"});
}

static void told_while_it_waits_for_redis_it_ends(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(RUN(scene)));
    assert_true(scene_sees(scene, "trying again"));
    int64_t took_ms = end_in_ms(&scene->corq);
    char note[40];
    snprintf(note, sizeof note, "awaiting Redis: %lld ms", (long long)took_ms);
    verdict_give(&(struct verdict){.row = VERDICT_TERM_EARLY, .note = note});
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(idle_it_ends_within_a_second),
        scene_test(told_twice_it_does_not_wait_and_loses_nothing),
        scene_test(told_at_any_moment_of_its_start_it_ends),
        scene_test(what_redis_could_not_be_told_is_recovered),
        cmocka_unit_test_setup_teardown(told_while_it_waits_for_redis_it_ends,
                                        scene_open_without_redis, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
