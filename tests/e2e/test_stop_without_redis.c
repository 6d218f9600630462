/*
 * The end of the service when Redis is not there to be told.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/scene.h"

/* The time-out and a second, and much patience with slow machines. */
#define SOON_MS 30000

static void start_three(struct scene *scene, const char *timeout)
{
    scene_run(scene, "--shutdown-timeout", timeout);
    redis_do(&scene->redis, "LPUSH queue 600.1 600.2 600.3");
    assert_true(scene_sees_lines(scene, "Wait ", 3));
}

/* Each of the jobs that nobody could be told of is in the log, by its bytes,
 * and the exit status says that something is left over. */
static void assert_three_are_named(struct scene *scene)
{
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 1);
    assert_true(scene_sees_lines(scene, "could not be told what became", 3));
    assert_true(scene_sees(scene, "payload=600.1"));
    assert_true(scene_sees(scene, "payload=600.2"));
    assert_true(scene_sees(scene, "payload=600.3"));
    assert_true(scene_sees(scene, "3 jobs could not be given back or set"));
}

static void jobs_are_named_when_redis_is_gone(void **state)
{
    struct scene *scene = *state;
    start_three(scene, "1s");
    redis_server_kill(&scene->redis);
    assert_true(scene_sees(scene, "trying again"));
    int64_t start_ms = coro_now_ms();
    program_signal(&scene->corq, SIGTERM);
    assert_three_are_named(scene);
    assert_true(coro_now_ms() - start_ms >= 1000);
}

static void jobs_are_named_when_redis_is_frozen(void **state)
{
    struct scene *scene = *state;
    start_three(scene, "500ms");
    redis_server_pause(&scene->redis);
    program_signal(&scene->corq, SIGTERM);
    assert_three_are_named(scene);
}

static void jobs_are_named_when_redis_refuses(void **state)
{
    struct scene *scene = *state;
    start_three(scene, "0");
    redis_do(&scene->redis, "REPLICAOF 127.0.0.1 1");
    assert_true(scene_sees(scene, "READONLY"));
    program_signal(&scene->corq, SIGTERM);
    assert_three_are_named(scene);
}

static void jobs_are_named_when_the_dead_set_is_something_else(void **state)
{
    struct scene *scene = *state;
    start_three(scene, "0");
    redis_do(&scene->redis, "SET corq:dead x");
    program_signal(&scene->corq, SIGTERM);
    assert_three_are_named(scene);
}

static void jobs_that_end_in_time_leave_nothing_over(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--shutdown-timeout", "600");
    redis_do(&scene->redis, "LPUSH queue 1.5 1.6");
    assert_true(scene_sees_lines(scene, "Wait ", 2));
    redis_server_kill(&scene->redis);
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 0);
    assert_true(scene_sees_lines(scene, "Done ", 2));
}

static void a_failed_job_is_set_aside_when_redis_is_back_in_time(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--shutdown-timeout", "600");
    redis_do(&scene->redis, "LPUSH queue 600.1");
    assert_true(scene_sees(scene, "Wait 600.1"));
    redis_server_kill(&scene->redis);
    assert_true(scene_sees(scene, "trying again"));
    redis_server_again(&scene->redis);
    assert_true(scene_sees_lines(scene, "redis: connected to", 2));
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "Waiting up to"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 0);
    assert_true(scene_dead_is(scene, 0, "600.1", 5, "interrupted"));
}

/* The pop is overdue, and the server was asked whether it is there. */
static void term_after_redis_was_silent_for_long_ends_it(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2", "--shutdown-timeout", "500ms");
    redis_do(&scene->redis, "LPUSH queue 9.5");
    assert_true(scene_sees(scene, "Wait 9.5 "));
    redis_server_pause(&scene->redis);
    assert_true(scene_sees(scene, "Done 9.5 "));
    program_signal(&scene->corq, SIGTERM);
    /* When it thaws it may still hand a job to the pop: that is not success. */
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 1);
    assert_true(scene_sees(scene, "takes up to 1 jobs"));
}

static void term_while_redis_is_awaited_ends_it(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(SCENE_RUN(scene)));
    assert_true(scene_sees(scene, "trying again"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 0);
}

static void term_while_redis_is_frozen_at_the_start_ends_it(void **state)
{
    struct scene *scene = *state;
    redis_server_pause(&scene->redis);
    program_start(&scene->corq, PROGRAM_ARGS(SCENE_RUN(scene)));
    assert_true(scene_sees(scene, "no answer from the server"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 0);
    redis_server_resume(&scene->redis);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(jobs_are_named_when_redis_is_gone),
        scene_test(jobs_are_named_when_redis_is_frozen),
        scene_test(jobs_are_named_when_redis_refuses),
        scene_test(jobs_are_named_when_the_dead_set_is_something_else),
        scene_test(jobs_that_end_in_time_leave_nothing_over),
        scene_test(a_failed_job_is_set_aside_when_redis_is_back_in_time),
        scene_test(term_after_redis_was_silent_for_long_ends_it),
        cmocka_unit_test_setup_teardown(term_while_redis_is_awaited_ends_it,
                                        scene_open_without_redis, scene_close),
        scene_test(term_while_redis_is_frozen_at_the_start_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
