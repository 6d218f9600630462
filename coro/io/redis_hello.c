#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/io/redis_internal.h"

/* Errors that trying again with the same words will not change. */
static bool is_refusal(const char *error)
{
    static const char *const prefixes[] = {
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
        "ERR AUTH",
        "ERR Client sent AUTH",
        "ERR invalid password",
        "ERR DB index",
        "ERR invalid DB index",
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(error, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Errors that are not about the command: the connection is of no use. */
static bool is_fatal(const char *error)
{
    static const char full[] = "ERR max number of clients";
    return strncmp(error, "NOAUTH", 6) == 0 ||
           strncmp(error, full, sizeof full - 1) == 0;
}

/* Sends one command of the greeting; an error reply is the connection's end
 * unless @may_fail. The command's words are not shown: one is the password. */
static int greet(struct coro_redis *redis, int argc, const char **argv,
                 bool may_fail, int64_t deadline_ms,
                 struct coro_redis_reply **ret_reply)
{
    struct coro_redis_command command = {.argc = argc, .argv = argv};
    struct coro_redis_reply *reply;
    int status = coro_redis_link_call(redis, &command, deadline_ms, &reply);
    if (status == -ETIMEDOUT)
        coro_redis_set_reason(redis, "no answer from the server");
    if (status < 0)
        return status;
    const char *text = coro_redis_reply_text(reply, NULL);
    bool is_error = coro_redis_reply_type(reply) == CORO_REDIS_ERROR;
    if (is_error && (!may_fail || is_fatal(text))) {
        coro_redis_set_reason(redis, text);
        redis->refused_us = is_refusal(text);
        status = -EPROTO;
    }
    if (status == 0 && ret_reply)
        *ret_reply = reply;
    else
        coro_redis_reply_free(reply);
    return status;
}

static int authenticate(struct coro_redis *redis, int64_t deadline_ms)
{
    const struct coro_redis_address *address = redis->options.address;
    if (!address->password)
        return 0;
    const char *argv[3] = {"AUTH"};
    int argc = 1;
    if (address->user)
        argv[argc++] = address->user;
    argv[argc++] = address->password;
    return greet(redis, argc, argv, false, deadline_ms, NULL);
}

static int select_db(struct coro_redis *redis, int64_t deadline_ms)
{
    uint32_t db = redis->options.address->db;
    if (db == 0)
        return 0;
    char number[16];
    snprintf(number, sizeof number, "%u", (unsigned)db);
    return greet(redis, 2, (const char *[]){"SELECT", number}, false,
                 deadline_ms, NULL);
}

static int set_name(struct coro_redis *redis, int64_t deadline_ms)
{
    if (!redis->client_name)
        return 0;
    return greet(redis, 3,
                 (const char *[]){"CLIENT", "SETNAME", redis->client_name},
                 true, deadline_ms, NULL);
}

static int learn_id(struct coro_redis *redis, int64_t deadline_ms)
{
    struct coro_redis_reply *reply;
    int status = greet(redis, 2, (const char *[]){"CLIENT", "ID"}, true,
                       deadline_ms, &reply);
    if (status < 0)
        return status;
    redis->client_id = coro_redis_reply_type(reply) == CORO_REDIS_INTEGER
                           ? coro_redis_reply_integer(reply)
                           : -1;
    coro_redis_reply_free(reply);
    return 0;
}

/* Sentinels may still name a server that is no primary any more. A server that
 * won't tell is taken for what they call it. */
static int check_role(struct coro_redis *redis, int64_t deadline_ms)
{
    if (!redis->options.address->sentinels)
        return 0;
    struct coro_redis_reply *reply;
    int status =
        greet(redis, 1, (const char *[]){"ROLE"}, true, deadline_ms, &reply);
    if (status < 0)
        return status;
    const char *role =
        coro_redis_reply_nitems(reply) > 0
            ? coro_redis_reply_text(coro_redis_reply_item(reply, 0), NULL)
            : "master";
    if (strcmp(role, "master") != 0) {
        coro_redis_set_reason(redis, strcmp(role, "slave") == 0
                                         ? "it is a replica, not the primary"
                                         : "it is no primary");
        status = -EPROTO;
    }
    coro_redis_reply_free(reply);
    return status;
}

int coro_redis_say_hello(struct coro_redis *redis, int64_t deadline_ms)
{
    int status = authenticate(redis, deadline_ms);
    if (status == 0)
        status = select_db(redis, deadline_ms);
    if (status == 0)
        status = set_name(redis, deadline_ms);
    if (status == 0)
        status = learn_id(redis, deadline_ms);
    if (status == 0)
        status = check_role(redis, deadline_ms);
    return status;
}
