/*
 * Inside of the Redis connection: redis.c keeps it up, redis_sentinel.c finds
 * the server, redis_dial.c gets from its name to a connection, redis_tls.c
 * encrypts that, redis_hello.c introduces us, redis_link.c holds the hiredis
 * context and what may be done with it when, redis_reply.c reads replies.
 * Internal to these files.
 *
 *     redis.c ─┬─▶ redis_sentinel.c ──▶ redis_dial.c ─┬─▶ redis_link.c ─▶ hiredis
 *              ├─▶ redis_dial.c                       │
 *              └─▶ redis_hello.c ─────────────────────┘
 *
 * The rules of hiredis that redis_link.c keeps, for 0.14 as for 1.x:
 *
 * - The context frees itself after a failed connect and after a disconnect, so
 *   the pointer to it is dropped in both callbacks.
 * - redisAsyncFree() is never called from a connect or disconnect callback. It
 *   isn't called from any callback: these only complete futures, and all else
 *   is done by coroutines.
 * - redisAsyncDisconnect() is not used: with a blocking pop outstanding it
 *   never ends.
 * - When a connection is lost every outstanding callback runs with no reply;
 *   no command is sent from there.
 * - A reply is freed when its callback returns, so its contents are moved out.
 */
#ifndef CORO_IO_REDIS_INTERNAL_H
#define CORO_IO_REDIS_INTERNAL_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "coro/base/backoff.h"
#include "coro/base/list.h"
#include "coro/io/redis.h"
#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "coro/sched/task.h"

/* Room for a host and its port, as text. */
#define CORO_REDIS_PLACE_MAX 272

/* Where a server is: a name or a numeric address, and its port. */
struct coro_redis_place {
    char host[256]; /* empty: at the address's path */
    uint16_t port;
};

struct coro_redis {
    struct coro_loop *loop;
    struct coro_redis_options options;
    char *client_name;
    enum coro_redis_state state;
    bool refused_us;
    char reason[CORO_REDIS_REASON_MAX];

    struct coro_redis_place place; /* of the server, as of the last attempt */
    size_t first_sentinel;         /* to be asked */
    redisAsyncContext *context;    /* NULL: not connected */
    struct ssl_st *tls;            /* OpenSSL's, while TLS begins; or NULL */
    struct coro_future connected;
    int64_t client_id;
    uint64_t generation;
    struct coro_source source;
    bool is_dirty;            /* there are commands to be written */
    size_t outstanding_bytes; /* of commands without their reply */

    struct list up_waiters;
    struct list down_waiters;
    struct list room_waiters; /* for fewer outstanding bytes */
    struct list followers;    /* those that connect after this one */
    struct list in_followers;
    struct coro_backoff backoff;
    struct coro_task *keeper;
};

/** Keeps @text, cut to one short line, as the reason for being down. */
void coro_redis_set_reason(struct coro_redis *redis, const char *text);

/**
 * Makes the zeroed @redis one that can be opened, used and closed. It needs no
 * release once it is closed.
 */
void coro_redis_link_init(struct coro_redis *redis, struct coro_loop *loop);

/** Connects to @port of a numeric address, or to the address's path if NULL. */
int coro_redis_link_open(struct coro_redis *redis, const char *numeric_host,
                         uint16_t port, int64_t deadline_ms);

/** Closes the connection, if any; outstanding commands get -ECONNRESET. */
void coro_redis_link_close(struct coro_redis *redis);

/** coro_redis_call() that also works before the connection is up. */
int coro_redis_link_call(struct coro_redis *redis,
                         const struct coro_redis_command *command,
                         int64_t deadline_ms,
                         struct coro_redis_reply **ret_reply);

/** coro_redis_pipeline() that also works before the connection is up. */
int coro_redis_link_pipeline(struct coro_redis *redis,
                             const struct coro_redis_command *commands,
                             size_t ncommands, int64_t deadline_ms,
                             struct coro_redis_reply **ret_replies);

/**
 * Resolves the name of @place and tries each of its addresses in turn. Returns
 * 0 or, with the reason set, a negative errno.
 */
int coro_redis_dial(struct coro_redis *redis,
                    const struct coro_redis_place *place, int64_t deadline_ms);

/**
 * AUTH, SELECT, CLIENT SETNAME, CLIENT ID; ROLE of a server that sentinels have
 * named. Returns 0 or, with the reason set, a negative errno.
 */
int coro_redis_say_hello(struct coro_redis *redis, int64_t deadline_ms);

/** Moves the contents of @reply into one that the caller owns, or NULL. */
struct coro_redis_reply *coro_redis_reply_take(redisReply *reply);

#endif
