/*
 * The built binary with a Redis that sentinels watch over.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/program.h"
#include "tests/support/sentinel_set.h"
#include "tests/support/wait.h"

struct watched {
    struct sentinel_set set;
    struct program corq;
};

static int open_set(void **state)
{
    struct watched *watched = calloc(1, sizeof *watched);
    assert_non_null(watched);
    *state = watched;
    sentinel_set_start(&watched->set);
    return 0;
}

static int close_set(void **state)
{
    struct watched *watched = *state;
    program_release(&watched->corq);
    sentinel_set_release(&watched->set);
    free(watched);
    return 0;
}

static bool sees(struct watched *watched, const char *text)
{
    return program_wait_for_line(&watched->corq, text, PATIENCE_MS);
}

/* Waits until the log names @server as the primary. */
static bool sees_primary(struct watched *watched,
                         const struct redis_server *server)
{
    char text[200];
    snprintf(text, sizeof text, "connected to %s/0, primary 127.0.0.1:%u",
             watched->set.url, (unsigned)server->port);
    return sees(watched, text);
}

static void start(struct watched *watched)
{
    program_start(&watched->corq,
                  PROGRAM_ARGS("run", "--redis", watched->set.url, "--delivery",
                               "at-most-once"));
    assert_true(sees(watched, "ready: "));
    assert_true(sees_primary(watched, &watched->set.servers[0]));
}

static void end(struct watched *watched)
{
    program_signal(&watched->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&watched->corq, PATIENCE_MS), 0);
}

static void jobs_run_before_and_after_a_failover(void **state)
{
    struct watched *watched = *state;
    start(watched);
    redis_do(sentinel_set_primary(&watched->set), "LPUSH queue 0.01 0.02");
    assert_true(sees(watched, "Done 0.01 "));
    assert_true(sees(watched, "Done 0.02 "));
    assert_true(sentinel_set_fail_over(&watched->set));
    redis_do(&watched->set.servers[1], "LPUSH queue 0.03 0.04");
    assert_true(sees(watched, "Done 0.03 "));
    assert_true(sees(watched, "Done 0.04 "));
    assert_true(sees_primary(watched, &watched->set.servers[1]));
    end(watched);
}

static void jobs_run_after_the_primary_was_killed(void **state)
{
    struct watched *watched = *state;
    start(watched);
    redis_do(sentinel_set_primary(&watched->set), "LPUSH queue 0.01");
    assert_true(sees(watched, "Done 0.01 "));
    assert_true(sentinel_set_kill_primary(&watched->set));
    redis_do(&watched->set.servers[1], "LPUSH queue 0.02");
    assert_true(sees(watched, "Done 0.02 "));
    end(watched);
}

static void a_job_is_pushed_to_the_primary(void **state)
{
    struct watched *watched = *state;
    assert_int_equal(program_run(&watched->corq,
                                 PROGRAM_ARGS("push", "--redis",
                                              watched->set.url, "queue", "7")),
                     0);
    assert_int_equal(redis_integer(&watched->set.servers[0], "LLEN queue"), 1);
}

static void a_private_redis_has_no_sentinels(void **state)
{
    struct watched *watched = *state;
    assert_int_not_equal(
        program_run(&watched->corq,
                    PROGRAM_ARGS("run", "--redis", watched->set.url,
                                 "--embedded-redis")),
        0);
    assert_true(sees(watched, "found sentinels"));
}

#define SET_TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_set, close_set)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TEST(jobs_run_before_and_after_a_failover),
        SET_TEST(jobs_run_after_the_primary_was_killed),
        SET_TEST(a_job_is_pushed_to_the_primary),
        SET_TEST(a_private_redis_has_no_sentinels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
