/*
 * For tests of the URL reader: reading one and looking at what came of it.
 */
#ifndef TESTS_UNIT_CORO_IO_REDIS_URL_PARSED_H
#define TESTS_UNIT_CORO_IO_REDIS_URL_PARSED_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "coro/io/redis_url.h"

/* What the last parse() came to. */
struct parsed {
    int status;
    struct coro_redis_address address;
    char why[CORO_REDIS_URL_WHY_MAX];
    char described[256];
};

static inline struct parsed parse(const char *url)
{
    struct parsed parsed = {.status = 0};
    parsed.status = coro_redis_url_parse(url, &parsed.address, parsed.why,
                                         sizeof(parsed.why));
    if (parsed.status == 0)
        coro_redis_address_describe(&parsed.address, parsed.described,
                                    sizeof(parsed.described));
    return parsed;
}

/* @url is read, and written again it is @description. */
static inline void assert_describes(const char *url, const char *description)
{
    struct parsed parsed = parse(url);
    assert_string_equal(parsed.why, "");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.described, description);
    coro_redis_address_release(&parsed.address);
}

/* @url is refused, and the explanation holds @hint. */
static inline void assert_refused(const char *url, const char *hint)
{
    struct parsed parsed = parse(url);
    assert_int_equal(parsed.status, -EINVAL);
    if (!strstr(parsed.why, hint))
        assert_string_equal(parsed.why, hint);
    assert_non_null(strstr(parsed.why, "expected"));
    assert_null(parsed.address.host);
    assert_null(parsed.address.path);
    assert_null(parsed.address.sentinels);
}

#endif
