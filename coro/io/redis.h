/*
 * Awaitable Redis: reply = call(command), in straight lines.
 *
 * A connection keeps itself up: a task of its own connects, introduces itself
 * (AUTH, SELECT, CLIENT SETNAME), and after a loss tries again with growing,
 * jittered waits. Where the address names sentinels, each attempt asks them for
 * the primary anew, and what is found must say itself that it is one. Commands of several coroutines are pipelined by themselves:
 * what is called in one turn of the loop leaves in one write.
 *
 *     struct coro_redis *redis;
 *     int status = coro_redis_start(loop, &options, &redis);
 *     …
 *     status = coro_redis_wait_up(redis, deadline_ms);
 *     struct coro_redis_reply *reply;
 *     status = coro_redis_call(redis, 2, CORO_REDIS_ARGS("GET", key),
 *                              deadline_ms, &reply);
 *     …
 *     coro_redis_reply_free(reply);
 *
 * An error that Redis answers with ("-WRONGTYPE …") is a reply like any other;
 * a negative status means that there is no reply. Then the command may or may
 * not have been run: only the caller can know what that means.
 *
 * What hiredis frees when, and what may not be called from where, is dealt with
 * here and nowhere else. Everything belongs to one loop's thread.
 */
#ifndef CORO_IO_REDIS_H
#define CORO_IO_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis_url.h"
#include "coro/sched/loop.h"

/* Room for any reason that coro_redis_reason() gives. */
#define CORO_REDIS_REASON_MAX 500

struct coro_redis;
struct coro_redis_reply;

enum coro_redis_state {
    CORO_REDIS_CONNECTING,
    CORO_REDIS_UP,
    CORO_REDIS_DOWN, /* waiting before the next attempt */
};

/* A change of state, for the log. */
struct coro_redis_event {
    enum coro_redis_state state;
    const char *reason;  /* why it is down; never holds a password */
    bool refused_us;     /* the server won't have us: trying again is no help */
    int64_t retry_in_ms; /* when down: until the next attempt */
};

struct coro_redis_options {
    const struct coro_redis_address *address; /* must outlive the connection */
    const char *client_name;                  /* no spaces; NULL: none */
    /* For one attempt in all, but for asking sentinels; 0: 5 s. */
    int64_t connect_timeout_ms;
    /* Connect only while this one, which must outlive it, is up; when sentinels
     * have to be asked, to the server that it is connected to. Or NULL. */
    struct coro_redis *after;
    void (*on_event)(void *argument, const struct coro_redis_event *event);
    void *argument; /* for on_event, which does not suspend */
};

/**
 * Makes a connection and starts the task that keeps it up.
 *
 * Returns 0, -ENOMEM, or -EOPNOTSUPP for an address that asks for TLS where
 * coro_redis_tls_missing().
 * Ownership: coro_redis_stop(). Context: loop thread; does not suspend.
 */
int coro_redis_start(struct coro_loop *loop,
                     const struct coro_redis_options *options,
                     struct coro_redis **ret_redis);

/**
 * Why this build can't do TLS, and what would help; NULL when it can.
 * Context: any thread.
 */
const char *coro_redis_tls_missing(void);

/**
 * Closes and frees @redis; commands that wait get -ECONNRESET. NULL is allowed.
 * Nobody may wait for it to come up. Context: coroutine on the loop thread.
 * Suspends until the connection's task has ended, also when cancelled.
 */
void coro_redis_stop(struct coro_redis *redis);

/**
 * Waits until @redis is up. Returns 0, -ETIMEDOUT or -ECANCELED.
 * Context: coroutine on the loop thread. Suspends unless it is up; a
 * cancellation point.
 */
int coro_redis_wait_up(struct coro_redis *redis, int64_t deadline_ms);

/** True while commands can be sent. */
bool coro_redis_is_up(const struct coro_redis *redis);

/** The server's number for the present connection; -1 when not known. */
int64_t coro_redis_client_id(const struct coro_redis *redis);

/** Raised by one with each connection; 0 before the first. */
uint64_t coro_redis_generation(const struct coro_redis *redis);

/** Why the last connection ended or could not be made; never NULL. */
const char *coro_redis_reason(const struct coro_redis *redis);

/**
 * Writes where the present connection goes, or the last attempt went, into
 * @buffer, as host:port; where sentinels name the server, that is what they
 * have named. Empty before the first attempt, and for a unix socket.
 *
 * Returns @buffer. Loop thread; does not suspend.
 */
const char *coro_redis_describe_server(const struct coro_redis *redis,
                                       char *buffer, size_t size);

/**
 * Gives the present connection up, as if it had been lost because of @reason.
 * Nothing happens when there is none. Loop thread; does not suspend.
 */
void coro_redis_drop(struct coro_redis *redis, const char *reason);

/**
 * Sends a command and waits for its reply.
 *
 * @argv, @lens   the command and its arguments, any bytes; lens[i] may be
 *                SIZE_MAX for a C string. @lens NULL: all are C strings. Copied
 *                before the call suspends.
 * @deadline_ms   absolute. When it passes the reply, if it comes, is lost; the
 *                connection goes on.
 * @ret_reply     where to put the reply, or NULL to throw it away.
 *
 * Returns 0, or
 *   -ENOTCONN    the connection is not up: the command was not sent;
 *   -ECONNRESET  it was lost before the reply came;
 *   -ETIMEDOUT, -ECANCELED, -ENOMEM.
 *
 * Ownership: the reply is the caller's, coro_redis_reply_free().
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_redis_call(struct coro_redis *redis, int argc, const char **argv,
                    const size_t *lens, int64_t deadline_ms,
                    struct coro_redis_reply **ret_reply);

/* One command of several; see coro_redis_call(). */
struct coro_redis_command {
    int argc;
    const char **argv;
    const size_t *lens;
};

/**
 * Sends @ncommands at once and waits for all replies.
 *
 * Returns as coro_redis_call(). On success @ret_replies[i] is the reply to
 * command i; after a failure none is set, and each command may have been run.
 */
int coro_redis_pipeline(struct coro_redis *redis,
                        const struct coro_redis_command *commands,
                        size_t ncommands, int64_t deadline_ms,
                        struct coro_redis_reply **ret_replies);

/* A command of C strings, for the argv and lens of coro_redis_call(). */
#define CORO_REDIS_ARGS(...) ((const char *[]){__VA_ARGS__}), NULL

/* --- replies -------------------------------------------------------------- */

enum coro_redis_type {
    CORO_REDIS_NIL,
    CORO_REDIS_STRING,
    CORO_REDIS_STATUS, /* such as OK */
    CORO_REDIS_ERROR,
    CORO_REDIS_INTEGER,
    CORO_REDIS_ARRAY,
};

enum coro_redis_type coro_redis_reply_type(
    const struct coro_redis_reply *reply);

/**
 * The bytes of a string, status or error; of anything else the empty string.
 * Borrowed from @reply; a zero byte that does not count follows them.
 */
const char *coro_redis_reply_text(const struct coro_redis_reply *reply,
                                  size_t *ret_len);

/** The value of an integer; of anything else 0. */
int64_t coro_redis_reply_integer(const struct coro_redis_reply *reply);

/** How many elements an array has; anything else has 0. */
size_t coro_redis_reply_nitems(const struct coro_redis_reply *reply);

/** Element @index, which must be there, of an array. Borrowed from @reply. */
const struct coro_redis_reply *coro_redis_reply_item(
    const struct coro_redis_reply *reply, size_t index);

/** True when @reply is an error that begins with @prefix ("WRONGTYPE"). */
bool coro_redis_reply_is_error(const struct coro_redis_reply *reply,
                               const char *prefix);

/** Frees @reply and all that is in it. NULL is allowed. */
void coro_redis_reply_free(struct coro_redis_reply *reply);

#endif
