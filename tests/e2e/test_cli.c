/*
 * The command line: what it says, and what its exit status says.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scene.h"

#define SECRET "s3cr3t-w0rd"

/* Nothing listens there: a port that only a privileged process could have. */
#define NOBODY "redis://127.0.0.1:1"

/* --- without a server ----------------------------------------------------- */

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

static void assert_printed(struct program *program, const char *text)
{
    if (!strstr(program_output(program), text))
        fail_msg("'%s' is not in the output:\n%s", text,
                 program_output(program));
}

/* It ends with @status and each of the texts, up to NULL, on standard error. */
static void assert_complains(struct program *program, int status,
                             const char *const *arguments,
                             const char *const *texts)
{
    assert_int_equal(program_run(program, arguments), status);
    for (size_t i = 0; texts[i]; i++)
        if (!strstr(program_log(program), texts[i]))
            fail_msg("'%s' is not in:\n%s", texts[i], program_log(program));
    assert_string_equal(program_output(program), "");
}

static void version_says_what_this_is(void **state)
{
    struct program *program = *state;
    assert_int_equal(program_run(program, PROGRAM_ARGS("version")), 0);
    assert_printed(program, "corq " CORQ_VERSION "\n");
    assert_printed(program, "context switch: ");
    assert_null(strstr(program_log(program), "corq"));
    assert_int_equal(program_run(program, PROGRAM_ARGS("--version")), 0);
    assert_printed(program, "corq " CORQ_VERSION "\n");
}

static void help_tells_the_commands_and_their_options(void **state)
{
    struct program *program = *state;
    assert_int_equal(program_run(program, PROGRAM_ARGS("--help")), 0);
    assert_printed(program, "Usage: corq COMMAND");
    assert_printed(program, "  push ");
    assert_int_equal(program_run(program, PROGRAM_ARGS("run", "--help")), 0);
    assert_printed(program, "Usage: corq run");
    assert_printed(program, "--concurrency N");
    assert_printed(program, "CORQ_REDIS_URL");
    assert_int_equal(program_run(program, PROGRAM_ARGS("help", "push")), 0);
    assert_printed(program, "Usage: corq push");
    assert_int_equal(program_run(program, (const char *const[]){NULL}), 0);
    assert_printed(program, "Usage: corq COMMAND");
}

static void an_unknown_word_is_answered_with_the_nearest(void **state)
{
    struct program *program = *state;
    assert_complains(program, 2, PROGRAM_ARGS("rnu"),
                     PROGRAM_ARGS("unknown command 'rnu'", "'run'?"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--concurency", "3"),
                     PROGRAM_ARGS("unknown option '--concurency'",
                                  "did you mean '--concurrency'?"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "queue"),
                     PROGRAM_ARGS("found 'queue', expected only options"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--handler", "slep"),
                     PROGRAM_ARGS("slep", "sleep"));
}

static void bad_values_are_answered_with_what_was_expected(void **state)
{
    struct program *program = *state;
    assert_complains(
        program, 2, PROGRAM_ARGS("run", "--concurrency", "many"),
        PROGRAM_ARGS("found 'many', expected a whole number from 1 to"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--concurrency", "0"),
                     PROGRAM_ARGS("found '0'"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--shutdown-timeout=soon"),
                     PROGRAM_ARGS("found 'soon', expected a duration"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--redis", "http://x"),
                     PROGRAM_ARGS("found http://", "expected redis://"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--queue", "a=b"),
                     PROGRAM_ARGS("--queue"));
    assert_complains(program, 2, PROGRAM_ARGS("run", "--log-level", "loud"),
                     PROGRAM_ARGS("found 'loud', expected 'debug', 'info'"));
}

static void a_bad_url_does_not_give_its_password_away(void **state)
{
    struct program *program = *state;
    static const char *const urls[] = {
        "redis://:" SECRET "@host:99999999",
        "redis://:" SECRET "@host/db",
        "http://user:" SECRET "@host",
        "redis://user:" SECRET "@",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_int_equal(
            program_run(program, PROGRAM_ARGS("run", "--redis", urls[i])), 2);
        assert_null(strstr(program_log(program), SECRET));
    }
}

static void a_bad_variable_is_named(void **state)
{
    struct program *program = *state;
    program_start_with(program,
                       &(struct program_options){
                           .arguments = PROGRAM_ARGS("run"),
                           .environment = PROGRAM_ARGS("CORQ_CONCURRENCY=x"),
                       });
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 2);
    assert_non_null(strstr(program_log(program), "CORQ_CONCURRENCY"));
}

/* --- check ---------------------------------------------------------------- */

static void check_tells_each_value_and_where_it_is_from(void **state)
{
    struct program *program = *state;
    program_start_with(
        program,
        &(struct program_options){
            .arguments = PROGRAM_ARGS("check", "--redis",
                                      "redis://ann:" SECRET "@127.0.0.1:1/2",
                                      "--queue", "a=2", "--queue", "b=3"),
            .environment = PROGRAM_ARGS("CORQ_CONCURRENCY=7"),
        });
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
    assert_printed(program, "redis://ann:***@127.0.0.1:1/2");
    assert_printed(program, "(command line)");
    assert_printed(program, "concurrency        7 ");
    assert_printed(program, "(environment)");
    assert_printed(program, "shutdown-timeout   25s");
    assert_printed(program, "(default)");
    assert_printed(program, "Connection refused; corq would wait");
    assert_null(strstr(program_output(program), SECRET));
}

static void check_fails_when_run_would(void **state)
{
    struct program *program = *state;
    assert_int_equal(
        program_run(program, PROGRAM_ARGS("check", "--redis", NOBODY,
                                          "--wait-redis", "0")),
        78);
    assert_printed(program, "error              Redis does not answer");
    assert_int_equal(
        program_run(program, PROGRAM_ARGS("check", "--concurrency", "0")), 2);
}

static void check_asks_the_server(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(
        program_run(&scene->corq,
                    PROGRAM_ARGS("check", "--redis", redis_url(&scene->redis))),
        0);
    assert_printed(&scene->corq, "redis              answers: ");
    redis_do(&scene->redis, "CONFIG SET requirepass " SECRET);
    assert_int_equal(
        program_run(&scene->corq,
                    PROGRAM_ARGS("check", "--redis", redis_url(&scene->redis))),
        78);
    assert_printed(&scene->corq, "NOAUTH");
}

/* --- push ----------------------------------------------------------------- */

static int push(struct scene *scene, const char *payload, const void *input,
                size_t len)
{
    const char *const *arguments = PROGRAM_ARGS(
        "push", "--redis", redis_url(&scene->redis), "--", "mail", payload);
    program_start_with(&scene->corq, &(struct program_options){
                                         .arguments = arguments,
                                         .input = input,
                                         .input_len = len,
                                     });
    return program_wait_exit(&scene->corq, PATIENCE_MS);
}

static void assert_pushed(struct scene *scene, const void *bytes, size_t len)
{
    redisReply *reply = redis_reply(&scene->redis, "RPOP mail");
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_int_equal(reply->len, len);
    if (len > 0)
        assert_memory_equal(reply->str, bytes, len);
    freeReplyObject(reply);
}

static void push_pushes_its_argument(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "2.5", NULL, 0), 0);
    assert_null(strstr(program_log(&scene->corq), "corq"));
    assert_string_equal(program_output(&scene->corq), "");
    assert_int_equal(push(scene, "", NULL, 0), 0);
    assert_pushed(scene, "2.5", 3);
    assert_pushed(scene, "", 0);
}

static void push_takes_any_bytes_from_its_input(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "-", "a\0\xff\r\n", 5), 0);
    assert_pushed(scene, "a\0\xff\r\n", 5);
    assert_int_equal(push(scene, "-", "", 0), 0);
    assert_pushed(scene, "", 0);
}

static void push_tells_that_redis_refused(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET mail x");
    assert_int_equal(push(scene, "2", NULL, 0), 1);
    assert_non_null(strstr(program_log(&scene->corq), "WRONGTYPE"));
}

static void push_tells_what_it_needs(void **state)
{
    struct program *program = *state;
    assert_complains(program, 2, PROGRAM_ARGS("push"),
                     PROGRAM_ARGS("found no queue and no payload"));
    assert_complains(program, 2, PROGRAM_ARGS("push", "mail"),
                     PROGRAM_ARGS("found no payload"));
    assert_complains(program, 2, PROGRAM_ARGS("push", "mail", "1", "2"),
                     PROGRAM_ARGS("found '2' after the payload"));
    assert_complains(program, 2,
                     PROGRAM_ARGS("push", "--max-payload", "2", "mail", "123"),
                     PROGRAM_ARGS("the payload is too long"));
}

static void push_without_redis_is_told_apart(void **state)
{
    struct program *program = *state;
    assert_complains(program, 75,
                     PROGRAM_ARGS("push", "--redis", NOBODY, "--wait-redis",
                                  "100ms", "mail", "1"),
                     PROGRAM_ARGS("127.0.0.1:1", "Connection refused"));
}

/* --- secrets -------------------------------------------------------------- */

static void a_password_is_not_in_the_list_of_processes(void **state)
{
    struct program *program = *state;
    /* Bare: a wrapper would show its own arguments, which are not ours. */
    program_start_with(program, &(struct program_options){
                                    .arguments = PROGRAM_ARGS("run", "--redis",
                                                              "redis://:" SECRET
                                                              "@127.0.0.1:1"),
                                    .is_bare = true,
                                });
    assert_true(program_wait_for_line(program, "trying again", PATIENCE_MS));
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)program->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t len = read(fd, line, sizeof line);
    close(fd);
    assert_true(len > 0);
    assert_null(memmem(line, (size_t)len, SECRET, strlen(SECRET)));
    assert_non_null(memmem(line, (size_t)len, "--redis", strlen("--redis")));
    program_signal(program, SIGTERM);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
    assert_null(strstr(program_log(program), SECRET));
}

#define program_test(name) \
    cmocka_unit_test_setup_teardown(name, open_program, close_program)
#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        program_test(version_says_what_this_is),
        program_test(help_tells_the_commands_and_their_options),
        program_test(an_unknown_word_is_answered_with_the_nearest),
        program_test(bad_values_are_answered_with_what_was_expected),
        program_test(a_bad_url_does_not_give_its_password_away),
        program_test(a_bad_variable_is_named),
        program_test(check_tells_each_value_and_where_it_is_from),
        program_test(check_fails_when_run_would),
        scene_test(check_asks_the_server),
        scene_test(push_pushes_its_argument),
        scene_test(push_takes_any_bytes_from_its_input),
        scene_test(push_tells_that_redis_refused),
        program_test(push_tells_what_it_needs),
        program_test(push_without_redis_is_told_apart),
        program_test(a_password_is_not_in_the_list_of_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
