/*
 * Jobs that could lie about unnoticed: come in just when nobody looks, or taken
 * by the ghost of a connection that is dead, which the server does not know.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* Less than a pop blocks, and much more than anything here takes. */
#define SOON_MS 3000

#define start(program, ...) \
    scene_run_as(program, PROGRAM_ARGS("run", __VA_ARGS__))

/* --- between two looks ---------------------------------------------------- */

static void let_pass(int64_t ns)
{
    int64_t end_ns = coro_now_ns() + ns;
    while (coro_now_ns() < end_ns)
        ;
}

/* The first one makes it look into both queues; the second one comes at each
 * moment of that in turn, and nothing comes after it. */
static void a_job_that_comes_while_it_looks_is_noticed(void **state)
{
    struct scene *scene = *state;
    size_t nrounds = test_scale(400, 100);
    start(&scene->corq, "--redis", redis_url(&scene->redis), "--queue", "left",
          "--queue", "right", "--handler", "noop");
    struct drain drain = {&scene->redis, QUEUES("left", "right")};
    for (size_t i = 0; i < nrounds; i++) {
        const char *queues[] = {"left", "right"};
        redis_do(&scene->redis, "LPUSH %s 1", queues[i % 2]);
        let_pass((int64_t)(i % 400) * 1000);
        redis_do(&scene->redis, "LPUSH %s 2", queues[(i + 1) % 2]);
        /* The first ones may find a worker that is still being started. */
        if (!wait_until(is_drained, &drain, i == 0 ? PATIENCE_MS : SOON_MS))
            fail_msg("in round %zu a job was not noticed", i);
    }
    assert_int_equal(scene_end(scene), 0);
}

/* --- ghosts --------------------------------------------------------------- */

static bool are_blocked(void *argument)
{
    return scene_count_blocked(argument) == 2;
}

/* It has looked into its inbox, which no other command here does. */
static bool has_looked(void *argument)
{
    struct scene *scene = argument;
    char *info = redis_text(&scene->redis, "INFO commandstats");
    bool has = strstr(info, "cmdstat_lindex:") != NULL;
    free(info);
    return has;
}

/* Leaves the ghost of a blocked pop at the server, before that of the new
 * connection. */
static void leave_a_ghost(struct scene *scene)
{
    assert_true(wait_until(are_blocked, scene, PATIENCE_MS));
    proxy_cut(scene->proxy, PROXY_CUT_GHOST);
}

static void a_ghost_of_a_quiet_process_keeps_no_job(void **state)
{
    struct scene *scene = *state;
    start(&scene->corq, "--redis", scene->proxy_url);
    leave_a_ghost(scene);
    program_signal(&scene->corq, SIGTSTP);
    assert_true(scene_sees(scene, "quiet: "));
    assert_true(scene_sees_lines(scene, "connected to", 2));
    assert_true(wait_until(has_looked, scene, PATIENCE_MS));
    redis_do(&scene->redis, "LPUSH queue 0.1 0.1");
    start(&scene->second, "--redis", redis_url(&scene->redis));
    assert_true(
        program_wait_for_lines(&scene->second, "Done 0.1 ", 2, PATIENCE_MS));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_with_proxy, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_job_that_comes_while_it_looks_is_noticed),
        scene_test(a_ghost_of_a_quiet_process_keeps_no_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
