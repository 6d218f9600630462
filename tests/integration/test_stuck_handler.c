/*
 * Handlers that no shipped one is like: one that never yields, and one that
 * refuses to be cancelled. Neither may keep the process, or its job.
 *
 * The service runs with them in a child process, as the program would.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/sched/task.h"
#include "tests/integration/serve_stage.h"
#include "tests/support/redis_server.h"

/* More than the time-out and the second that a shutdown may take: what is
 * measured here is that it ends by itself, on however slow a machine. */
#define END_MS 30000

struct stage {
    struct redis_server redis;
    pid_t pid;
    int status;
};

/* Volatile, so that no compiler may find out that the loops never end. */
static volatile bool is_endless = true;

/* Written to in the child: an 's' by each handler that starts, an 'e' when the
 * service has ended in order. */
static int started_pipe[2];

static void tell_started(void)
{
    ssize_t written = write(started_pipe[1], "s", 1);
    (void)written;
}

static enum job_outcome spin(const struct handler_call *call)
{
    (void)call;
    tell_started();
    while (is_endless)
        ;
    return JOB_OUTCOME_DONE;
}

/* Waits for ever, whoever cancels it. */
static enum job_outcome refuse(const struct handler_call *call)
{
    (void)call;
    tell_started();
    while (is_endless)
        (void)coro_sleep_until(CORO_NEVER);
    return JOB_OUTCOME_DONE;
}

static const struct handler_kind kind_spin = {.name = "spin", .run = spin};
static const struct handler_kind kind_refuse = {.name = "refuse",
                                                .run = refuse};

/* In the child. True when it has ended as it should, without its thread. */
static bool serve_until_stuck(const char *url, const struct handler_kind *kind,
                              const char *delivery, const char *timeout)
{
    struct service_result result;
    return serve(SERVE_WORDS("--redis", url, "--shutdown-timeout", timeout,
                             "--log-level", "warn", "--concurrency", "10",
                             "--delivery", delivery),
                 kind, &result) &&
           result.end == SERVICE_END_OK && result.is_thread_stuck;
}

static void start(struct stage *stage, const struct handler_kind *kind,
                  const char *delivery, const char *timeout)
{
    stage->pid = serve_fork();
    assert_true(stage->pid >= 0);
    if (stage->pid > 0)
        return;
    /* It leaves what the stuck thread may use, as the program does. A checker
     * that looks for leaks at an exit has nothing to say about that: so it says
     * how it ended, and ends by a signal that nobody sees coming. */
    char end =
        serve_until_stuck(redis_url(&stage->redis), kind, delivery, timeout)
            ? 'e'
            : 'x';
    ssize_t written = write(started_pipe[1], &end, 1);
    (void)written;
    kill(getpid(), SIGKILL);
    _exit(1);
}

static bool has_ended(void *argument)
{
    struct stage *stage = argument;
    if (stage->pid > 0 &&
        waitpid(stage->pid, &stage->status, WNOHANG) == stage->pid)
        stage->pid = 0;
    return stage->pid == 0;
}

static bool queue_is_empty(void *argument)
{
    struct stage *stage = argument;
    return redis_integer(&stage->redis, "LLEN queue") == 0;
}

static bool one_more_started(void *argument)
{
    (void)argument;
    char byte;
    return read(started_pipe[0], &byte, 1) == 1;
}

/* Until @count handlers run, and nothing is left in the queue. */
static void wait_for_handlers(struct stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(wait_until(one_more_started, NULL, PATIENCE_MS));
    assert_true(wait_until(queue_is_empty, stage, PATIENCE_MS));
}

static size_t count_with(struct stage *stage, const char *payload)
{
    redisReply *reply = redis_reply(&stage->redis, "ZRANGE corq:dead 0 -1");
    size_t count = 0;
    for (size_t i = 0; i < reply->elements; i++)
        if (strstr(reply->element[i]->str, payload) &&
            strstr(reply->element[i]->str, "Interrupted"))
            count++;
    freeReplyObject(reply);
    return count;
}

static int open_stage(void **state)
{
    static struct stage stage;
    stage = (struct stage){.pid = 0};
    if (pipe2(started_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    redis_server_start(&stage.redis, NULL);
    *state = &stage;
    return 0;
}

static int close_stage(void **state)
{
    struct stage *stage = *state;
    if (stage->pid > 0) {
        kill(stage->pid, SIGKILL);
        waitpid(stage->pid, NULL, 0);
    }
    close(started_pipe[0]);
    close(started_pipe[1]);
    redis_server_release(&stage->redis);
    return 0;
}

static void assert_orderly_end(struct stage *stage)
{
    kill(stage->pid, SIGTERM);
    assert_true(wait_until(has_ended, stage, END_MS));
    assert_true(WIFSIGNALED(stage->status));
    char end = 0;
    assert_int_equal(read(started_pipe[0], &end, 1), 1);
    assert_int_equal(end, 'e');
}

static void a_handler_that_never_yields_cannot_keep_the_process(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->redis, "LPUSH queue spinning");
    start(stage, &kind_spin, "at-most-once", "100ms");
    wait_for_handlers(stage, 1);
    assert_orderly_end(stage);
    assert_int_equal(count_with(stage, "\"payload\":\"spinning\""), 1);
    assert_int_equal(redis_integer(&stage->redis, "ZCARD corq:dead"), 1);
}

static void jobs_behind_a_stuck_one_go_back_in_their_order(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->redis, "LPUSH queue spinning a b c");
    start(stage, &kind_spin, "at-most-once", "0");
    wait_for_handlers(stage, 1);
    assert_orderly_end(stage);
    assert_int_equal(count_with(stage, "\"payload\":\"spinning\""), 1);
    assert_int_equal(redis_integer(&stage->redis, "LLEN queue"), 3);
    static const char *const order[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        char *next = redis_text(&stage->redis, "RPOP queue");
        assert_string_equal(next, order[i]);
        free(next);
    }
}

static void a_handler_that_refuses_to_end_loses_its_job_to_dead(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->redis, "LPUSH queue one two three");
    start(stage, &kind_refuse, "at-most-once", "100ms");
    wait_for_handlers(stage, 3);
    assert_orderly_end(stage);
    assert_int_equal(count_with(stage, "\"payload\":\"one\""), 1);
    assert_int_equal(count_with(stage, "\"payload\":\"two\""), 1);
    assert_int_equal(count_with(stage, "\"payload\":\"three\""), 1);
    assert_int_equal(redis_integer(&stage->redis, "LLEN queue"), 0);
}

static void what_does_not_end_is_given_back_in_its_order(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->redis, "LPUSH queue spinning a b c");
    start(stage, &kind_spin, "at-least-once", "0");
    wait_for_handlers(stage, 1);
    assert_orderly_end(stage);
    assert_int_equal(redis_integer(&stage->redis, "EXISTS corq:dead"), 0);
    static const char *const order[] = {"spinning", "a", "b", "c"};
    for (size_t i = 0; i < 4; i++) {
        char *next = redis_text(&stage->redis, "RPOP queue");
        assert_string_equal(next, order[i]);
        free(next);
    }
    redisReply *left = redis_reply(&stage->redis, "KEYS corq:in*");
    assert_int_equal(left->elements, 0);
    freeReplyObject(left);
}

int main(void)
{
#define STAGED(test) \
    cmocka_unit_test_setup_teardown(test, open_stage, close_stage)
    const struct CMUnitTest tests[] = {
        STAGED(a_handler_that_never_yields_cannot_keep_the_process),
        STAGED(jobs_behind_a_stuck_one_go_back_in_their_order),
        STAGED(a_handler_that_refuses_to_end_loses_its_job_to_dead),
        STAGED(what_does_not_end_is_given_back_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
