/* What INFO says of a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/queue/probe.h"

static struct probe read_text(const char *info)
{
    struct probe probe = {.version = ""};
    probe_read(info, &probe);
    return probe;
}

static void a_server_is_named_with_its_version(void **state)
{
    (void)state;
    struct probe probe = read_text("# Server\r\nredis_version:7.0.15\r\n");
    assert_string_equal(probe.version, "Redis 7.0.15");
    assert_false(probe.is_old || probe.is_too_old);
}

static void valkey_is_named_and_is_never_old(void **state)
{
    (void)state;
    struct probe probe =
        read_text("redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n");
    assert_string_equal(probe.version, "Valkey 8.1.0");
    assert_false(probe.is_old);
}

static void before_6_2_a_server_is_old(void **state)
{
    (void)state;
    assert_true(read_text("redis_version:6.0.16\r\n").is_old);
    assert_true(read_text("redis_version:5.0.3\r\n").is_old);
    assert_false(read_text("redis_version:5.0.3\r\n").is_too_old);
    assert_false(read_text("redis_version:6.2.0\r\n").is_old);
    assert_false(read_text("redis_version:10.0.1\r\n").is_old);
}

static void before_5_0_it_is_too_old(void **state)
{
    (void)state;
    assert_true(read_text("redis_version:4.0.14\r\n").is_too_old);
    assert_false(read_text("redis_version:5.0\r\n").is_too_old);
}

static void a_version_that_is_not_told_is_not_judged(void **state)
{
    (void)state;
    struct probe probe = read_text("redis_mode:standalone\r\n");
    assert_string_equal(probe.version, "");
    assert_false(probe.is_old || probe.is_too_old || probe.is_cluster);
    assert_false(read_text("redis_version:unknown\r\n").is_too_old);
}

static void what_may_lose_jobs_is_found(void **state)
{
    (void)state;
    struct probe probe = read_text("role:slave\r\naof_enabled:0\r\n"
                                   "maxmemory_policy:allkeys-lru\r\n"
                                   "cluster_enabled:1\r\n");
    assert_true(probe.is_replica);
    assert_true(probe.snapshots_only);
    assert_true(probe.is_cluster);
    assert_string_equal(probe.eviction, "allkeys-lru");
    probe = read_text("role:master\r\naof_enabled:1\r\n"
                      "maxmemory_policy:noeviction\r\n");
    assert_false(probe.is_replica || probe.snapshots_only);
    assert_string_equal(probe.eviction, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_named_with_its_version),
        cmocka_unit_test(valkey_is_named_and_is_never_old),
        cmocka_unit_test(before_6_2_a_server_is_old),
        cmocka_unit_test(before_5_0_it_is_too_old),
        cmocka_unit_test(a_version_that_is_not_told_is_not_judged),
        cmocka_unit_test(what_may_lose_jobs_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
