/*
 * A build whose hiredis has no TLS says so, and what would help.
 */
#include "tests/integration/redis_stage.h"
#include "tests/support/program.h"

static int start(void *argument)
{
    struct stage *stage = argument;
    struct coro_redis *redis;
    stage_aim(stage, stage->server.port);
    stage->address.tls = true;
    expect_that(coro_redis_start(coro_loop_current(), &stage->options,
                                 &redis) == -EOPNOTSUPP);
    return 0;
}

static void tls_is_refused_at_once(void **state)
{
    stage_play(*state, start);
}

static void the_program_says_what_would_help(void **state)
{
    (void)state;
    static struct program corq;
    const char *const *commands[] = {
        PROGRAM_ARGS("run", "--redis", "rediss://localhost"),
        PROGRAM_ARGS("push", "--redis", "rediss://localhost", "queue", "1"),
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        assert_int_equal(program_run(&corq, commands[i]), 78);
        assert_non_null(strstr(program_log(&corq), coro_redis_tls_missing()));
        program_release(&corq);
    }
    assert_non_null(strstr(coro_redis_tls_missing(), "use hiredis 1.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(tls_is_refused_at_once),
        STAGE_TEST(the_program_says_what_would_help),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
