#include "coro/io/redis_sentinel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/base/parse.h"
#include "coro/io/redis_internal.h"

/* For each sentinel: to resolve its name, connect and answer. */
#define ANSWER_TIMEOUT_MS 1000

/* Room for what one sentinel said. */
#define SAID_MAX 100

/* One round of questions. On the heap, for a coroutine's stack is small. */
struct inquiry {
    const char *name;       /* of the primary */
    struct coro_redis link; /* to one sentinel after the other */
    char said[CORO_REDIS_SENTINELS_MAX][SAID_MAX];
};

static void describe(const char *host, uint16_t port, char *buffer, size_t size)
{
    snprintf(buffer, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
             (unsigned)port);
}

/* Reads [address, port]; Sentinel answers nil to a name that it doesn't know. */
static int read_answer(struct coro_redis *link,
                       const struct coro_redis_reply *reply,
                       struct coro_redis_place *ret_place)
{
    enum coro_redis_type type = coro_redis_reply_type(reply);
    if (type == CORO_REDIS_ERROR || type == CORO_REDIS_NIL) {
        coro_redis_set_reason(link, type == CORO_REDIS_NIL
                                        ? "knows no primary of that name"
                                        : coro_redis_reply_text(reply, NULL));
        return -ENOENT;
    }
    uint64_t port = 0;
    size_t host_len = 0, port_len = 0;
    const char *host = NULL;
    if (coro_redis_reply_nitems(reply) == 2) {
        host =
            coro_redis_reply_text(coro_redis_reply_item(reply, 0), &host_len);
        const char *digits =
            coro_redis_reply_text(coro_redis_reply_item(reply, 1), &port_len);
        if (coro_parse_u64(digits, port_len, 1, UINT16_MAX, &port) < 0)
            port = 0;
    }
    if (port == 0 || host_len == 0 || host_len >= sizeof ret_place->host) {
        coro_redis_set_reason(link, "gave an answer that is no address");
        return -EPROTO;
    }
    memcpy(ret_place->host, host, host_len);
    ret_place->host[host_len] = '\0';
    ret_place->port = (uint16_t)port;
    return 0;
}

static int ask(struct coro_redis *link, const char *name, int64_t deadline_ms,
               struct coro_redis_place *ret_place)
{
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", name};
    const struct coro_redis_command command = {.argc = 3, .argv = argv};
    struct coro_redis_reply *reply;
    int status = coro_redis_link_call(link, &command, deadline_ms, &reply);
    if (status == -ETIMEDOUT)
        coro_redis_set_reason(link, "no answer");
    if (status < 0)
        return status;
    status = read_answer(link, reply, ret_place);
    coro_redis_reply_free(reply);
    return status;
}

static int ask_one(struct inquiry *inquiry,
                   const struct coro_redis_host *sentinel,
                   struct coro_redis_place *ret_place)
{
    struct coro_redis *link = &inquiry->link;
    int64_t deadline_ms = coro_after(ANSWER_TIMEOUT_MS);
    struct coro_redis_place place = {.port = sentinel->port};
    snprintf(place.host, sizeof place.host, "%s", sentinel->name);
    int status = coro_redis_dial(link, &place, deadline_ms);
    if (status == 0)
        status = ask(link, inquiry->name, deadline_ms, ret_place);
    coro_redis_link_close(link);
    return status;
}

/* In the order of the address, whoever was asked first: so the same trouble has
 * the same reason and is logged once. */
static void tell_what_was_said(struct coro_redis *redis,
                               const struct inquiry *inquiry)
{
    const struct coro_redis_address *address = redis->options.address;
    char why[CORO_REDIS_REASON_MAX];
    int len = snprintf(why, sizeof why, "no sentinel tells where '%s' is",
                       inquiry->name);
    for (size_t i = 0; i < address->nsentinels && (size_t)len < sizeof why;
         i++) {
        char place[CORO_REDIS_PLACE_MAX];
        describe(address->sentinels[i].name, address->sentinels[i].port, place,
                 sizeof place);
        len += snprintf(why + len, sizeof why - (size_t)len, "%s %s: %s",
                        i == 0 ? ":" : ";", place, inquiry->said[i]);
    }
    coro_redis_set_reason(redis, why);
}

/* Asks until somebody knows. Returns 0, -ECANCELED, or -ENOENT. */
static int ask_in_turn(struct coro_redis *redis, struct inquiry *inquiry)
{
    const struct coro_redis_address *address = redis->options.address;
    for (size_t i = 0; i < address->nsentinels; i++) {
        size_t which = (redis->first_sentinel + i) % address->nsentinels;
        int status =
            ask_one(inquiry, &address->sentinels[which], &redis->place);
        if (status == 0)
            redis->first_sentinel = which;
        if (status == 0 || status == -ECANCELED)
            return status;
        const char *reason = inquiry->link.reason;
        snprintf(inquiry->said[which], SAID_MAX, "%.*s", SAID_MAX - 1,
                 reason[0] ? reason : strerror(-status));
        inquiry->link.reason[0] = '\0';
    }
    tell_what_was_said(redis, inquiry);
    return -ENOENT;
}

static struct inquiry *inquiry_new(struct coro_redis *redis)
{
    static const struct coro_redis_address plain = {0};
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);
    if (!inquiry)
        return NULL;
    coro_redis_link_init(&inquiry->link, redis->loop);
    inquiry->link.options.address = &plain;
    inquiry->name = redis->options.address->primary_name;
    return inquiry;
}

int coro_redis_ask_sentinels(struct coro_redis *redis)
{
    struct inquiry *inquiry = inquiry_new(redis);
    if (!inquiry) {
        coro_redis_set_reason(redis, strerror(ENOMEM));
        return -ENOMEM;
    }
    int status = ask_in_turn(redis, inquiry);
    free(inquiry);
    return status;
}

int coro_redis_ask_again(struct coro_redis *redis)
{
    const struct coro_redis_address *address = redis->options.address;
    struct inquiry *inquiry = inquiry_new(redis);
    if (!inquiry)
        return -ENOMEM;
    struct coro_redis_place place = {.port = 0};
    int status =
        ask_one(inquiry, &address->sentinels[redis->first_sentinel], &place);
    free(inquiry);
    if (status == 0 && !coro_redis_place_is(redis, &place))
        coro_redis_drop(redis, CORO_REDIS_MOVED);
    return status;
}

bool coro_redis_place_is(const struct coro_redis *redis,
                         const struct coro_redis_place *place)
{
    return redis->place.port == place->port &&
           strcmp(redis->place.host, place->host) == 0;
}

const char *coro_redis_describe_server(const struct coro_redis *redis,
                                       char *buffer, size_t size)
{
    const struct coro_redis_place *place = &redis->place;
    if (place->host[0])
        describe(place->host, place->port, buffer, size);
    else
        snprintf(buffer, size, "%s", "");
    return buffer;
}

void coro_redis_doubt_sentinel(struct coro_redis *redis)
{
    const struct coro_redis_address *address = redis->options.address;
    if (!address->sentinels)
        return;
    redis->first_sentinel = (redis->first_sentinel + 1) % address->nsentinels;
    char place[CORO_REDIS_PLACE_MAX], why[CORO_REDIS_REASON_MAX];
    coro_redis_describe_server(redis, place, sizeof place);
    snprintf(why, sizeof why, "%s: %.*s", place,
             (int)(sizeof why - sizeof place - 3), redis->reason);
    coro_redis_set_reason(redis, why);
}
