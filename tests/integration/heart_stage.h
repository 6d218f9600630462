/*
 * For tests of the heartbeat: one that beats, beside the stage, for a process
 * whose queues, counters and jobs the test sets.
 */
#ifndef TESTS_INTEGRATION_HEART_STAGE_H
#define TESTS_INTEGRATION_HEART_STAGE_H

#include <signal.h>

#include "coro/sched/group.h"
#include "master/queue/heartbeat.h"
#include "tests/integration/redis_stage.h"
#include "tests/support/dashboard.h"
#include "tests/unit/worker/log_file.h"

#define HEART_ID "box:77:0123456789abcdef"

/* Fast enough for a test, slow enough for the server. */
#define HEART_PERIOD_MS 20

struct heart {
    struct coro_group group;
    struct heartbeat heartbeat;
    struct counters counters;
    struct list in_flight;
    uint64_t nmade;
    bool is_quiet;
    int signals[8];
    size_t nsignals;
};

static struct heart heart;
static struct log_file heart_log;

static const struct job_queue heart_queues[] = {
    {.key = "queue:mail", .key_len = 10},
    {.key = "raw", .key_len = 3},
    {.key = "mail", .key_len = 4},
};

static inline bool heart_is_quiet(void *argument)
{
    (void)argument;
    return heart.is_quiet;
}

static inline void heart_note_signal(void *argument, int number)
{
    (void)argument;
    if (heart.nsignals < 8)
        heart.signals[heart.nsignals++] = number;
}

static inline void heart_reset(void)
{
    heart = (struct heart){.nmade = 0};
    list_init(&heart.in_flight);
}

/* Begins to beat over the stage's connection. */
static inline struct heartbeat *heart_begin(struct stage *stage)
{
    coro_group_init(&heart.group, coro_loop_current());
    expect_that(
        heartbeat_start(&heart.heartbeat, &(struct heartbeat_options){
                                              .group = &heart.group,
                                              .redis = stage->redis,
                                              .identity = HEART_ID,
                                              .queues = heart_queues,
                                              .nqueues = 3,
                                              .concurrency = 5,
                                              .counters = &heart.counters,
                                              .in_flight = &heart.in_flight,
                                              .is_quiet = heart_is_quiet,
                                              .on_signal = heart_note_signal,
                                              .period_ms = HEART_PERIOD_MS,
                                          }) == 0);
    return &heart.heartbeat;
}

static inline int heart_stop(void)
{
    return heartbeat_stop(&heart.heartbeat, coro_after(PATIENCE_MS));
}

/* Ends what heart_begin() has begun, without a word to Redis. */
static inline void heart_die(struct stage *stage)
{
    coro_group_close(&heart.group);
    coro_buf_release(&heart.heartbeat.info);
    coro_redis_stop(stage->redis);
}

static inline void heart_end(struct stage *stage)
{
    expect_that(heart_stop() == 0);
    coro_group_close(&heart.group);
    coro_redis_stop(stage->redis);
}

/* A job in the worker's hands. Ownership: heart_drop_jobs(). */
static inline struct job *heart_add_job(const struct job_queue *queue,
                                        const void *payload, size_t len,
                                        bool is_started)
{
    struct job *job = job_new(queue, ++heart.nmade, payload, len);
    job->taken_at_us = coro_wall_us();
    list_append(&heart.in_flight, &job->in_flight);
    if (is_started) {
        job_start(job);
        counter_add(&heart.counters.started);
    }
    return job;
}

static inline void heart_drop_jobs(void)
{
    struct list *link;
    while ((link = list_take_first(&heart.in_flight)))
        job_free(list_entry(link, struct job, in_flight));
}

/* The record of a beat that begins after this call. */
static inline bool heart_wait_beat(struct stage *stage)
{
    double now = (double)coro_wall_us() / 1e6;
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    for (;;) {
        char *text = redis_text(&stage->server, "HGET %s beat", HEART_ID);
        bool is_new = text && strtod(text, NULL) >= now;
        free(text);
        if (is_new || coro_now_ms() > deadline_ms)
            return is_new;
        coro_sleep(1);
    }
}

static inline int heart_open(void **state)
{
    (void)state;
    heart_reset();
    log_file_open(&heart_log);
    return 0;
}

static inline int heart_open_behind_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return heart_open(state);
}

static inline int heart_close(void **state)
{
    heart_drop_jobs();
    log_file_close(&heart_log);
    return stage_clear(state);
}

static inline size_t heart_log_count(const char *text)
{
    size_t n = 0;
    for (const char *at = log_file_read(&heart_log); (at = strstr(at, text));
         at++)
        n++;
    return n;
}

#define HEART_TEST(name) \
    cmocka_unit_test_setup_teardown(name, heart_open, heart_close)
#define HEART_PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, heart_open_behind_proxy, heart_close)

#endif
