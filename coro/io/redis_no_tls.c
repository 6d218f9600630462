#include <errno.h>
#include <stddef.h>

#include "coro/io/redis_internal.h"
#include "coro/io/redis_tls.h"

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define HIREDIS_VERSION    \
    TEXT_OF(HIREDIS_MAJOR) \
    "." TEXT_OF(HIREDIS_MINOR) "." TEXT_OF(HIREDIS_PATCH)

const char *coro_redis_tls_missing(void)
{
    return "this build's hiredis (" HIREDIS_VERSION ") has no TLS: use hiredis "
           "1.0 or newer with libhiredis_ssl, or a stunnel or a unix socket in "
           "front";
}

int coro_redis_tls_begin(struct coro_redis *redis)
{
    coro_redis_set_reason(redis, coro_redis_tls_missing());
    return -EOPNOTSUPP;
}

int coro_redis_tls_settle(struct coro_redis *redis, int status)
{
    (void)redis;
    return status;
}
