#include "master/queue/script.h"

#include <stdio.h>

static int call_as(struct coro_redis *redis, const char *how, const char *what,
                   int argc, const char **argv, size_t *lens,
                   int64_t deadline_ms, struct coro_redis_reply **ret_reply)
{
    argv[0] = how;
    argv[1] = what;
    return coro_redis_call(redis, argc, argv, lens, deadline_ms, ret_reply);
}

int script_call(struct coro_redis *redis, const struct script *script,
                size_t nkeys, int argc, const char **argv, size_t *lens,
                int64_t deadline_ms, struct coro_redis_reply **ret_reply)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", nkeys);
    argv[2] = number;
    for (int i = 0; lens && i < SCRIPT_WORDS; i++)
        lens[i] = SIZE_MAX;
    struct coro_redis_reply *reply;
    int status = call_as(redis, "EVALSHA", script->sha, argc, argv, lens,
                         deadline_ms, &reply);
    if (status == 0 && coro_redis_reply_is_error(reply, "NOSCRIPT")) {
        coro_redis_reply_free(reply);
        status = call_as(redis, "EVAL", script->text, argc, argv, lens,
                         deadline_ms, &reply);
    }
    if (status == 0)
        *ret_reply = reply;
    return status;
}
