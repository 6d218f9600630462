/*
 * The end of the service while something is under way that it can't hurry: a
 * command that Redis has not answered, a dead set that can't be written to, a
 * log that nobody reads.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* Much less than the time-outs here, and time enough under any checker. */
#define SOON_MS 20000

/* Pushes @count jobs with this payload, in one step. */
static void push_many(struct scene *scene, const char *payload, size_t count)
{
    static const char script[] =
        "local jobs = {} "
        "for i = 1, tonumber(ARGV[1]) do "
        "  jobs[#jobs + 1] = ARGV[2] "
        "  if #jobs == 1000 or i == tonumber(ARGV[1]) then "
        "    redis.call('LPUSH', KEYS[1], unpack(jobs)) "
        "    jobs = {} "
        "  end "
        "end";
    char number[24];
    snprintf(number, sizeof number, "%zu", count);
    redis_do(&scene->redis, "EVAL %s 1 queue %s %s", script, number, payload);
}

/* The number that follows the last @word in the log. */
static size_t logged_number(struct scene *scene, const char *word)
{
    const char *last = NULL;
    const char *at = program_log(&scene->corq);
    while ((at = strstr(at, word))) {
        at += strlen(word);
        last = at;
    }
    assert_non_null(last);
    return (size_t)strtoul(last, NULL, 10);
}

/* --- a burst that is not answered ----------------------------------------- */

static bool has_freed_its_jobs(void *argument)
{
    struct scene *scene = argument;
    program_signal(&scene->corq, SIGUSR2);
    return program_count_lines(&scene->corq,
                               " 0 jobs with the worker, 0 being settled") > 0;
}

/* Redis stands still, everything taken so far is done, and more was asked for:
 * with nothing to do, and more in the queue than could be taken meanwhile, the
 * fetcher is never between two commands for long. */
static size_t freeze_in_a_burst(struct scene *scene, const char *timeout)
{
    size_t njobs = test_scale(600000, 200000);
    push_many(scene, "x", njobs);
    scene_run(scene, "--handler", "noop", "--concurrency", "1000",
              "--shutdown-timeout", timeout);
    redis_server_pause(&scene->redis);
    assert_true(wait_until(has_freed_its_jobs, scene, PATIENCE_MS));
    return njobs;
}

/* How many jobs are neither done, nor in the queue, nor set aside. */
static size_t count_lost(struct scene *scene, size_t njobs)
{
    size_t ndone = logged_number(scene, "ended done=");
    size_t nleft = scene_count_waiting(scene, "queue");
    size_t nkept = ndone + nleft + scene_count_dead(scene);
    assert_true(nleft > 0);
    assert_in_range(nkept, 0, njobs);
    return njobs - nkept;
}

static void what_a_late_answer_brings_goes_back(void **state)
{
    struct scene *scene = *state;
    size_t njobs = freeze_in_a_burst(scene, "600");
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "no answer yet to a command that takes"));
    redis_server_resume(&scene->redis);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(count_lost(scene, njobs), 0);
    assert_int_equal(scene_count_dead(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, " error "), 0);
}

static bool is_alone(void *argument)
{
    struct scene *scene = argument;
    char *info = redis_text(&scene->redis, "INFO clients");
    bool is_alone = strstr(info, "connected_clients:1\r\n");
    free(info);
    return is_alone;
}

static void an_answer_that_never_comes_is_told(void **state)
{
    struct scene *scene = *state;
    size_t njobs = freeze_in_a_burst(scene, "1s");
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 1);
    assert_true(scene_sees(scene, "no answer in time to a command that takes"));
    assert_int_equal(program_count_lines(&scene->corq, " error "), 1);
    size_t nmost = logged_number(scene, "a command that takes up to ");
    assert_in_range(nmost, 1, 1000);
    redis_server_resume(&scene->redis);
    assert_true(wait_until(is_alone, scene, PATIENCE_MS));
    assert_in_range(count_lost(scene, njobs), 0, nmost);
}

static void a_second_term_does_not_wait_for_an_answer(void **state)
{
    struct scene *scene = *state;
    size_t njobs = freeze_in_a_burst(scene, "600");
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "no answer yet to a command that takes"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 1);
    size_t nmost = logged_number(scene, "a command that takes up to ");
    redis_server_resume(&scene->redis);
    assert_true(wait_until(is_alone, scene, PATIENCE_MS));
    assert_in_range(count_lost(scene, njobs), 0, nmost);
}

/* --- a dead set that can't be written to ---------------------------------- */

static void a_second_term_gives_up_what_cannot_be_settled(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET corq:dead x");
    scene_run(scene, "--shutdown-timeout", "60s");
    redis_do(&scene->redis, "LPUSH queue abc");
    assert_true(scene_sees(scene, "can't write to corq:dead"));
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "Stopping: "));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 1);
    assert_true(scene_sees(scene, "bytes=3 payload=abc"));
    assert_true(scene_sees(scene, "1 jobs could not be given back"));
    assert_int_equal(program_count_lines(&scene->corq, "does not end"), 0);
}

/* --- a log that nobody reads ---------------------------------------------- */

static bool is_queue_empty(void *argument)
{
    return scene_count_waiting(argument, "queue") == 0;
}

static bool is_full(void *argument)
{
    struct pollfd *writer = argument;
    return poll(writer, 1, 0) == 0;
}

static void run_into_a_full_pipe(struct scene *scene, const int fds[2])
{
    const char *const arguments[] = {SCENE_RUN(scene), "--shutdown-timeout",
                                     "1s", NULL};
    program_start_with(&scene->corq, &(struct program_options){
                                         .arguments = arguments,
                                         .log_fd = fds[1],
                                     });
    push_many(scene, "0", 4000);
    assert_true(wait_until(is_queue_empty, scene, PATIENCE_MS));
    struct pollfd writer = {.fd = fds[1], .events = POLLOUT};
    assert_true(wait_until(is_full, &writer, PATIENCE_MS));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_log_that_nobody_reads_does_not_hold_up_the_end(void **state)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    run_into_a_full_pipe(*state, fds);
    close(fds[0]);
    close(fds[1]);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(what_a_late_answer_brings_goes_back),
        scene_test(an_answer_that_never_comes_is_told),
        scene_test(a_second_term_does_not_wait_for_an_answer),
        scene_test(a_second_term_gives_up_what_cannot_be_settled),
        scene_test(a_log_that_nobody_reads_does_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
