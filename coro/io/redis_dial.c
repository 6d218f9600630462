#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/io/redis_internal.h"
#include "coro/io/resolve.h"

static int find_addresses(struct coro_redis *redis, const char *host,
                          int64_t deadline_ms,
                          struct coro_addresses *ret_addresses)
{
    int status = coro_resolve(host, deadline_ms, ret_addresses);
    if (status == -ECANCELED || status == 0)
        return status;
    char why[CORO_REDIS_REASON_MAX];
    snprintf(why, sizeof why, "can't resolve the name '%s': %s", host,
             status == -ENOENT      ? "no such host"
             : status == -ETIMEDOUT ? "no answer from the resolver"
             : status == -EAGAIN    ? "the resolver can't tell just now"
                                    : strerror(-status));
    coro_redis_set_reason(redis, why);
    return status;
}

int coro_redis_dial(struct coro_redis *redis,
                    const struct coro_redis_place *place, int64_t deadline_ms)
{
    if (!place->host[0])
        return coro_redis_link_open(redis, NULL, 0, deadline_ms);
    struct coro_addresses addresses;
    int status = find_addresses(redis, place->host, deadline_ms, &addresses);
    if (status < 0)
        return status;
    /* Each address gets its share of what time is left. */
    for (size_t i = 0; i < addresses.naddresses; i++) {
        int64_t now_ms = coro_now_ms();
        int64_t share_ms =
            (deadline_ms - now_ms) / (int64_t)(addresses.naddresses - i);
        status = coro_redis_link_open(redis, addresses.texts[i], place->port,
                                      coro_after(share_ms));
        if (status == 0 || status == -ECANCELED)
            break;
    }
    return status;
}
