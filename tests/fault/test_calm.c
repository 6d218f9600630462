/*
 * No fault at all: each job once, and next to no cost while there is nothing
 * to do.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/group.h"
#include "tests/support/load.h"
#include "tests/support/scale.h"

static void each_job_runs_once(void **state)
{
    struct scene *scene = *state;
    struct load load;
    load_push(&load, scene,
              test_scale_is_full() ? 50000 : test_scale(10000, 1000));
    struct program *programs[] = {&scene->corq, &scene->second};
    for (size_t i = 0; i < 2; i++)
        scene_run_as(programs[i],
                     PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                                  "--concurrency", "100"));
    load_judge(&load, (struct verdict){.row = VERDICT_CALM});
    assert_true(nothing_is_left(&scene->redis));
}

/* --- nothing to do -------------------------------------------------------- */

#define NFIRST 31

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* How long a job waits that comes when there was nothing to do. */
static double first_job_ms(struct scene *scene, size_t number)
{
    int64_t start_ns = coro_now_ns();
    redis_do(&scene->redis, "LPUSH queue 0");
    assert_true(scene_sees_lines(scene, "Wait 0 ", number));
    double took_ms = (double)(coro_now_ns() - start_ns) / 1e6;
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    return took_ms;
}

static size_t count_commands(struct scene *scene)
{
    char *info = redis_text(&scene->redis, "INFO stats");
    const char *at = strstr(info, "total_commands_processed:");
    assert_non_null(at);
    size_t n = (size_t)strtoull(strchr(at, ':') + 1, NULL, 10);
    free(info);
    return n - 1; /* but for this one */
}

static void with_nothing_to_do_it_costs_next_to_nothing(void **state)
{
    struct scene *scene = *state;
    int64_t window_ms = test_scale_is_full() ? 30000 : 8000;
    double took_ms[NFIRST];
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis)));
    for (size_t i = 0; i < NFIRST; i++)
        took_ms[i] = first_job_ms(scene, i + 1);
    qsort(took_ms, NFIRST, sizeof *took_ms, compare);
    double cpu = group_cpu_seconds(scene->corq.pid);
    size_t ncommands = count_commands(scene);
    wait_out(window_ms);
    ncommands = count_commands(scene) - ncommands;
    cpu = 100 * (group_cpu_seconds(scene->corq.pid) - cpu) /
          ((double)window_ms / 1000);
    assert_int_equal(scene_end(scene), 0);
    char note[120];
    snprintf(note, sizeof note,
             "CPU %.2f %%, %.1f commands a second; a job starts after %.1f ms",
             cpu, (double)ncommands * 1000 / (double)window_ms,
             took_ms[NFIRST / 2]);
    verdict_give(&(struct verdict){.row = VERDICT_IDLE,
                                   .njobs = NFIRST,
                                   .nleft = verdict_count_left(&scene->redis),
                                   .note = note});
    /* The checkers are slower than that. */
    assert_true(cpu < (double)test_scale(1, 100));
    assert_true(took_ms[NFIRST / 2] < (double)test_scale(250, 10000));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(each_job_runs_once),
        scene_test(with_nothing_to_do_it_costs_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
