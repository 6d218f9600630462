#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <hiredis/adapters/libevent.h>

#include "coro/base/ensure.h"
#include "coro/io/redis_internal.h"
#include "coro/sched/schedule.h"

/* A peer that vanished is noticed within 10 s, whether we wait for it (the
 * probes) or have sent it something (the user time-out): what is sent just
 * before the first probe takes the place of the probes, so the two times add
 * up. A server that is only frozen is not given up: its kernel still answers. */
#define KEEPALIVE_IDLE_S     3
#define KEEPALIVE_INTERVAL_S 1
#define KEEPALIVE_PROBES     4
#define USER_TIMEOUT_MS      6000

/* hiredis' output buffer knows no limit; beyond this, callers wait. */
#define OUTSTANDING_MAX_BYTES ((size_t)64 << 20)

/* A command on its way. It outlives a caller that gave up: its callback comes
 * in any case. */
struct call {
    struct coro_future done;
    struct coro_redis *redis;
    size_t size_bytes;
    bool is_abandoned;
};

/* --- callbacks of hiredis: they complete futures, nothing else ------------ */

static void on_connect(const redisAsyncContext *context, int status)
{
    struct coro_redis *redis = context->data;
    if (status == REDIS_OK) {
        coro_future_set(&redis->connected, 0, NULL);
        return;
    }
    coro_redis_set_reason(redis, context->c.errstr[0] ? context->c.errstr
                                                      : "can't connect");
    redis->context = NULL;
    coro_future_set(&redis->connected, -ECONNREFUSED, NULL);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct coro_redis *redis = context->data;
    if (status != REDIS_OK)
        coro_redis_set_reason(redis, context->errstr ? context->errstr
                                                     : "connection lost");
    redis->context = NULL;
    while (coro_wake_first(&redis->down_waiters, 0))
        ;
}

/* With a status other than 0 they don't look at @redis again, which may be
 * freed by then. */
static void wake_room_waiters(struct coro_redis *redis, int status)
{
    while (coro_wake_first(&redis->room_waiters, status))
        ;
}

static void on_reply(redisAsyncContext *context, void *raw_reply,
                     void *argument)
{
    (void)context;
    struct call *call = argument;
    struct coro_redis *redis = call->redis;
    redis->outstanding_bytes -= call->size_bytes;
    if (!raw_reply)
        wake_room_waiters(redis, -ENOTCONN);
    else if (redis->outstanding_bytes <= OUTSTANDING_MAX_BYTES / 2)
        wake_room_waiters(redis, 0);
    if (call->is_abandoned) {
        free(call);
        return;
    }
    struct coro_redis_reply *reply = NULL;
    int status = -ECONNRESET;
    if (raw_reply) {
        reply = coro_redis_reply_take(raw_reply);
        status = reply ? 0 : -ENOMEM;
    }
    coro_future_set(&call->done, status, reply);
}

/* --- opening and closing -------------------------------------------------- */

/* None of these is worth failing for: the deadlines of the commands are the
 * first line of defence. */
static void set_socket_options(int fd, bool is_tcp)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!is_tcp)
        return;
    int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S;
    int probes = KEEPALIVE_PROBES, user_timeout = USER_TIMEOUT_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
               sizeof user_timeout);
}

static int attach(struct coro_redis *redis, redisAsyncContext *context,
                  bool is_tcp)
{
    context->data = redis;
    if (redisLibeventAttach(context, coro_loop_event_base(redis->loop)) !=
        REDIS_OK)
        return -ENOMEM;
    /* The order matters: setting the connect callback asks the adapter for a
     * write event. */
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    redisAsyncSetConnectCallback(context, on_connect);
    set_socket_options(context->c.fd, is_tcp);
    return 0;
}

static int begin(struct coro_redis *redis, const char *numeric_host,
                 uint16_t port)
{
    redisAsyncContext *context =
        numeric_host ? redisAsyncConnect(numeric_host, port)
                     : redisAsyncConnectUnix(redis->options.address->path);
    if (!context)
        return -ENOMEM;
    int status = 0;
    if (context->err) {
        coro_redis_set_reason(redis, context->errstr ? context->errstr
                                                     : "can't connect");
        status = -ECONNREFUSED;
    } else {
        status = attach(redis, context, numeric_host != NULL);
    }
    if (status < 0) {
        redisAsyncFree(context);
        return status;
    }
    redis->context = context;
    return 0;
}

void coro_redis_link_init(struct coro_redis *redis, struct coro_loop *loop)
{
    redis->loop = loop;
    coro_future_init(&redis->connected);
    list_init(&redis->up_waiters);
    list_init(&redis->down_waiters);
    list_init(&redis->room_waiters);
    list_init(&redis->followers);
    list_init(&redis->in_followers);
}

int coro_redis_link_open(struct coro_redis *redis, const char *numeric_host,
                         uint16_t port, int64_t deadline_ms)
{
    coro_future_init(&redis->connected);
    int status = begin(redis, numeric_host, port);
    if (status < 0)
        return status;
    status = coro_future_park(&redis->connected, deadline_ms,
                              "a connection to Redis");
    if (status == 0)
        status = coro_future_status(&redis->connected);
    if (status == -ETIMEDOUT)
        coro_redis_set_reason(redis, "no answer to the connection attempt");
    if (status < 0)
        coro_redis_link_close(redis);
    return status;
}

void coro_redis_link_close(struct coro_redis *redis)
{
    redisAsyncContext *context = redis->context;
    redis->context = NULL;
    redis->is_dirty = false;
    wake_room_waiters(redis, -ENOTCONN);
    if (context)
        redisAsyncFree(context);
    /* Somebody may wait for a connection that was still being made. */
    coro_future_set(&redis->connected, -ECONNRESET, NULL);
    while (coro_wake_first(&redis->down_waiters, 0))
        ;
}

/* --- commands ------------------------------------------------------------- */

static size_t size_of(const struct coro_redis_command *command, size_t *lens)
{
    size_t size_bytes = 0;
    for (int i = 0; i < command->argc; i++) {
        bool is_string = !command->lens || command->lens[i] == SIZE_MAX;
        lens[i] = is_string ? strlen(command->argv[i]) : command->lens[i];
        size_bytes += lens[i];
    }
    return size_bytes;
}

static int wait_for_room(struct coro_redis *redis, int64_t deadline_ms)
{
    while (redis->context && redis->outstanding_bytes > OUTSTANDING_MAX_BYTES) {
        int status = coro_park(&redis->room_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return redis->context ? 0 : -ENOTCONN;
}

static int send_command(struct coro_redis *redis,
                        const struct coro_redis_command *command,
                        struct call **ret_call)
{
    size_t few_lens[16];
    size_t *lens = few_lens;
    if (command->argc > 16) {
        lens = malloc((size_t)command->argc * sizeof *lens);
        if (!lens)
            return -ENOMEM;
    }
    int status = -ENOMEM;
    struct call *call = calloc(1, sizeof *call);
    if (call) {
        coro_future_init(&call->done);
        call->redis = redis;
        call->size_bytes = size_of(command, lens);
        status =
            redisAsyncCommandArgv(redis->context, on_reply, call, command->argc,
                                  command->argv, lens) == REDIS_OK
                ? 0
                : -ENOTCONN;
    }
    if (lens != few_lens)
        free(lens);
    if (status < 0) {
        free(call);
        return status;
    }
    redis->outstanding_bytes += call->size_bytes;
    redis->is_dirty = true;
    *ret_call = call;
    return 0;
}

/* Nobody wants the reply any more, be it on its way or here. */
static void abandon(struct call *call)
{
    if (!coro_future_is_done(&call->done)) {
        call->is_abandoned = true;
        return;
    }
    coro_redis_reply_free(call->done.value);
    free(call);
}

static int await_call(struct call *call, int64_t deadline_ms,
                      struct coro_redis_reply **ret_reply)
{
    int status =
        coro_future_park(&call->done, deadline_ms, "an answer of Redis");
    if (status < 0) {
        abandon(call);
        return status;
    }
    status = coro_future_status(&call->done);
    struct coro_redis_reply *reply = call->done.value;
    free(call);
    if (status == 0 && ret_reply)
        *ret_reply = reply;
    else
        coro_redis_reply_free(reply);
    return status;
}

int coro_redis_link_call(struct coro_redis *redis,
                         const struct coro_redis_command *command,
                         int64_t deadline_ms,
                         struct coro_redis_reply **ret_reply)
{
    int status = wait_for_room(redis, deadline_ms);
    if (status < 0)
        return status;
    struct call *call;
    status = send_command(redis, command, &call);
    return status < 0 ? status : await_call(call, deadline_ms, ret_reply);
}

/* Awaits each of @ncalls; after the first failure the rest is abandoned. */
static int await_calls(struct call **calls, size_t ncalls, int64_t deadline_ms,
                       struct coro_redis_reply **ret_replies)
{
    int status = 0;
    size_t ngot = 0;
    while (ngot < ncalls && status == 0) {
        status = await_call(calls[ngot], deadline_ms, &ret_replies[ngot]);
        ngot++;
    }
    if (status == 0)
        return 0;
    for (size_t i = ngot; i < ncalls; i++)
        abandon(calls[i]);
    for (size_t i = 0; i + 1 < ngot; i++)
        coro_redis_reply_free(ret_replies[i]);
    return status;
}

int coro_redis_link_pipeline(struct coro_redis *redis,
                             const struct coro_redis_command *commands,
                             size_t ncommands, int64_t deadline_ms,
                             struct coro_redis_reply **ret_replies)
{
    int status = wait_for_room(redis, deadline_ms);
    if (status < 0)
        return status;
    struct call **calls = calloc(ncommands ? ncommands : 1, sizeof(void *));
    if (!calls)
        return -ENOMEM;
    size_t nsent = 0;
    while (nsent < ncommands && status == 0) {
        status = send_command(redis, &commands[nsent], &calls[nsent]);
        nsent += status == 0;
    }
    if (status == 0)
        status = await_calls(calls, nsent, deadline_ms, ret_replies);
    else
        for (size_t i = 0; i < nsent; i++)
            abandon(calls[i]);
    free(calls);
    return status;
}
