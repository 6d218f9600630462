/*
 * For tests of the Redis connection: a server of their own, a proxy before it,
 * and a script that runs as a coroutine and records what it sees.
 *
 *     static int script(void *argument)
 *     {
 *         struct stage *stage = argument;
 *         stage_connect(stage, stage->server.port);
 *         …
 *         coro_redis_stop(stage->redis);
 *         return 0;
 *     }
 *
 *     stage_play(stage, script);
 */
#ifndef TESTS_INTEGRATION_REDIS_STAGE_H
#define TESTS_INTEGRATION_REDIS_STAGE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/io/redis.h"
#include "coro/sched/loop.h"
#include "tests/support/proxy.h"
#include "tests/support/record.h"
#include "tests/support/redis_server.h"
#include "tests/support/wait.h"
#include "tests/unit/worker/log_file.h"

#define EVENTS_MAX 64

struct stage {
    struct redis_server server;
    struct proxy *proxy; /* NULL unless the test starts one */
    struct coro_redis_address address;
    struct coro_redis_options options; /* of the next connection */
    struct coro_redis *redis;
    size_t nevents; /* of the connection; those beyond the room are lost */
    struct coro_redis_event events[EVENTS_MAX];
    char reasons[EVENTS_MAX][CORO_REDIS_REASON_MAX];
    void *own; /* the test's */
};

static inline void stage_note_event(void *argument,
                                    const struct coro_redis_event *event)
{
    struct stage *stage = argument;
    size_t i = stage->nevents++;
    if (i >= EVENTS_MAX)
        return;
    stage->events[i] = *event;
    snprintf(stage->reasons[i], sizeof stage->reasons[i], "%s", event->reason);
    stage->events[i].reason = stage->reasons[i];
}

/* How many events of @state there were. */
static inline size_t stage_nevents(const struct stage *stage,
                                   enum coro_redis_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < stage->nevents && i < EVENTS_MAX; i++)
        n += stage->events[i].state == state;
    return n;
}

/* --- the connection ------------------------------------------------------- */

/* Sets where the next connection goes, with nothing else known about it. */
static inline void stage_aim(struct stage *stage, uint16_t port)
{
    static char host[] = "127.0.0.1";
    stage->address = (struct coro_redis_address){.host = host, .port = port};
    stage->options = (struct coro_redis_options){
        .address = &stage->address,
        .on_event = stage_note_event,
        .argument = stage,
    };
    stage->nevents = 0;
}

static inline struct coro_redis *stage_start_redis(struct stage *stage)
{
    struct coro_redis *redis = NULL;
    expect_that(
        coro_redis_start(coro_loop_current(), &stage->options, &redis) == 0);
    stage->redis = redis;
    return redis;
}

static inline bool stage_wait_up(struct stage *stage)
{
    return expect_that(
        coro_redis_wait_up(stage->redis, coro_after(PATIENCE_MS)) == 0);
}

/* Connects to @port and waits until that is up. Context: the script. */
static inline struct coro_redis *stage_connect(struct stage *stage,
                                               uint16_t port)
{
    stage_aim(stage, port);
    stage_start_redis(stage);
    stage_wait_up(stage);
    return stage->redis;
}

/* Connects to the server as the user ann, whose password is "pw". */
static inline void stage_connect_as_ann(struct stage *stage)
{
    static char user[] = "ann", password[] = "pw";
    stage_aim(stage, stage->server.port);
    stage->address.user = user;
    stage->address.password = password;
    stage_start_redis(stage);
    stage_wait_up(stage);
}

/* --- commands, for scripts ------------------------------------------------ */

/* The reply to a command, or NULL and a record of why there is none. */
#define stage_ask(redis, ...)                                                  \
    stage_ask_words(                                                           \
        (redis), sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *), \
        (const char *[]){__VA_ARGS__})

static inline struct coro_redis_reply *stage_ask_words(struct coro_redis *redis,
                                                       size_t nwords,
                                                       const char **words)
{
    struct coro_redis_reply *reply = NULL;
    int status = coro_redis_call(redis, (int)nwords, words, NULL,
                                 coro_after(PATIENCE_MS), &reply);
    expect_that(status == 0);
    return status == 0 ? reply : NULL;
}

static inline bool stage_reply_is(struct coro_redis_reply *reply,
                                  const char *text)
{
    bool is_same =
        reply && strcmp(coro_redis_reply_text(reply, NULL), text) == 0;
    coro_redis_reply_free(reply);
    return is_same;
}

#define stage_text_is(redis, text, ...) \
    stage_reply_is(stage_ask((redis), __VA_ARGS__), (text))

/* The integer that a command gives; -1000 when it gives none. */
#define stage_integer(redis, ...) \
    stage_reply_integer(stage_ask((redis), __VA_ARGS__))

static inline int64_t stage_reply_integer(struct coro_redis_reply *reply)
{
    int64_t integer =
        reply && coro_redis_reply_type(reply) == CORO_REDIS_INTEGER
            ? coro_redis_reply_integer(reply)
            : -1000;
    coro_redis_reply_free(reply);
    return integer;
}

/* Waits in a script, with the loop running, until @condition is true. */
static inline bool stage_wait_until(bool (*condition)(void *argument),
                                    void *argument)
{
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    while (!condition(argument)) {
        if (coro_now_ms() > deadline_ms)
            return false;
        coro_sleep(1);
    }
    return true;
}

/* A line that is to be logged. */
struct wanted_line {
    struct log_file *file;
    const char *text;
};

static inline bool stage_has_logged(void *argument)
{
    const struct wanted_line *line = argument;
    return strstr(log_file_read(line->file), line->text);
}

/* Waits in a script until @text was logged into @file. */
static inline bool stage_sees_logged(struct log_file *file, const char *text)
{
    struct wanted_line line = {file, text};
    return stage_wait_until(stage_has_logged, &line);
}

/* --- tasks beside the script -------------------------------------------- */

static inline struct coro_task *stage_spawn(coro_task_fn *function,
                                            struct stage *stage)
{
    struct coro_task *task = NULL;
    expect_that(coro_spawn(coro_loop_current(), function, stage, NULL, &task) ==
                0);
    return task;
}

static inline int stage_result(struct coro_task *task)
{
    int result = 1;
    expect_that(coro_task_wait(task, coro_after(PATIENCE_MS), &result) == 0);
    coro_task_unref(task);
    return result;
}

/* --- the play ------------------------------------------------------------- */

/* Runs @script as a coroutine in a loop of its own, then asserts. */
static inline void stage_play(struct stage *stage, coro_task_fn *script)
{
    struct coro_loop *loop;
    struct coro_task *task;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(
        coro_spawn(loop, script, stage,
                   &(struct coro_spawn_options){.large_stack = true}, &task),
        0);
    coro_loop_run_until_complete(loop, task, NULL);
    coro_task_unref(task);
    size_t nleft = coro_loop_free(loop);
    assert_as_expected();
    assert_int_equal(nleft, 0);
}

/* A group setup of cmocka: one server for all tests of the program. */
static inline int stage_open(void **state)
{
    static struct stage stage;
    redis_server_start(&stage.server, "maxmemory 0\n");
    *state = &stage;
    return 0;
}

static inline int stage_close(void **state)
{
    struct stage *stage = *state;
    redis_server_release(&stage->server);
    return 0;
}

/* Test teardown: the proxy goes, the server is as new. */
static inline int stage_clear(void **state)
{
    struct stage *stage = *state;
    proxy_stop(stage->proxy);
    stage->proxy = NULL;
    redis_do(&stage->server, "FLUSHALL");
    return 0;
}

#define STAGE_TEST(name) cmocka_unit_test_teardown(name, stage_clear)

#endif
