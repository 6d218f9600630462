/*
 * What the service says of itself: to people, to programs, to systemd.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/scene.h"

/* --- logs ----------------------------------------------------------------- */

/* Runs some jobs of all sorts and ends. */
static void live(struct scene *scene)
{
    redis_do(&scene->redis, "LPUSH queue 0.1 abc %b", "\xff\"\n\\\0",
             (size_t)5);
    assert_true(scene_sees_dead(scene, 2));
    program_signal(&scene->corq, SIGUSR2);
    redis_do(&scene->redis, "LPUSH queue 0.2");
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    redis_do(&scene->redis, "LPUSH queue abd");
    assert_true(scene_sees_dead(scene, 3));
    assert_int_equal(scene_end(scene), 0);
}

/* The first line at or behind @at that is corq's: a wrapper such as valgrind
 * writes some of its own. NULL at the end. */
static const char *own_line(const char *at)
{
    const char *wrapper = getenv("WRAPPER");
    while (wrapper && wrapper[0] && strncmp(at, "--", 2) == 0)
        at += strcspn(at, "\n") + 1;
    return *at ? at : NULL;
}

/* The one after @line. */
static const char *next_line(const char *line)
{
    return own_line(line + strcspn(line, "\n") + 1);
}

static void assert_has_string(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    assert_non_null(text);
    assert_true(text[0] != '\0');
}

static void each_line_of_a_json_log_is_an_object(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq,
                  PROGRAM_ARGS(SCENE_RUN(scene), "--log-format", "json"));
    assert_true(scene_sees(scene, "\"ready: "));
    live(scene);
    size_t nlines = 0;
    const char *line = own_line(program_log(&scene->corq));
    for (; line; line = next_line(line)) {
        json_error_t error;
        json_t *record = json_loadb(line, strcspn(line, "\n"),
                                    JSON_REJECT_DUPLICATES, &error);
        if (!record)
            fail_msg("%s: %.300s", error.text, line);
        assert_has_string(record, "time");
        assert_has_string(record, "level");
        assert_has_string(record, "message");
        json_decref(record);
        nlines++;
    }
    assert_true(nlines > 10);
}

static void a_line_of_a_text_log_has_time_and_level(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--log-format", "text");
    live(scene);
    const char *line = own_line(program_log(&scene->corq));
    for (; line; line = next_line(line)) {
        static const char model[] = "0000-00-00T00:00:00.000Z ";
        for (size_t i = 0; model[i]; i++)
            assert_true(model[i] == '0' ? line[i] >= '0' && line[i] <= '9'
                                        : line[i] == model[i]);
        const char *level = line + strlen(model);
        assert_true(strncmp(level, "info  ", 6) == 0 ||
                    strncmp(level, "warn  ", 6) == 0);
    }
}

static void the_journal_gets_priorities_and_no_time(void **state)
{
    struct scene *scene = *state;
    program_start_with(&scene->corq,
                       &(struct program_options){
                           .arguments = PROGRAM_ARGS(SCENE_RUN(scene)),
                           .is_journaled = true,
                       });
    assert_true(scene_sees(scene, "ready: "));
    live(scene);
    const char *line = own_line(program_log(&scene->corq));
    for (; line; line = next_line(line))
        assert_true(strncmp(line, "<6>", 3) == 0 ||
                    strncmp(line, "<4>", 3) == 0);
    assert_non_null(strstr(program_log(&scene->corq), "<6>info  ready: "));
    assert_non_null(
        strstr(program_log(&scene->corq), "<4>warn  job set aside"));
}

static void a_log_of_warnings_is_quiet(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    program_start_with(
        &scene->corq,
        &(struct program_options){
            .arguments = PROGRAM_ARGS(SCENE_RUN(scene), "--log-level", "warn"),
            .environment = PROGRAM_ARGS(scene->notify.variable),
        });
    assert_true(notify_socket_wait_for(&scene->notify, "READY=1", PATIENCE_MS));
    redis_do(&scene->redis, "LPUSH queue 0.1 0.1 abc");
    assert_true(scene_sees_dead(scene, 1));
    assert_int_equal(scene_end(scene), 0);
    const char *line = own_line(program_log(&scene->corq));
    assert_non_null(line);
    assert_non_null(strstr(line, " warn  job set aside in corq:dead"));
    assert_null(next_line(line));
}

static void nothing_is_printed_but_the_log(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    live(scene);
    assert_string_equal(program_output(&scene->corq), "");
}

/* --- the service manager -------------------------------------------------- */

static void it_is_ready_only_when_redis_has_answered(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    program_start_with(&scene->corq,
                       &(struct program_options){
                           .arguments = PROGRAM_ARGS(SCENE_RUN(scene)),
                           .environment = PROGRAM_ARGS(scene->notify.variable),
                       });
    assert_true(scene_sees(scene, "trying again until it answers"));
    assert_false(notify_socket_has(&scene->notify, "READY=1"));
    redis_server_again(&scene->redis);
    assert_true(notify_socket_wait_for(&scene->notify, "READY=1", PATIENCE_MS));
    assert_false(notify_socket_has(&scene->notify, "STOPPING=1"));
    assert_int_equal(scene_end(scene), 0);
    assert_true(notify_socket_has(&scene->notify, "STOPPING=1"));
}

static void a_manager_that_is_gone_does_not_matter(void **state)
{
    struct scene *scene = *state;
    program_start_with(
        &scene->corq,
        &(struct program_options){
            .arguments = PROGRAM_ARGS(SCENE_RUN(scene)),
            .environment = PROGRAM_ARGS("NOTIFY_SOCKET=/nowhere/at/all"),
        });
    assert_true(scene_sees(scene, "ready: "));
    assert_int_equal(scene_end(scene), 0);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(each_line_of_a_json_log_is_an_object),
        scene_test(a_line_of_a_text_log_has_time_and_level),
        scene_test(the_journal_gets_priorities_and_no_time),
        scene_test(a_log_of_warnings_is_quiet),
        scene_test(nothing_is_printed_but_the_log),
        cmocka_unit_test_setup_teardown(
            it_is_ready_only_when_redis_has_answered, scene_open_without_redis,
            scene_close),
        scene_test(a_manager_that_is_gone_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
