/*
 * Ten children under load, of which one is killed each second: how soon the
 * next one is there, and what that does to the rest.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/family.h"
#include "tests/support/load.h"
#include "tests/support/scale.h"

#define NCHILDREN 10

/* Of each child. */
#define CONCURRENCY 10

#define EVERY_MS 1000

/* Each takes 100 ms: a thousand a second. */
#define PREFIX "0.1"

/* The oldest: none is killed again that has only just begun. */
static pid_t oldest_child(struct scene *scene)
{
    pid_t children[2 * NCHILDREN];
    size_t n = family_children(scene->corq.pid, children, 2 * NCHILDREN);
    assert_in_range(n, 1, 2 * NCHILDREN);
    unsigned long long least = ULLONG_MAX; /* numbers begin anew some time */
    pid_t oldest = 0;
    for (size_t i = 0; i < n; i++) {
        struct family_member member;
        if (!family_look(children[i], &member) || member.started >= least)
            continue;
        least = member.started;
        oldest = children[i];
    }
    assert_true(oldest > 0);
    return oldest;
}

/* How many jobs are taken within @ms. */
static size_t count_taken(struct scene *scene, int64_t ms)
{
    size_t nbefore = scene_count_waiting(scene, "queue");
    wait_out(ms);
    size_t nafter = scene_count_waiting(scene, "queue");
    return nbefore > nafter ? nbefore - nafter : 0;
}

/* Kills one; returns after how long the next one was ready. */
static int64_t kill_one(struct scene *scene, size_t nready)
{
    int64_t start_ms = coro_now_ms();
    kill(oldest_child(scene), SIGKILL);
    assert_true(scene_sees_lines(scene, "ready: up to", nready));
    return coro_now_ms() - start_ms;
}

static void one_killed_each_second_is_hardly_felt(void **state)
{
    struct scene *scene = *state;
    size_t nkills = test_scale_is_full() ? 60 : test_scale(10, 3);
    size_t njobs = (nkills + 4) * test_scale(1000, 300);
    struct load load = {.scene = scene};
    int64_t slowest_ms = 0;
    size_t least = SIZE_MAX;
    ledger_open(&load.ledger, PREFIX, njobs);
    scene_push_sleeps(scene, "queue", PREFIX, njobs);
    program_start(&scene->corq,
                  PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                               "--processes", "10", "--concurrency", "10",
                               "--lease", "1h"));
    assert_true(scene_sees_lines(scene, "ready: up to", NCHILDREN));
    size_t before = count_taken(scene, EVERY_MS);
    for (size_t i = 1; i <= nkills; i++) {
        int64_t took_ms = kill_one(scene, NCHILDREN + i);
        size_t taken = count_taken(scene, EVERY_MS);
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        least = taken < least ? taken : least;
    }
    size_t percent = before > 0 ? 100 * least / before : 0;
    char note[120];
    snprintf(note, sizeof note,
             "one each second: the next one ready after %lld ms at most, jobs "
             "a second at least %zu %% of before",
             (long long)slowest_ms, percent);
    load_judge(&load, (struct verdict){.row = VERDICT_CHILD_KILLED,
                                       .most_twice = nkills * CONCURRENCY,
                                       .note = note});
    assert_int_equal(scene_count_dead(scene), 0);
    assert_in_range(slowest_ms, 0, test_scale(1000, 20000));
    /* A tenth is what one of ten takes along; the rest is up to whatever else
     * the machine does. */
    assert_true(percent >= test_scale(30, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_killed_each_second_is_hardly_felt,
                                        scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
