/*
 * For tests of what moves due jobs: pollers with connections of their own, and
 * questions about what they did.
 */
#ifndef TESTS_INTEGRATION_POLLER_H
#define TESTS_INTEGRATION_POLLER_H

#include "master/queue/schedule.h"
#include "master/queue/script.h"
#include "tests/integration/redis_stage.h"
#include "tests/unit/worker/log_file.h"

struct poller {
    struct coro_group group;
    struct coro_redis_address address;
    struct coro_redis *redis;
    struct schedule schedule;
};

static struct log_file file;
static struct poller poller;

/* Starts a poller that comes to Redis at @port, as @process. */
static inline void poller_start(struct stage *stage, struct poller *one,
                                uint16_t port, const char *process)
{
    struct coro_loop *loop = coro_loop_current();
    stage_aim(stage, port);
    *one = (struct poller){.address = stage->address};
    stage->options.address = &one->address;
    one->redis = stage_start_redis(stage);
    stage_wait_up(stage);
    coro_group_init(&one->group, loop);
    expect_that(schedule_start(&one->schedule, &(struct schedule_options){
                                                   .group = &one->group,
                                                   .redis = one->redis,
                                                   .address = &one->address,
                                                   .client_name = process,
                                                   .process = process,
                                               }) == 0);
}

/* Ends a poller and gives its lock back. */
static inline void poller_stop(struct poller *one)
{
    expect_that(schedule_stop(&one->schedule, coro_after(PATIENCE_MS)) == 0);
    coro_group_close(&one->group);
    coro_redis_stop(one->redis);
}

static inline bool poller_leads(void *argument)
{
    const struct poller *one = argument;
    return schedule_is_leader(&one->schedule);
}

/* It leads, and would hear a word. */
static inline bool poller_listens(void *argument)
{
    const struct poller *one = argument;
    return poller_leads(argument) && one->schedule.wake &&
           coro_redis_is_up(one->schedule.wake);
}

/* A number that Redis is to give, by one command. */
struct wanted {
    struct stage *stage;
    const char *command;
    long long number;
};

static inline bool has_number(void *argument)
{
    const struct wanted *wanted = argument;
    return redis_integer(&wanted->stage->server, wanted->command) ==
           wanted->number;
}

/* Waits in a script until @command gives @number. */
static inline bool stage_sees(struct stage *stage, const char *command,
                              long long number)
{
    struct wanted wanted = {stage, command, number};
    return stage_wait_until(has_number, &wanted);
}

/* Adds a raw job for @key to @set, with the number @job as its payload. */
static inline void add_raw(struct stage *stage, const char *set, double score,
                           const char *key, int job)
{
    redis_do(&stage->server,
             "ZADD %s %f {\"jid\":\"j%d\",\"corq\":{\"key\":\"%s\","
             "\"payload\":\"%d\"}}",
             set, score, job, key, job);
}

static inline int poller_open(void **state)
{
    (void)state;
    log_file_open(&file);
    return 0;
}

static inline int poller_open_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return poller_open(state);
}

static inline int poller_close(void **state)
{
    log_file_close(&file);
    return stage_clear(state);
}

#define POLLER_TEST(name) \
    cmocka_unit_test_setup_teardown(name, poller_open, poller_close)
#define POLLER_PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, poller_open_proxy, poller_close)

#endif
