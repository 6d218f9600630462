#include "coro/io/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/backoff.h"
#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "coro/io/redis_internal.h"
#include "coro/io/redis_sentinel.h"
#include "coro/io/redis_tls.h"
#include "coro/sched/schedule.h"

#define CONNECT_TIMEOUT_MS 5000

void coro_redis_set_reason(struct coro_redis *redis, const char *text)
{
    snprintf(redis->reason, sizeof redis->reason, "%.*s",
             (int)strcspn(text, "\r\n"), text);
}

const char *coro_redis_reason(const struct coro_redis *redis)
{
    return redis->reason;
}

bool coro_redis_is_up(const struct coro_redis *redis)
{
    return redis->state == CORO_REDIS_UP && redis->context;
}

int64_t coro_redis_client_id(const struct coro_redis *redis)
{
    return redis->client_id;
}

uint64_t coro_redis_generation(const struct coro_redis *redis)
{
    return redis->generation;
}

int coro_redis_wait_up(struct coro_redis *redis, int64_t deadline_ms)
{
    while (!coro_redis_is_up(redis)) {
        int status = coro_park(&redis->up_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

int coro_redis_call(struct coro_redis *redis, int argc, const char **argv,
                    const size_t *lens, int64_t deadline_ms,
                    struct coro_redis_reply **ret_reply)
{
    struct coro_redis_command command = {argc, argv, lens};
    if (!coro_redis_is_up(redis))
        return -ENOTCONN;
    return coro_redis_link_call(redis, &command, deadline_ms, ret_reply);
}

int coro_redis_pipeline(struct coro_redis *redis,
                        const struct coro_redis_command *commands,
                        size_t ncommands, int64_t deadline_ms,
                        struct coro_redis_reply **ret_replies)
{
    if (!coro_redis_is_up(redis))
        return -ENOTCONN;
    return coro_redis_link_pipeline(redis, commands, ncommands, deadline_ms,
                                    ret_replies);
}

void coro_redis_drop(struct coro_redis *redis, const char *reason)
{
    if (!redis->context)
        return;
    coro_redis_set_reason(redis, reason);
    coro_redis_link_close(redis);
}

/* --- keeping it up -------------------------------------------------------- */

static void tell(struct coro_redis *redis, int64_t retry_in_ms)
{
    struct coro_redis_event event = {
        .state = redis->state,
        .reason = redis->reason,
        .refused_us = redis->refused_us,
        .retry_in_ms = retry_in_ms,
    };
    if (redis->options.on_event)
        redis->options.on_event(redis->options.argument, &event);
}

/* The connection that finds the primary for this one as well, or NULL. */
static const struct coro_redis *leader_of(const struct coro_redis *redis)
{
    const struct coro_redis *after = redis->options.after;
    bool is_of_the_same =
        after && after->options.address == redis->options.address;
    return is_of_the_same && redis->options.address->sentinels ? after : NULL;
}

/* Sets the place of the server. */
static int find_server(struct coro_redis *redis)
{
    const struct coro_redis_address *address = redis->options.address;
    const struct coro_redis *leader = leader_of(redis);
    if (address->path)
        return 0;
    if (!address->sentinels) {
        snprintf(redis->place.host, sizeof redis->place.host, "%s",
                 address->host);
        redis->place.port = address->port;
        return 0;
    }
    if (leader) {
        redis->place = leader->place;
        return 0;
    }
    return coro_redis_ask_sentinels(redis);
}

static int connect_once(struct coro_redis *redis)
{
    redis->refused_us = false;
    redis->state = CORO_REDIS_CONNECTING;
    int status = find_server(redis);
    if (status < 0)
        return status;
    int64_t timeout_ms = redis->options.connect_timeout_ms;
    int64_t deadline_ms =
        coro_after(timeout_ms ? timeout_ms : CONNECT_TIMEOUT_MS);
    status = coro_redis_dial(redis, &redis->place, deadline_ms);
    if (status == 0 && redis->options.address->tls)
        status = coro_redis_tls_begin(redis);
    if (status == 0)
        status = coro_redis_say_hello(redis, deadline_ms);
    status = coro_redis_tls_settle(redis, status);
    if (status < 0) {
        coro_redis_link_close(redis);
        coro_redis_doubt_sentinel(redis);
    }
    return status;
}

/* Whoever follows this one must not stay with another server. */
static void gather_followers(struct coro_redis *redis)
{
    list_foreach (link, &redis->followers) {
        struct coro_redis *follower =
            list_entry(link, struct coro_redis, in_followers);
        if (leader_of(follower) == redis &&
            !coro_redis_place_is(follower, &redis->place))
            coro_redis_drop(follower, CORO_REDIS_MOVED);
    }
}

/* Up: until the connection is lost. Returns 0 then, or -ECANCELED. */
static int stay_up(struct coro_redis *redis)
{
    redis->state = CORO_REDIS_UP;
    redis->generation++;
    gather_followers(redis);
    coro_backoff_success(&redis->backoff, coro_now_ms());
    tell(redis, 0);
    while (coro_wake_first(&redis->up_waiters, 0))
        ;
    bool asks = redis->options.address->sentinels && !leader_of(redis);
    while (redis->context) {
        int64_t deadline_ms =
            asks ? coro_after(CORO_REDIS_ASK_AGAIN_MS) : CORO_NEVER;
        int status = coro_park(&redis->down_waiters, deadline_ms);
        if (status == -ETIMEDOUT)
            status = coro_redis_ask_again(redis);
        if (status == -ECANCELED)
            return status;
    }
    return 0;
}

static int wait_for_predecessor(struct coro_redis *redis)
{
    return redis->options.after
               ? coro_redis_wait_up(redis->options.after, CORO_NEVER)
               : 0;
}

static int keep_up(void *argument)
{
    struct coro_redis *redis = argument;
    for (;;) {
        int status = wait_for_predecessor(redis);
        if (status == 0)
            status = connect_once(redis);
        if (status == 0)
            status = stay_up(redis);
        redis->state = CORO_REDIS_DOWN;
        redis->client_id = -1;
        if (status == -ECANCELED)
            return status;
        coro_backoff_failure(&redis->backoff, coro_now_ms());
        int64_t wait_ms = coro_backoff_next_ms(&redis->backoff);
        tell(redis, wait_ms);
        if (coro_sleep(wait_ms) < 0)
            return -ECANCELED;
    }
}

static void flush(struct coro_source *source)
{
    struct coro_redis *redis = list_entry(source, struct coro_redis, source);
    if (!redis->is_dirty || !redis->context)
        return;
    redis->is_dirty = false;
    redisAsyncHandleWrite(redis->context);
}

/* --- birth and death ------------------------------------------------------ */

static void redis_free(struct coro_redis *redis)
{
    free(redis->client_name);
    free(redis);
}

int coro_redis_start(struct coro_loop *loop,
                     const struct coro_redis_options *options,
                     struct coro_redis **ret_redis)
{
    if (options->address->tls && coro_redis_tls_missing())
        return -EOPNOTSUPP;
    struct coro_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return -ENOMEM;
    coro_redis_link_init(redis, loop);
    redis->options = *options;
    redis->client_id = -1;
    redis->source.flush = flush;
    struct coro_rng seed = {0};
    int status = coro_rng_init_random(&seed);
    coro_backoff_init(&redis->backoff, CORO_BACKOFF_FIRST_MS,
                      CORO_BACKOFF_MAX_MS, coro_rng_next(&seed));
    if (options->client_name) {
        redis->client_name = strdup(options->client_name);
        if (!redis->client_name)
            status = -ENOMEM;
    }
    const struct coro_spawn_options task = {
        .name = "redis",
        .large_stack = options->address->tls,
    };
    if (status == 0)
        status = coro_spawn(loop, keep_up, redis, &task, &redis->keeper);
    if (status < 0) {
        redis_free(redis);
        return status;
    }
    if (options->after)
        list_append(&options->after->followers, &redis->in_followers);
    coro_loop_add_source(loop, &redis->source);
    *ret_redis = redis;
    return 0;
}

void coro_redis_stop(struct coro_redis *redis)
{
    if (!redis)
        return;
    bool was_cancelled = false;
    coro_task_cancel(redis->keeper);
    while (coro_task_wait(redis->keeper, CORO_NEVER, NULL) < 0)
        was_cancelled = true;
    coro_task_unref(redis->keeper);
    list_remove(&redis->in_followers);
    coro_redis_set_reason(redis, "closed");
    coro_redis_link_close(redis);
    coro_loop_remove_source(&redis->source);
    redis_free(redis);
    if (was_cancelled)
        coro_task_cancel(coro_task_current());
}
