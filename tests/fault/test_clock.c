/*
 * A wall clock that jumps, by an hour, a day, a year, that of a process or that
 * of Redis: waits go by another clock, and leases by how long they last.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/load.h"
#include "tests/support/scale.h"
#include "tests/support/wall_clock.h"

#define LEASE     "3"
#define RECOVERED "given back, of a process that is gone"
#define HOUR      3600
#define DAY       (24 * HOUR)

static const int64_t jumps[] = {HOUR, -DAY, 365 * DAY, -HOUR, 0};

#define NJUMPS (sizeof jumps / sizeof *jumps)

static struct wall_clock clock_of_it;

static int open_scene(void **state)
{
    wall_clock_open(&clock_of_it);
    return scene_open(state);
}

static int open_with_redis(void **state)
{
    wall_clock_open(&clock_of_it);
    wall_clock_lend(&clock_of_it);
    scene_open(state);
    wall_clock_take_back(&clock_of_it);
    return 0;
}

static int close_scene(void **state)
{
    scene_close(state);
    wall_clock_close(&clock_of_it);
    return 0;
}

static void start(struct scene *scene, struct program *program,
                  const char *const *environment)
{
    program_start_with(
        program,
        &(struct program_options){
            .arguments = PROGRAM_ARGS(
                "run", "--redis", redis_url(&scene->redis), "--queue", "queue",
                "--queue", "beside", "--lease", LEASE, "--concurrency", "50"),
            .environment = environment,
        });
    assert_true(program_wait_for_line(program, "ready: ", PATIENCE_MS));
}

static bool is_held(void *argument)
{
    struct scene *scene = argument;
    return scene_count_waiting(scene, "beside") == 0;
}

/* A job that is running when the clock jumps, and goes on for longer than a
 * lease. */
static void jump_beside(struct scene *scene, int64_t seconds)
{
    redis_do(&scene->redis, "LPUSH beside 3.5");
    assert_true(wait_until(is_held, scene, PATIENCE_MS));
    wall_clock_set(&clock_of_it, seconds);
    assert_true(sees_drained(&scene->redis, QUEUES("beside")));
}

/* Jumps again and again while jobs run, and twice while they run for long. */
static void jump_and_judge(struct scene *scene, const char *note)
{
    struct load load;
    load_push(&load, scene, test_scale(5000, 1000));
    for (size_t i = 0; i < NJUMPS; i++) {
        wall_clock_set(&clock_of_it, jumps[i]);
        load_see_progress(&load, i + 1, NJUMPS + 1);
    }
    jump_beside(scene, DAY);
    jump_beside(scene, -DAY);
    load_judge(&load, (struct verdict){.row = VERDICT_CLOCK, .note = note});
    assert_int_equal(program_count_lines(&scene->corq, RECOVERED), 0);
    assert_int_equal(program_count_lines(&scene->second, RECOVERED), 0);
}

/* Half a year later, by the log. */
static void see_it_jump(struct scene *scene)
{
    char month[8], now[8];
    wall_clock_set(&clock_of_it, 183 * (int64_t)DAY);
    program_signal(&scene->corq, SIGHUP);
    assert_true(scene_sees(scene, "SIGHUP"));
    const char *log = program_log(&scene->corq);
    const char *line = strstr(log, "SIGHUP");
    while (line > log && line[-1] != '\n')
        line--;
    snprintf(month, sizeof month, "%.7s", log);
    snprintf(now, sizeof now, "%.7s", line);
    assert_string_not_equal(month, now);
}

static void the_clock_of_a_process_jumps(void **state)
{
    struct scene *scene = *state;
    start(scene, &scene->corq, clock_of_it.environment);
    start(scene, &scene->second, NULL);
    see_it_jump(scene);
    jump_and_judge(scene, "that of a process");
}

static void the_clock_of_redis_jumps(void **state)
{
    struct scene *scene = *state;
    start(scene, &scene->corq, NULL);
    start(scene, &scene->second, NULL);
    jump_and_judge(scene, "that of Redis");
    /* The clock did jump: leases ended at once, and were taken anew. */
    assert_true(scene_sees(scene, "the lease of this process ran out"));
}

#define clock_test(name, open) \
    cmocka_unit_test_setup_teardown(name, open, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        clock_test(the_clock_of_a_process_jumps, open_scene),
        clock_test(the_clock_of_redis_jumps, open_with_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
