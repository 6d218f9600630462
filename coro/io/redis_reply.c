#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "coro/base/ensure.h"
#include "coro/io/redis.h"
#include "coro/io/redis_internal.h"

static const redisReply *inner(const struct coro_redis_reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

struct coro_redis_reply *coro_redis_reply_take(redisReply *reply)
{
    /* hiredis frees its reply when the callback returns: it is left an empty
     * one, and the contents move. */
    redisReply *taken = malloc(sizeof *taken);
    if (!taken)
        return NULL;
    *taken = *reply;
    memset(reply, 0, sizeof *reply);
    reply->type = REDIS_REPLY_NIL;
    return (struct coro_redis_reply *)(void *)taken;
}

void coro_redis_reply_free(struct coro_redis_reply *reply)
{
    if (reply)
        freeReplyObject(reply);
}

enum coro_redis_type coro_redis_reply_type(const struct coro_redis_reply *reply)
{
    switch (inner(reply)->type) {
    case REDIS_REPLY_STRING:
        return CORO_REDIS_STRING;
    case REDIS_REPLY_STATUS:
        return CORO_REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return CORO_REDIS_ERROR;
    case REDIS_REPLY_INTEGER:
        return CORO_REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return CORO_REDIS_ARRAY;
    default:
        return CORO_REDIS_NIL;
    }
}

const char *coro_redis_reply_text(const struct coro_redis_reply *reply,
                                  size_t *ret_len)
{
    const redisReply *r = inner(reply);
    bool has_text = r->type == REDIS_REPLY_STRING ||
                    r->type == REDIS_REPLY_STATUS ||
                    r->type == REDIS_REPLY_ERROR;
    if (ret_len)
        *ret_len = has_text ? (size_t)r->len : 0;
    return has_text ? r->str : "";
}

int64_t coro_redis_reply_integer(const struct coro_redis_reply *reply)
{
    const redisReply *r = inner(reply);
    return r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
}

size_t coro_redis_reply_nitems(const struct coro_redis_reply *reply)
{
    const redisReply *r = inner(reply);
    return r->type == REDIS_REPLY_ARRAY ? (size_t)r->elements : 0;
}

const struct coro_redis_reply *coro_redis_reply_item(
    const struct coro_redis_reply *reply, size_t index)
{
    ensure(index < coro_redis_reply_nitems(reply));
    return (const struct coro_redis_reply *)(const void *)inner(reply)
        ->element[index];
}

bool coro_redis_reply_is_error(const struct coro_redis_reply *reply,
                               const char *prefix)
{
    const redisReply *r = inner(reply);
    return r->type == REDIS_REPLY_ERROR &&
           strncmp(r->str, prefix, strlen(prefix)) == 0;
}
