/*
 * The programs in examples/: what they print is, byte for byte, what the Python
 * programs print, tests/transcripts/; and Ctrl-C ends them cleanly.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/program.h"
#include "tests/support/scale.h"
#include "tests/support/wait.h"

/* A unit of time: long enough for the order of events to be that of their
 * times, also where everything takes ten times as long. */
static int64_t unit_ms(void)
{
    return (int64_t)test_scale(50, 400);
}

static const char *unit(void)
{
    static char text[16];
    snprintf(text, sizeof text, "%.3f", (double)unit_ms() / 1000);
    return text;
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct program));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    program_release(*state);
    free(*state);
    return 0;
}

/* --- transcripts ---------------------------------------------------------- */

/* Ownership: free(). */
static char *read_transcript(const char *name)
{
    char path[64];
    char *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "tests/transcripts/%s.txt", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    ssize_t len = getdelim(&text, &size, '\0', file);
    fclose(file);
    assert_true(len > 0);
    return text;
}

static void start(struct program *program, const char *name,
                  const char *const *arguments)
{
    char path[64];
    snprintf(path, sizeof path, "examples/%s", name);
    program_start_with(program, &(struct program_options){
                                    .name = path, .arguments = arguments});
}

static void assert_transcript(struct program *program, const char *name,
                              const char *const *arguments)
{
    char *expected = read_transcript(name);
    start(program, name, arguments);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
    assert_string_equal(program_output(program), expected);
    free(expected);
}

static void generator_prints_what_python_does(void **state)
{
    assert_transcript(*state, "generator", PROGRAM_ARGS(unit()));
}

static void babies_sleep_at_once(void **state)
{
    int64_t began_ms = coro_now_ms();
    assert_transcript(*state, "baby", PROGRAM_ARGS(unit()));
    assert_true(coro_now_ms() - began_ms >= 2 * unit_ms());
}

static void callback_prints_what_python_does(void **state)
{
    assert_transcript(*state, "callback", PROGRAM_ARGS(unit()));
}

static void future_prints_what_python_does(void **state)
{
    assert_transcript(*state, "future", PROGRAM_ARGS(unit()));
}

static void gather_prints_what_python_does(void **state)
{
    assert_transcript(*state, "gather", PROGRAM_ARGS(unit()));
}

static void wait_prints_what_python_does(void **state)
{
    assert_transcript(*state, "wait", PROGRAM_ARGS(unit()));
}

static void as_completed_prints_what_python_does(void **state)
{
    assert_transcript(*state, "as_completed", PROGRAM_ARGS(unit()));
}

static void spinner_prints_what_python_does(void **state)
{
    assert_transcript(*state, "spinner", PROGRAM_ARGS(unit()));
    assert_non_null(strstr(program_log(*state), "thinking!"));
}

static void spinner_does_the_same_with_a_thread(void **state)
{
    assert_transcript(*state, "spinner", PROGRAM_ARGS(unit(), "--thread"));
    assert_non_null(strstr(program_log(*state), "thinking!"));
}

static void stop_prints_what_python_does(void **state)
{
    assert_transcript(*state, "stop", PROGRAM_ARGS(unit()));
    assert_non_null(strstr(program_log(*state), "tasks left: 0"));
}

static void stop_all_prints_what_python_does(void **state)
{
    assert_transcript(*state, "stop_all", PROGRAM_ARGS(unit()));
    assert_non_null(strstr(program_log(*state), "tasks left: 0"));
}

static void call_soon_threadsafe_prints_what_python_does(void **state)
{
    assert_transcript(*state, "call_soon_threadsafe", PROGRAM_ARGS(unit()));
}

static void run_coroutine_threadsafe_prints_what_python_does(void **state)
{
    assert_transcript(*state, "run_coroutine_threadsafe", PROGRAM_ARGS(unit()));
}

/* --- Ctrl-C --------------------------------------------------------------- */

struct output_wait {
    struct program *program;
    const char *text;
};

static bool has_printed(void *argument)
{
    struct output_wait *wait = argument;
    return strstr(program_output(wait->program), wait->text) ||
           !program_is_running(wait->program);
}

/* Runs it, with units that never end, until it has printed @text; then the
 * exit status after Ctrl-C. */
static int interrupt_after(struct program *program, const char *name,
                           const char *text)
{
    struct output_wait wait = {program, text};
    start(program, name, PROGRAM_ARGS("1000"));
    assert_true(wait_until(has_printed, &wait, PATIENCE_MS));
    program_signal(program, SIGINT);
    return program_wait_exit(program, PATIENCE_MS);
}

static void ctrl_c_stops_every_task(void **state)
{
    struct program *program = *state;
    assert_int_equal(interrupt_after(program, "stop", "Waiting:  5\n"), 130);
    for (int i = 1; i <= 5; i++) {
        char line[32];
        snprintf(line, sizeof line, "work-%d True\n", i);
        assert_non_null(strstr(program_output(program), line));
    }
    assert_non_null(
        strstr(program_output(program),
               "CancelledError('')\nCancelledError('')\nCancelledError('')\n"
               "CancelledError('')\nCancelledError('')\n"));
    assert_non_null(strstr(program_log(program), "tasks left: 0"));
}

static void ctrl_c_stops_all_that_is_gathered(void **state)
{
    struct program *program = *state;
    char *expected = read_transcript("stop_all");
    assert_int_equal(interrupt_after(program, "stop_all", "Waiting:  3\n"),
                     130);
    assert_string_equal(program_output(program), expected);
    assert_non_null(strstr(program_log(program), "tasks left: 0"));
    free(expected);
}

static void ctrl_c_ends_a_daemon_thread_after_its_tasks(void **state)
{
    struct program *program = *state;
    assert_int_equal(interrupt_after(program, "daemon_thread", "three works\n"),
                     130);
    assert_string_equal(program_output(program),
                        "one works\ntwo works\nthree works\n"
                        "one tidies up\ntwo tidies up\nthree tidies up\n"
                        "the main thread leaves\n");
}

static void ctrl_c_ends_one_that_does_nothing_about_it(void **state)
{
    struct program *program = *state;
    assert_int_equal(interrupt_after(program, "baby", "baby 3 sleep!\n"), 130);
}

#define example_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        example_test(generator_prints_what_python_does),
        example_test(babies_sleep_at_once),
        example_test(callback_prints_what_python_does),
        example_test(future_prints_what_python_does),
        example_test(gather_prints_what_python_does),
        example_test(wait_prints_what_python_does),
        example_test(as_completed_prints_what_python_does),
        example_test(spinner_prints_what_python_does),
        example_test(spinner_does_the_same_with_a_thread),
        example_test(stop_prints_what_python_does),
        example_test(stop_all_prints_what_python_does),
        example_test(call_soon_threadsafe_prints_what_python_does),
        example_test(run_coroutine_threadsafe_prints_what_python_does),
        example_test(ctrl_c_stops_every_task),
        example_test(ctrl_c_stops_all_that_is_gathered),
        example_test(ctrl_c_ends_a_daemon_thread_after_its_tasks),
        example_test(ctrl_c_ends_one_that_does_nothing_about_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
