/*
 * For tests of what stands between Redis and the handlers with at-least-once:
 * a stage (redis_stage.h) with an owner on it and, as far as a test wants them,
 * settling or all the rest.
 *
 *     least_prepare(stage, "mail");
 *     stage_play(stage, script);
 *
 * where the script begins with one of least_open(), least_open_settle() and
 * least_open_all(), and ends with the function that closes the same.
 */
#ifndef TESTS_INTEGRATION_LEAST_STAGE_H
#define TESTS_INTEGRATION_LEAST_STAGE_H

#include "coro/sched/group.h"
#include "master/queue/fetch_mode.h"
#include "master/queue/lines.h"
#include "master/queue/owner.h"
#include "master/queue/script.h"
#include "tests/integration/redis_stage.h"
#include "tests/unit/worker/log_file.h"

#define LEAST_QUEUES_MAX 3

/* Who we are, and what Redis then has of the queue with this key, a literal. */
#define LEAST_PROCESS       "host:1:ab"
#define LEAST_LEASE         OWNER_LEASE_PREFIX LEAST_PROCESS
#define LEAST_INBOX(key)    OWNER_INBOX_PREFIX LEAST_PROCESS ":" key
#define LEAST_INFLIGHT(key) OWNER_INFLIGHT_PREFIX LEAST_PROCESS ":" key

struct least {
    /* What a test may change between least_prepare() and the play. */
    struct job_queue queues[LEAST_QUEUES_MAX];
    size_t nqueues;
    int64_t lease_ms;
    size_t concurrency;
    struct retry_policy retry;

    struct owner owner;
    bool has_owner;
    size_t nheld; /* how often the lease was taken */
    struct coro_group group;
    struct settle settle;
    size_t nsettled; /* when there is nothing but settling */
    uint64_t nmade;
    struct registry *registry;
    struct lines lines;
    struct dispatch dispatch;
    struct fetch fetch;
    bool has_all;
};

static struct least least;
static struct log_file file;

/* --- what is in Redis ----------------------------------------------------- */

/* All that a command gives, as one line; "(error) …" when it fails. */
static inline void least_write(const redisReply *reply, char *text, size_t size)
{
    size_t len = strlen(text);
    const char *space = len > 0 ? " " : "";
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        snprintf(text + len, size - len, "%s%lld", space, reply->integer);
        break;
    case REDIS_REPLY_NIL:
        snprintf(text + len, size - len, "%s(nil)", space);
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++)
            least_write(reply->element[i], text, size);
        break;
    default:
        snprintf(text + len, size - len, "%s%s%s", space,
                 reply->type == REDIS_REPLY_ERROR ? "(error) " : "",
                 reply->str);
        break;
    }
}

/* True when @reply, which is freed, is @wanted; else says what it is. */
static inline bool least_is(redisReply *reply, const char *wanted)
{
    char text[4096] = "";
    least_write(reply, text, sizeof text);
    freeReplyObject(reply);
    if (strcmp(text, wanted) == 0)
        return true;
    fprintf(stderr, "found '%s', expected '%s'\n", text, wanted);
    return false;
}

/* True when a command, formatted as by printf(), gives @wanted. */
#define least_gives(stage, wanted, ...) \
    least_is(redis_reply(&(stage)->server, __VA_ARGS__), (wanted))

/* Something that is to become true in Redis. */
struct least_goal {
    struct stage *stage;
    const char *command;
    const char *wanted;
};

static inline bool least_has(void *argument)
{
    const struct least_goal *goal = argument;
    char text[4096] = "";
    redisReply *reply = redis_reply(&goal->stage->server, goal->command);
    least_write(reply, text, sizeof text);
    freeReplyObject(reply);
    return strcmp(text, goal->wanted) == 0;
}

/* Waits in a script until @command gives @wanted. */
static inline bool least_sees(struct stage *stage, const char *wanted,
                              const char *command)
{
    struct least_goal goal = {stage, command, wanted};
    return stage_wait_until(least_has, &goal) ||
           least_gives(stage, wanted, command);
}

/* Waits in a script until @text was logged. */
static inline bool least_logs(const char *text)
{
    return stage_sees_logged(&file, text);
}

/* Pushes the numbers from @first to @last, in this order. */
static inline void least_push(struct stage *stage, const char *key, int first,
                              int last)
{
    redis_do(&stage->server, "EVAL %s 1 %s %d %d",
             "for i = ARGV[1], ARGV[2] do redis.call('LPUSH', KEYS[1], i) end",
             key, first, last);
}

/* Puts the attempts from @first to @last into a hash; each job is a number. */
static inline void least_put(struct stage *stage, const char *key, int first,
                             int last)
{
    redis_do(&stage->server, "EVAL %s 1 %s %d %d",
             "for i = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], "
             "string.format('%016d', i), i) end",
             key, first, last);
}

/* Takes the list apart and looks whether the numbers from @first to @last come
 * from its end, in this order, and nothing else. */
static inline bool least_counts(struct stage *stage, const char *key, int first,
                                int last)
{
    return least_gives(stage, "0", "EVAL %s 1 %s %d %d",
                       "for i = ARGV[1], ARGV[2] do "
                       "local found = redis.call('RPOP', KEYS[1]) "
                       "if tonumber(found) ~= i then "
                       "return i .. ': ' .. tostring(found) end end "
                       "return redis.call('LLEN', KEYS[1])",
                       key, first, last);
}

/* From now on, or no more, the server refuses whatever needs memory. */
static inline void least_fill_server(struct stage *stage, bool is_full)
{
    redis_do(&stage->server, "CONFIG SET maxmemory %d", is_full);
}

/* --- the owner ------------------------------------------------------------ */

static inline void least_on_held(void *argument)
{
    (void)argument;
    least.nheld++;
    if (!least.has_all)
        return;
    lines_nudge(&least.lines);
    dispatch_nudge(&least.dispatch);
}

static inline void least_prepare_queues(const char *const *keys)
{
    least = (struct least){
        .lease_ms = 20000,
        .concurrency = 10,
        .retry = {.most = 25},
    };
    for (size_t i = 0; keys[i]; i++)
        least.queues[least.nqueues++] =
            (struct job_queue){.key = keys[i], .key_len = strlen(keys[i])};
}

#define least_prepare(...) \
    least_prepare_queues((const char *const[]){__VA_ARGS__, NULL})

static inline void least_on_event(void *argument,
                                  const struct coro_redis_event *event)
{
    stage_note_event(argument, event);
    if (event->state == CORO_REDIS_UP && least.has_owner)
        owner_nudge(&least.owner);
}

/* Connects to @port, with an owner that does not try to hold its lease. */
static inline void least_open(struct stage *stage, uint16_t port)
{
    stage_aim(stage, port);
    stage->options.on_event = least_on_event;
    stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(owner_init(&least.owner, &(struct owner_options){
                                             .redis = stage->redis,
                                             .process = LEAST_PROCESS,
                                             .lease_ms = least.lease_ms,
                                             .queues = least.queues,
                                             .nqueues = least.nqueues,
                                             .on_held = least_on_held,
                                         }) == 0);
    least.has_owner = true;
}

static inline void least_close(struct stage *stage)
{
    coro_redis_stop(stage->redis);
    owner_release(&least.owner);
}

/* --- settling ------------------------------------------------------------- */

static inline void least_note_settled(void *argument)
{
    (void)argument;
    least.nsettled++;
}

static inline void least_start_settle(struct stage *stage,
                                      void (*on_settled)(void *argument),
                                      void *argument)
{
    coro_group_init(&least.group, coro_loop_current());
    expect_that(settle_start(&least.settle, &(struct settle_options){
                                                .mode = &settle_at_least_once,
                                                .group = &least.group,
                                                .redis = stage->redis,
                                                .process = LEAST_PROCESS,
                                                .owner = &least.owner,
                                                .retry = least.retry,
                                                .on_settled = on_settled,
                                                .argument = argument,
                                            }) == 0);
}

/* Connects to @port and starts to settle. */
static inline struct settle *least_open_settle(struct stage *stage,
                                               uint16_t port)
{
    least_open(stage, port);
    least_start_settle(stage, least_note_settled, NULL);
    return &least.settle;
}

static inline void least_wait_settled(void)
{
    expect_that(settle_wait_empty(&least.settle, coro_after(PATIENCE_MS)) == 0);
}

static inline void least_close_settle(struct stage *stage)
{
    least_wait_settled();
    coro_group_close(&least.group);
    settle_release(&least.settle);
    least_close(stage);
}

/* A job of queue @index as if it had been taken under @attempt; it is not put
 * into Redis by this. */
static inline struct job *least_make(size_t index, uint64_t attempt,
                                     const char *payload)
{
    struct job *job =
        job_new(&least.queues[index], ++least.nmade, payload, strlen(payload));
    job->attempt = attempt;
    return job;
}

/* --- all of it ------------------------------------------------------------ */

static inline void least_start_lines(struct stage *stage)
{
    expect_that(lines_start(&least.lines, &(struct lines_options){
                                              .loop = coro_loop_current(),
                                              .owner = &least.owner,
                                              .commands = stage->redis,
                                              .address = &stage->address,
                                              .client_name = "lines",
                                              .timeout_s = 5,
                                          }) == 0);
}

static inline void least_start_fetch(struct stage *stage)
{
    expect_that(fetch_init(&least.fetch, &(struct fetch_options){
                                             .queues = least.queues,
                                             .nqueues = least.nqueues,
                                             .mode = &fetch_at_least_once,
                                             .commands = stage->redis,
                                             .owner = &least.owner,
                                             .lines = &least.lines,
                                             .dispatch = &least.dispatch,
                                             .max_payload_bytes = 1000,
                                         }) == 0);
    expect_that(fetch_start(&least.fetch, &least.group) == 0);
}

/* Connects to @port and runs the jobs with the handler `sleep`. */
static inline void least_open_all(struct stage *stage, uint16_t port)
{
    char why[100];
    least.registry = registry_new();
    expect_that(registry_bind(least.registry, NULL, "sleep", why, sizeof why) ==
                0);
    least_open(stage, port);
    expect_that(owner_start(&least.owner, coro_loop_current()) == 0);
    least_start_lines(stage);
    least_start_settle(stage, dispatch_settled, &least.dispatch);
    const struct dispatch_options options = {
        .concurrency = least.concurrency,
        .registry = least.registry,
        .settle = &least.settle,
    };
    expect_that(
        dispatch_start(&least.dispatch, coro_loop_current(), &options) == 0);
    least.has_all = true;
    least_start_fetch(stage);
}

/* Gives back what still runs, but does not leave as an owner does. */
static inline void least_close_all(struct stage *stage)
{
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    expect_that(fetch_quiet(&least.fetch, deadline_ms) == 0);
    dispatch_drain(&least.dispatch);
    dispatch_cancel(&least.dispatch);
    expect_that(dispatch_wait_idle(&least.dispatch, deadline_ms) == 0);
    least_wait_settled();
    expect_that(dispatch_stop(&least.dispatch, deadline_ms) == 0);
    least.has_all = false;
    coro_group_close(&least.group);
    settle_release(&least.settle);
    owner_stop(&least.owner);
    lines_stop(&least.lines);
    fetch_release(&least.fetch);
    least_close(stage);
    registry_free(least.registry);
}

static inline uint64_t least_nstarted(void)
{
    return counter_read(&least.dispatch.vitals->counters.started);
}

static inline uint64_t least_ndone(void)
{
    return counter_read(&least.dispatch.vitals->counters.done);
}

static inline bool least_has_started(void *number)
{
    return least_nstarted() >= *(uint64_t *)number;
}

static inline bool least_has_done(void *number)
{
    return least_ndone() >= *(uint64_t *)number;
}

/* Waits in a script until so many jobs were started in all. */
static inline bool least_starts(uint64_t number)
{
    return stage_wait_until(least_has_started, &number);
}

/* Waits in a script until so many jobs were done in all. */
static inline bool least_does(uint64_t number)
{
    return stage_wait_until(least_has_done, &number);
}

/* How many clients are blocked at the server. */
static inline size_t least_nblocked(struct stage *stage)
{
    char *info = redis_text(&stage->server, "INFO clients");
    const char *at = strstr(info, "blocked_clients:");
    size_t nblocked = at ? strtoul(strchr(at, ':') + 1, NULL, 10) : 0;
    free(info);
    return nblocked;
}

static inline bool least_is_waiting(void *argument)
{
    return least_nblocked(argument) == least.nqueues;
}

/* Waits in a script until a pop of each queue is blocked. */
static inline bool least_blocks(struct stage *stage)
{
    return stage_wait_until(least_is_waiting, stage);
}

/* --- tests ---------------------------------------------------------------- */

static inline int least_setup(void **state)
{
    (void)state;
    log_file_open(&file);
    return 0;
}

static inline int least_setup_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return least_setup(state);
}

static inline int least_teardown(void **state)
{
    struct stage *stage = *state;
    least_fill_server(stage, false);
    dispatch_release(&least.dispatch);
    log_file_close(&file);
    return stage_clear(state);
}

#define LEAST_TEST(name) \
    cmocka_unit_test_setup_teardown(name, least_setup, least_teardown)
#define LEAST_PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, least_setup_proxy, least_teardown)

#endif
