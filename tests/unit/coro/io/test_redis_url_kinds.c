/*
 * The forms of a URL beside the plain one: unix sockets, TLS, sentinels.
 */
#include "tests/unit/coro/io/redis_url_parsed.h"

static void a_unix_socket_has_a_path(void **state)
{
    (void)state;
    struct parsed parsed = parse("unix:///run/redis.sock?db=2");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.path, "/run/redis.sock");
    assert_null(parsed.address.host);
    assert_int_equal(parsed.address.port, 0);
    assert_int_equal(parsed.address.db, 2);
    assert_string_equal(parsed.described, "unix:///run/redis.sock?db=2");
    coro_redis_address_release(&parsed.address);
}

static void a_unix_socket_is_written_in_three_ways(void **state)
{
    (void)state;
    assert_describes("unix:///s", "unix:///s");
    assert_describes("unix:/s", "unix:///s");
    assert_describes("redis+unix:///s", "unix:///s");
    assert_describes("unix://ann:x@/s?db=1", "unix://ann:***@/s?db=1");
    assert_describes("unix:///a%20b/c%3Fd@e", "unix:///a%20b/c%3Fd%40e");
}

static void a_unix_path_is_absolute(void **state)
{
    (void)state;
    assert_refused("unix://run/redis.sock", "absolute path");
    assert_refused("unix:redis.sock", "absolute path");
    assert_refused("unix://", "absolute path");
    assert_refused("unix:", "absolute path");
    assert_refused("unix:/", "absolute path");
    assert_refused("unix://?db=1", "absolute path");
}

static void a_unix_path_fits_into_a_socket_address(void **state)
{
    (void)state;
    char url[200] = "unix:///";
    memset(url + 8, 'a', 107);
    assert_refused(url, "108 bytes");
    url[8 + 106] = '\0';
    struct parsed parsed = parse(url);
    assert_int_equal(parsed.status, 0);
    coro_redis_address_release(&parsed.address);
}

static void rediss_means_tls(void **state)
{
    (void)state;
    assert_describes("rediss://h", "rediss://h:6379/0");
}

static void tls_may_need_files(void **state)
{
    (void)state;
    struct parsed parsed =
        parse("rediss://h/2?cert=%2Fc&key=/a%20b&cafile=/etc/ssl/ca.pem");
    assert_int_equal(parsed.status, 0);
    assert_int_equal(parsed.address.db, 2);
    assert_string_equal(parsed.address.cafile, "/etc/ssl/ca.pem");
    assert_string_equal(parsed.address.cert, "/c");
    assert_string_equal(parsed.address.key, "/a b");
    assert_string_equal(
        parsed.described,
        "rediss://h:6379/2?cafile=/etc/ssl/ca.pem&cert=/c&key=/a%20b");
    coro_redis_address_release(&parsed.address);
    assert_null(parsed.address.cafile);
    assert_describes("rediss://h?db=1&cafile=x", "rediss://h:6379/1?cafile=x");
}

static void files_for_tls_are_given_once_and_whole(void **state)
{
    (void)state;
    assert_refused("rediss://h?cert=/c", "only one of cert= and key=");
    assert_refused("rediss://h?key=/k", "only one of cert= and key=");
    assert_refused("rediss://h?cafile=", "empty path");
    assert_refused("rediss://h?cafile", "cafile=PATH");
    assert_refused("rediss://h?cafile=/a&cafile=/b", "the same file twice");
    assert_refused("rediss://h?cafile=%zz", "in the path of a file");
    assert_refused("rediss://h?cafiles=/a", "cafile=PATH");
    assert_refused("redis://h?cafile=/a", "expected db=N and nothing more");
}

static void sentinels_stand_in_a_list(void **state)
{
    (void)state;
    struct parsed parsed =
        parse("redis+sentinel://ann:s3cret@a:1,[::1],b.example/my-primary_1/3");
    assert_int_equal(parsed.status, 0);
    assert_null(parsed.address.host);
    assert_null(parsed.address.path);
    assert_int_equal(parsed.address.nsentinels, 3);
    assert_string_equal(parsed.address.sentinels[0].name, "a");
    assert_int_equal(parsed.address.sentinels[0].port, 1);
    assert_string_equal(parsed.address.sentinels[1].name, "::1");
    assert_int_equal(parsed.address.sentinels[1].port, 26379);
    assert_string_equal(parsed.address.sentinels[2].name, "b.example");
    assert_string_equal(parsed.address.primary_name, "my-primary_1");
    assert_int_equal(parsed.address.db, 3);
    assert_string_equal(parsed.address.user, "ann");
    assert_string_equal(parsed.address.password, "s3cret");
    assert_string_equal(parsed.described,
                        "redis+sentinel://ann:***@a:1,[::1]:26379,"
                        "b.example:26379/my-primary_1/3");
    coro_redis_address_release(&parsed.address);
}

static void behind_the_primary_s_name_a_database_may_be(void **state)
{
    (void)state;
    assert_describes("redis+sentinel://h/m", "redis+sentinel://h:26379/m/0");
    assert_describes("redis+sentinel://h/m/", "redis+sentinel://h:26379/m/0");
    assert_describes("redis+sentinel://h/m?db=2",
                     "redis+sentinel://h:26379/m/2");
    assert_refused("redis+sentinel://h/m/x", "found the database 'x'");
    assert_refused("redis+sentinel://h/m/1?db=1", "two databases");
    assert_refused("redis+sentinel://h/m?x", "db=N");
}

static void the_primary_s_name_is_needed(void **state)
{
    (void)state;
    assert_refused("redis+sentinel://h", "no name of a primary");
    assert_refused("redis+sentinel://h/", "no name of a primary");
    assert_refused("redis+sentinel://h?db=1", "no name of a primary");
    assert_refused("redis+sentinel://h//1", "no name of a primary");
    assert_refused("redis+sentinel://h/a,b", "no primary's name has");
    assert_refused("redis+sentinel://h/a%20b", "no primary's name has");
}

static void from_1_to_16_sentinels_are_named(void **state)
{
    (void)state;
    assert_refused("redis+sentinel:///m", "no host");
    assert_refused("redis+sentinel://:x@/m", "no host");
    assert_refused("redis+sentinel://a,/m", "no host");
    assert_refused("redis+sentinel://,a/m", "no host");
    assert_refused("redis+sentinel://a,b:0/m", "1 to 65535");
    assert_refused("redis+sentinel://[a]/m", "IPv6 address");
    char url[80] = "redis+sentinel://a";
    for (int i = 1; i < 16; i++)
        strncat(url, ",a", sizeof(url) - strlen(url) - 1);
    char *end = url + strlen(url);
    memcpy(end, "/m", 3);
    struct parsed parsed = parse(url);
    assert_int_equal(parsed.status, 0);
    assert_int_equal(parsed.address.nsentinels, 16);
    coro_redis_address_release(&parsed.address);
    memcpy(end, ",a/m", 5);
    assert_refused(url, "found 17 sentinels, expected at most 16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_socket_has_a_path),
        cmocka_unit_test(a_unix_socket_is_written_in_three_ways),
        cmocka_unit_test(a_unix_path_is_absolute),
        cmocka_unit_test(a_unix_path_fits_into_a_socket_address),
        cmocka_unit_test(rediss_means_tls),
        cmocka_unit_test(tls_may_need_files),
        cmocka_unit_test(files_for_tls_are_given_once_and_whole),
        cmocka_unit_test(sentinels_stand_in_a_list),
        cmocka_unit_test(behind_the_primary_s_name_a_database_may_be),
        cmocka_unit_test(the_primary_s_name_is_needed),
        cmocka_unit_test(from_1_to_16_sentinels_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
