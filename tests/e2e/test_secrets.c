/*
 * A URL with a password that stands where none belongs: nothing that is printed
 * or logged gives it away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

#define SECRET "hunter2"
#define URL    "redis://u:" SECRET "@h"

/* So long that a message shows only the beginning. */
#define A20      "aaaaaaaaaaaaaaaaaaaa"
#define A200     A20 A20 A20 A20 A20 A20 A20 A20 A20 A20
#define LONG_URL "redis://u:" SECRET A200 "@h"

static int open_program(void **state)
{
    static struct program program;
    *state = &program;
    return 0;
}

static int close_program(void **state)
{
    program_release(*state);
    return 0;
}

static void assert_is_kept(struct program *program)
{
    const char *log = program_log(program);
    const char *output = program_output(program);
    if (strstr(log, SECRET) || strstr(output, SECRET))
        print_error("--- it tells:\n%s%s---\n", log, output);
    assert_null(strstr(log, SECRET));
    assert_null(strstr(output, SECRET));
}

/* Refused, with a message, and without the password. */
static void assert_refuses(struct program *program,
                           const char *const *arguments)
{
    assert_int_equal(program_run(program, arguments), 2);
    assert_non_null(strchr(program_log(program), '\n'));
    assert_is_kept(program);
}

static void a_url_as_an_argument_keeps_its_password(void **state)
{
    static const char *const urls[] = {URL, LONG_URL};
    for (size_t i = 0; i < 2; i++) {
        const char *url = urls[i];
        assert_refuses(*state, PROGRAM_ARGS("run", url));
        assert_refuses(*state, PROGRAM_ARGS("check", url));
        assert_refuses(*state, PROGRAM_ARGS("version", url));
        assert_refuses(*state, PROGRAM_ARGS("push", url));
        assert_refuses(*state, PROGRAM_ARGS("push", "queue", "1", url));
    }
}

static void a_url_as_a_command_keeps_its_password(void **state)
{
    static const char *const urls[] = {URL, LONG_URL};
    for (size_t i = 0; i < 2; i++) {
        assert_refuses(*state, PROGRAM_ARGS(urls[i]));
        assert_refuses(*state, PROGRAM_ARGS("help", urls[i]));
    }
    assert_refuses(*state, PROGRAM_ARGS("--redis=" URL));
}

static void a_url_as_a_value_keeps_its_password(void **state)
{
    static const char *const urls[] = {URL, LONG_URL};
    for (size_t i = 0; i < 2; i++) {
        const char *url = urls[i];
        assert_refuses(*state, PROGRAM_ARGS("run", "--concurrency", url));
        assert_refuses(*state, PROGRAM_ARGS("run", "--log-level", url));
        assert_refuses(*state, PROGRAM_ARGS("run", "--delivery", url));
        assert_refuses(*state, PROGRAM_ARGS("run", "--max-payload", url));
        assert_refuses(*state, PROGRAM_ARGS("run", "--handler", url));
        assert_refuses(*state,
                       PROGRAM_ARGS("run", "--queue", url, "--queue", url));
    }
    assert_refuses(*state, PROGRAM_ARGS("run", "--handler", "Mail=" URL));
    assert_refuses(*state, PROGRAM_ARGS("run", "--queue", URL "=0"));
}

static void a_url_as_an_option_keeps_its_password(void **state)
{
    assert_refuses(*state, PROGRAM_ARGS("run", "--reddis=" URL));
    assert_refuses(*state, PROGRAM_ARGS("run", "--" URL));
    assert_refuses(*state, PROGRAM_ARGS("run", "-" LONG_URL));
}

static void what_was_expected_is_told_in_full(void **state)
{
    struct program *program = *state;
    assert_refuses(program, PROGRAM_ARGS("run", "--redis", "nonsense"));
    assert_non_null(
        strstr(program_log(program), "expected redis://[[user]:password@]"));
}

static void a_url_as_a_queue_keeps_its_password(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--queue", URL, "--queue", LONG_URL);
    assert_true(scene_sees(scene, "from redis://***@h, redis://***@h ("));
    assert_int_equal(scene_end(scene), 0);
    assert_is_kept(&scene->corq);
    program_run(&scene->corq,
                PROGRAM_ARGS("check", "--redis", redis_url(&scene->redis),
                             "--queue", URL));
    assert_non_null(strstr(program_output(&scene->corq), "redis://***@h"));
    assert_is_kept(&scene->corq);
}

#define program_test(name) \
    cmocka_unit_test_setup_teardown(name, open_program, close_program)
#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        program_test(a_url_as_an_argument_keeps_its_password),
        program_test(a_url_as_a_command_keeps_its_password),
        program_test(a_url_as_a_value_keeps_its_password),
        program_test(a_url_as_an_option_keeps_its_password),
        program_test(what_was_expected_is_told_in_full),
        scene_test(a_url_as_a_queue_keeps_its_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
