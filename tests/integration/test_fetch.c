#include "coro/sched/group.h"
#include "master/queue/fetch.h"
#include "master/queue/fetch_mode.h"
#include "tests/integration/redis_stage.h"
#include "tests/support/scale.h"
#include "tests/unit/worker/log_file.h"

#define CONCURRENCY 100
#define QUEUES_MAX  3

static struct log_file file;

/* All that stands between Redis and the handlers, as in the service. */
struct fetching {
    struct job_queue queues[QUEUES_MAX];
    size_t nqueues;
    size_t concurrency;
    size_t max_payload_bytes;
    struct registry *registry;
    struct coro_redis *commands;
    struct coro_redis *blocking;
    struct coro_group group;
    struct settle settle;
    struct dispatch dispatch;
    struct fetch fetch;
    size_t most_held; /* ever seen */
};

/* In the order of its queues. */
static void prepare_queues(struct stage *stage, const char *handler,
                           const char *const *keys)
{
    static struct fetching fetching;
    char why[100];
    fetching = (struct fetching){
        .concurrency = CONCURRENCY,
        .max_payload_bytes = 1000,
        .registry = registry_new(),
    };
    for (size_t i = 0; keys[i]; i++)
        fetching.queues[fetching.nqueues++] =
            (struct job_queue){.key = keys[i], .key_len = strlen(keys[i])};
    assert_int_equal(
        registry_bind(fetching.registry, NULL, handler, why, sizeof why), 0);
    stage->own = &fetching;
}

#define prepare(stage, handler, ...) \
    prepare_queues(stage, handler, (const char *const[]){__VA_ARGS__, NULL})

static void start(struct stage *stage)
{
    struct fetching *self = stage->own;
    stage_aim(stage, stage->server.port);
    self->commands = stage_start_redis(stage);
    stage->options.after = self->commands;
    self->blocking = stage_start_redis(stage);
    expect_that(coro_redis_wait_up(self->commands, coro_after(PATIENCE_MS)) ==
                0);
    struct coro_loop *loop = coro_loop_current();
    coro_group_init(&self->group, loop);
    const struct settle_options settle_options = {
        .mode = &settle_at_most_once,
        .group = &self->group,
        .redis = self->commands,
        .process = "host:1:ab",
        .on_settled = dispatch_settled,
        .argument = &self->dispatch,
    };
    expect_that(settle_start(&self->settle, &settle_options) == 0);
    const struct dispatch_options dispatch_options = {
        .concurrency = self->concurrency,
        .registry = self->registry,
        .settle = &self->settle,
    };
    expect_that(dispatch_start(&self->dispatch, loop, &dispatch_options) == 0);
    const struct fetch_options options = {
        .queues = self->queues,
        .nqueues = self->nqueues,
        .mode = &fetch_at_most_once,
        .commands = self->commands,
        .blocking = self->blocking,
        .dispatch = &self->dispatch,
        .max_payload_bytes = self->max_payload_bytes,
    };
    expect_that(fetch_init(&self->fetch, &options) == 0);
    expect_that(fetch_start(&self->fetch, &self->group) == 0);
}

/* The end of the service, in short: what was not started goes back, what runs
 * is cancelled. */
static void stop(struct stage *stage)
{
    struct fetching *self = stage->own;
    int64_t deadline_ms = coro_after(PATIENCE_MS);
    expect_that(fetch_quiet(&self->fetch, deadline_ms) == 0);
    dispatch_drain(&self->dispatch);
    dispatch_cancel(&self->dispatch);
    expect_that(dispatch_wait_idle(&self->dispatch, deadline_ms) == 0);
    expect_that(settle_wait_empty(&self->settle, deadline_ms) == 0);
    expect_that(dispatch_stop(&self->dispatch, deadline_ms) == 0);
    coro_group_close(&self->group);
    settle_release(&self->settle);
    coro_redis_stop(self->blocking);
    coro_redis_stop(self->commands);
    fetch_release(&self->fetch);
}

static void play(struct stage *stage, coro_task_fn *script)
{
    struct fetching *self = stage->own;
    stage_play(stage, script);
    dispatch_release(&self->dispatch);
    registry_free(self->registry);
}

static uint64_t started(const struct fetching *self)
{
    return counter_read(&self->dispatch.vitals->counters.started);
}

static uint64_t done(const struct fetching *self)
{
    return counter_read(&self->dispatch.vitals->counters.done);
}

struct goal {
    struct fetching *self;
    uint64_t (*count)(const struct fetching *self);
    uint64_t wanted;
};

static bool is_reached(void *argument)
{
    struct goal *goal = argument;
    size_t nheld = goal->self->dispatch.nheld;
    if (nheld > goal->self->most_held)
        goal->self->most_held = nheld;
    return goal->count(goal->self) >= goal->wanted;
}

static bool wait_for(struct fetching *self,
                     uint64_t (*count)(const struct fetching *self),
                     uint64_t wanted)
{
    struct goal goal = {self, count, wanted};
    return stage_wait_until(is_reached, &goal);
}

static bool is_popping(void *argument)
{
    struct fetching *self = argument;
    return self->fetch.is_waiting && coro_redis_is_up(self->blocking);
}

static void push_numbers(struct stage *stage, const char *key, size_t n)
{
    redis_do(&stage->server, "EVAL %s 1 %s %d",
             "for i = 1, ARGV[1] do redis.call('LPUSH', KEYS[1], '1000') end "
             "return 1",
             key, (int)n);
}

static int open_log(void **state)
{
    (void)state;
    log_file_open(&file);
    return 0;
}

static int close_log(void **state)
{
    log_file_close(&file);
    return stage_clear(state);
}

/* --- credit --------------------------------------------------------------- */

static int take_what_fits(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(wait_for(self, started, CONCURRENCY));
    /* It had time to take more, and a reason to look. */
    redis_do(&stage->server, "LPUSH q 1000");
    coro_sleep(20);
    expect_that(self->dispatch.nheld == CONCURRENCY);
    expect_that(started(self) == CONCURRENCY);
    expect_that(redis_integer(&stage->server, "LLEN q") == 401);
    stop(stage);
    return 0;
}

static void no_more_is_taken_than_can_start(void **state)
{
    struct stage *stage = *state;
    push_numbers(stage, "q", 500);
    prepare(stage, "sleep", "q");
    play(stage, take_what_fits);
    assert_int_equal(redis_integer(&stage->server, "LLEN q"), 401);
    assert_int_equal(redis_integer(&stage->server, "ZCARD corq:dead"),
                     CONCURRENCY);
}

static int run_many(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    uint64_t n = (uint64_t)redis_integer(&stage->server, "LLEN q");
    start(stage);
    expect_that(wait_for(self, done, n));
    expect_that(self->most_held <= CONCURRENCY);
    expect_that(self->dispatch.nheld <= CONCURRENCY);
    stop(stage);
    expect_that(done(self) == n);
    return 0;
}

static void many_jobs_run_once_each(void **state)
{
    struct stage *stage = *state;
    push_numbers(stage, "q", test_scale(20000, 3000));
    prepare(stage, "noop", "q");
    play(stage, run_many);
    assert_int_equal(redis_integer(&stage->server, "DBSIZE"), 0);
}

static void the_first_burst_is_small(void **state)
{
    struct stage *stage = *state;
    push_numbers(stage, "q", 300);
    redis_do(&stage->server, "CONFIG SET slowlog-log-slower-than 0");
    redis_do(&stage->server, "SLOWLOG RESET");
    prepare(stage, "noop", "q");
    play(stage, run_many);
    redis_do(&stage->server, "CONFIG SET slowlog-log-slower-than 10000");
    redisReply *log = redis_reply(&stage->server, "SLOWLOG GET 128");
    const char *first = "";
    for (size_t i = 0; i < log->elements; i++) {
        const redisReply *words = log->element[i]->element[3];
        if (words->elements == 3 && strcmp(words->element[0]->str, "RPOP") == 0)
            first = words->element[2]->str; /* the newest entry comes first */
    }
    bool is_small = strcmp(first, "16") == 0;
    freeReplyObject(log);
    assert_true(is_small);
}

/* --- waiting -------------------------------------------------------------- */

static bool is_blocked(void *argument)
{
    struct stage *stage = argument;
    char *info = redis_text(&stage->server, "INFO clients");
    bool is_one = strstr(info, "blocked_clients:1\r");
    free(info);
    return is_one;
}

static int quiet(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(stage_wait_until(is_blocked, stage));
    int64_t start_ms = coro_now_ms();
    expect_that(fetch_quiet(&self->fetch, coro_after(PATIENCE_MS)) == 0);
    /* It did not end by itself. */
    expect_that(coro_now_ms() - start_ms < FETCH_WAIT_S * 1000 - 1000);
    expect_that(self->fetch.nasked == 0);
    redis_do(&stage->server, "LPUSH q 1");
    coro_sleep(20);
    expect_that(redis_integer(&stage->server, "LLEN q") == 1);
    stop(stage);
    return 0;
}

static void quiet_ends_a_blocking_pop_at_once_and_takes_no_more(void **state)
{
    struct stage *stage = *state;
    prepare(stage, "noop", "q");
    play(stage, quiet);
    assert_int_equal(redis_integer(&stage->server, "LLEN q"), 1);
}

static int wait_for_one(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    for (uint64_t i = 1; i <= 3; i++) {
        expect_that(stage_wait_until(is_popping, self));
        redis_do(&stage->server, i % 2 ? "LPUSH b 1" : "LPUSH a 1");
        expect_that(wait_for(self, done, i));
    }
    stop(stage);
    return 0;
}

static void a_push_to_any_queue_ends_the_wait(void **state)
{
    struct stage *stage = *state;
    prepare(stage, "noop", "a", "b");
    play(stage, wait_for_one);
}

static int lose_blocking(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(stage_wait_until(is_popping, self));
    coro_redis_drop(self->blocking, "test");
    redis_do(&stage->server, "LPUSH q 1");
    expect_that(wait_for(self, done, 1));
    redis_do(&stage->server, "CLIENT KILL TYPE normal SKIPME yes");
    redis_do(&stage->server, "LPUSH q 1");
    expect_that(wait_for(self, done, 2));
    stop(stage);
    return 0;
}

static void lost_connections_are_got_over(void **state)
{
    struct stage *stage = *state;
    prepare(stage, "noop", "q");
    play(stage, lose_blocking);
}

/* --- queues --------------------------------------------------------------- */

static int in_order(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(wait_for(self, started, CONCURRENCY));
    expect_that(redis_integer(&stage->server, "LLEN first") == 0);
    expect_that(redis_integer(&stage->server, "LLEN second") == 20);
    stop(stage);
    return 0;
}

static void the_first_queue_comes_first(void **state)
{
    struct stage *stage = *state;
    push_numbers(stage, "second", 50);
    push_numbers(stage, "first", 70);
    prepare(stage, "sleep", "first", "second");
    play(stage, in_order);
}

static int wrong_type(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    redis_do(&stage->server, "LPUSH good 1 1");
    expect_that(wait_for(self, done, 2));
    redis_do(&stage->server, "LPUSH good 1");
    expect_that(wait_for(self, done, 3));
    redis_do(&stage->server, "DEL bad");
    redis_do(&stage->server, "LPUSH bad 1");
    expect_that(wait_for(self, done, 4));
    stop(stage);
    return 0;
}

static void a_key_of_the_wrong_type_hurts_only_its_queue(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET bad nonsense");
    prepare(stage, "noop", "bad", "good");
    play(stage, wrong_type);
    const char *text = log_file_read(&file);
    assert_non_null(strstr(text, "bad: WRONGTYPE"));
    assert_null(strstr(text, "good: "));
}

static bool is_left_alone(void *argument)
{
    struct fetching *self = argument;
    return trouble_is_on(&self->fetch.queues[0].trouble);
}

static int only_wrong(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(stage_wait_until(is_left_alone, self));
    redis_do(&stage->server, "DEL bad");
    redis_do(&stage->server, "LPUSH bad 1");
    expect_that(wait_for(self, done, 1));
    stop(stage);
    return 0;
}

static void a_single_queue_of_the_wrong_type_is_looked_at_again(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "SET bad nonsense");
    prepare(stage, "noop", "bad");
    play(stage, only_wrong);
}

/* --- payloads ------------------------------------------------------------- */

static uint64_t nsettled_dead(const struct fetching *self)
{
    return self->fetch.last_number > 0 && settle_npending(&self->settle) == 0 &&
           self->dispatch.nheld == 0;
}

static int too_large(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    expect_that(wait_for(self, nsettled_dead, 1));
    expect_that(started(self) == 0);
    stop(stage);
    return 0;
}

static void a_payload_that_is_too_large_is_set_aside_unstarted(void **state)
{
    struct stage *stage = *state;
    char payload[1002];
    memset(payload, 'x', sizeof payload - 1);
    payload[sizeof payload - 1] = '\0';
    redis_do(&stage->server, "LPUSH q %s", payload);
    prepare(stage, "noop", "q");
    play(stage, too_large);
    redisReply *reply = redis_reply(&stage->server, "ZRANGE corq:dead 0 -1");
    assert_int_equal(reply->elements, 1);
    assert_non_null(strstr(reply->element[0]->str, payload));
    assert_non_null(
        strstr(reply->element[0]->str,
               "the payload has 1001 bytes, expected at most 1000"));
    freeReplyObject(reply);
}

/* --- an old server -------------------------------------------------------- */

static int without_count(void *argument)
{
    struct stage *stage = argument;
    struct fetching *self = stage->own;
    start(stage);
    self->fetch.has_pop_count = false;
    expect_that(wait_for(self, done, 300));
    stop(stage);
    return 0;
}

static void a_server_that_pops_one_at_a_time_does_as_well(void **state)
{
    struct stage *stage = *state;
    push_numbers(stage, "q", 300);
    redis_do(&stage->server, "CONFIG RESETSTAT");
    prepare(stage, "noop", "q");
    play(stage, without_count);
    char *info = redis_text(&stage->server, "INFO commandstats");
    const char *at = strstr(info, "cmdstat_rpop:calls=");
    long long ncalls = at ? atoll(strchr(at, '=') + 1) : 0;
    free(info);
    assert_true(ncalls >= 300);
}

int main(void)
{
#define FETCH_TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_log, close_log)
    const struct CMUnitTest tests[] = {
        FETCH_TEST(no_more_is_taken_than_can_start),
        FETCH_TEST(many_jobs_run_once_each),
        FETCH_TEST(the_first_burst_is_small),
        FETCH_TEST(quiet_ends_a_blocking_pop_at_once_and_takes_no_more),
        FETCH_TEST(a_push_to_any_queue_ends_the_wait),
        FETCH_TEST(lost_connections_are_got_over),
        FETCH_TEST(the_first_queue_comes_first),
        FETCH_TEST(a_key_of_the_wrong_type_hurts_only_its_queue),
        FETCH_TEST(a_single_queue_of_the_wrong_type_is_looked_at_again),
        FETCH_TEST(a_payload_that_is_too_large_is_set_aside_unstarted),
        FETCH_TEST(a_server_that_pops_one_at_a_time_does_as_well),
    };
    return cmocka_run_group_tests(tests, stage_open, stage_close);
}
