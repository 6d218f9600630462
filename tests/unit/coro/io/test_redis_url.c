#include <stdlib.h>

#include "tests/unit/coro/io/redis_url_parsed.h"

static void port_and_database_have_defaults(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://localhost");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.host, "localhost");
    assert_int_equal(parsed.address.port, 6379);
    assert_int_equal(parsed.address.db, 0);
    assert_null(parsed.address.user);
    assert_null(parsed.address.password);
    assert_null(parsed.address.path);
    assert_false(parsed.address.tls);
    coro_redis_address_release(&parsed.address);
}

static void every_part_is_read(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://ann:s3cret@redis.example:7000/12");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.host, "redis.example");
    assert_int_equal(parsed.address.port, 7000);
    assert_int_equal(parsed.address.db, 12);
    assert_string_equal(parsed.address.user, "ann");
    assert_string_equal(parsed.address.password, "s3cret");
    coro_redis_address_release(&parsed.address);
}

static void a_password_needs_no_user(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://:s3cret@h");
    assert_int_equal(parsed.status, 0);
    assert_null(parsed.address.user);
    assert_string_equal(parsed.address.password, "s3cret");
    assert_string_equal(parsed.described, "redis://:***@h:6379/0");
    coro_redis_address_release(&parsed.address);
}

static void empty_credentials_are_none(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://:@h");
    assert_int_equal(parsed.status, 0);
    assert_null(parsed.address.user);
    assert_null(parsed.address.password);
    coro_redis_address_release(&parsed.address);
}

static void a_user_may_have_an_empty_password(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://ann:@h");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.user, "ann");
    assert_string_equal(parsed.address.password, "");
    coro_redis_address_release(&parsed.address);
}

static void escapes_in_the_credentials_are_decoded(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://a%40b:p%2fw%3A%25%20x@h");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.user, "a@b");
    assert_string_equal(parsed.address.password, "p/w:% x");
    coro_redis_address_release(&parsed.address);
}

static void an_at_sign_in_the_password_is_understood(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://:p@w:d@h:1");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.password, "p@w:d");
    assert_string_equal(parsed.address.host, "h");
    coro_redis_address_release(&parsed.address);
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://:x@[2001:db8::1]:7000/1");
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.address.host, "2001:db8::1");
    assert_string_equal(parsed.described, "redis://:***@[2001:db8::1]:7000/1");
    coro_redis_address_release(&parsed.address);
    assert_describes("redis://[::1]", "redis://[::1]:6379/0");
    assert_refused("redis://[::1", "without ']'");
    assert_refused("redis://[localhost]", "IPv6 address");
    assert_refused("redis://[]", "IPv6 address");
    assert_refused("redis://[::1]x", "after the host");
    assert_refused("redis://2001:db8::1", "brackets");
}

static void the_database_may_be_in_the_path_or_the_query(void **state)
{
    (void)state;
    assert_describes("redis://h/3", "redis://h:6379/3");
    assert_describes("redis://h?db=3", "redis://h:6379/3");
    assert_describes("redis://h/?db=3", "redis://h:6379/3");
    assert_describes("redis://h/", "redis://h:6379/0");
    assert_describes("redis://h/2147483647", "redis://h:6379/2147483647");
    assert_refused("redis://h/1?db=1", "two databases");
    assert_refused("redis://h?db=1&db=1", "two databases");
}

static void a_bad_database_is_quoted(void **state)
{
    (void)state;
    assert_refused("redis://h/abc", "found the database 'abc'");
    assert_refused("redis://h/-1", "found the database '-1'");
    assert_refused("redis://h/1/", "found the database '1/'");
    assert_refused("redis://h?db=", "found the database ''");
    assert_refused("redis://h/2147483648", "from 0 to 2147483647");
}

static void other_parameters_are_refused(void **state)
{
    (void)state;
    assert_refused("redis://h?timeout=5", "db=N");
    assert_refused("redis://h?", "db=N");
    assert_refused("redis://h?db=1&", "db=N");
    assert_refused("unix:///s?password=hunter2", "db=N");
}

static void a_port_is_from_1_to_65535(void **state)
{
    (void)state;
    assert_describes("redis://h:1", "redis://h:1/0");
    assert_describes("redis://h:65535", "redis://h:65535/0");
    assert_refused("redis://h:0", "1 to 65535");
    assert_refused("redis://h:65536", "1 to 65535");
    assert_refused("redis://h:", "1 to 65535");
    assert_refused("redis://h:6379x", "1 to 65535");
    assert_refused("redis://h:+1", "1 to 65535");
}

static void a_host_is_needed(void **state)
{
    (void)state;
    assert_refused("redis://", "no host");
    assert_refused("redis:///0", "no host");
    assert_refused("redis://:6379", "no host");
    assert_refused("redis://:x@/0", "no host");
}

static void a_host_is_made_of_few_characters(void **state)
{
    (void)state;
    assert_describes("redis://my_redis-1.local.", "redis://my_redis-1.local.:"
                                                  "6379/0");
    assert_refused("redis://a,b", "letters");
    assert_refused("redis://a%2eb", "letters");
    assert_refused("redis://caf\xc3\xa9", "letters");
}

static void an_overlong_host_is_refused(void **state)
{
    (void)state;
    char url[400] = "redis://";
    memset(url + 8, 'a', 254);
    assert_refused(url, "254 characters");
}

static void a_scheme_may_be_in_capitals(void **state)
{
    (void)state;
    assert_describes("REDIS://h", "redis://h:6379/0");
}

static void another_scheme_is_quoted(void **state)
{
    (void)state;
    assert_refused("http://h", "found http://, expected redis://");
    assert_refused("localhost:6379", "no known scheme");
    assert_refused("", "no known scheme");
    assert_refused("redis:h", "no known scheme");
    assert_refused("://", "no known scheme");
}

static void blanks_and_control_characters_are_refused(void **state)
{
    (void)state;
    assert_refused("redis://h\n", "control character");
    assert_refused(" redis://h", "blank");
    assert_refused("redis://:a b@h", "blank");
    assert_refused("redis://h\x7f", "control character");
}

static void a_number_sign_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://:a#b@h", "%23");
}

static void broken_escapes_are_refused(void **state)
{
    (void)state;
    assert_refused("redis://:%@h", "in the password");
    assert_refused("redis://:%4@h", "in the password");
    assert_refused("redis://:%zz@h", "in the password");
    assert_refused("redis://:%4g@h", "in the password");
    assert_refused("redis://%:x@h", "in the user");
    assert_refused("unix:///a%2", "in the path");
}

static void an_escaped_nul_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://:a%00b@h", "other than 00");
}

static void a_lone_word_before_the_at_sign_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://ann@h", "user:password@");
}

/* However the URL is broken, the explanation keeps the secret. */
static void an_explanation_never_holds_the_password(void **state)
{
    (void)state;
    const char *const urls[] = {
        "redis://hunter2@h",
        "redis://ann:1/hunter2@h",
        "redis://ann:1?db=hunter2@h",
        "redis://:hunter2",
        "redis://ann:hunter2",
        "redis://:hun/hunter2@h/0",
        "redis://:hun?hunter2@h/0",
        "redis://:hun#hunter2@h",
        "redis://:hunter2@",
        "redis://:hunter2@h:x",
        "redis://:hunter2@[h]",
        "redis://:hunter2%@h",
        "redis://:hunter2@h/x",
        "redis://:hunter2@h?x",
        "redis:ann:hunter2@h",
        ":hunter2@h",
        "hunter2@h",
        "ann:hunter2@h",
        "unix://:hunter2/s",
        "unix://:hunter2@s",
        "unix://:a/hunter2@/s?x",
        "unix:hunter2@/s",
        "redis+sentinel://:hunter2@h",
        "redis+sentinel://:hunter2@h,/m",
        "redis+sentinel://:hunter2@h:x/m",
        "redis+sentinel://:hunter2@h/m/x",
        "redis+sentinel://ann:hunter2",
        "redis+sentinel://ann:hun,hunter2/m",
        "redis+sentinel://:hun/hunter2@h/m",
        "http://:hunter2@h",
        "redis://:hunter2 @h",
        "redis://hunter2,x",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct parsed parsed = parse(urls[i]);
        assert_true(parsed.status < 0);
        assert_null(strstr(parsed.why, "hunter"));
    }
}

static void a_description_never_holds_the_password(void **state)
{
    (void)state;
    assert_describes("redis://ann:hunter2@h:1/2", "redis://ann:***@h:1/2");
    assert_describes("unix://:hunter2@/s", "unix://:***@/s");
    assert_describes("redis+sentinel://:hunter2@h,i/m",
                     "redis+sentinel://:***@h:26379,i:26379/m/0");
}

static void a_description_escapes_what_could_deceive(void **state)
{
    (void)state;
    assert_describes("redis://a%0Ab%40c%2Fd:x@h",
                     "redis://a%0Ab%40c%2Fd:***@h:6379/0");
}

static void a_description_is_cut_to_its_buffer(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://ann:x@localhost");
    char buffer[12];
    memset(buffer, 'x', sizeof(buffer));
    assert_ptr_equal(coro_redis_address_describe(&parsed.address, buffer, 11),
                     buffer);
    assert_string_equal(buffer, "redis://an");
    assert_int_equal(buffer[11], 'x');
    coro_redis_address_release(&parsed.address);
}

static void releasing_twice_or_nothing_is_fine(void **state)
{
    (void)state;
    struct parsed parsed = parse("redis://ann:x@localhost");
    coro_redis_address_release(&parsed.address);
    assert_null(parsed.address.password);
    coro_redis_address_release(&parsed.address);
    coro_redis_address_release(NULL);
}

static void a_short_buffer_cuts_the_explanation(void **state)
{
    (void)state;
    struct coro_redis_address address;
    char why[8];
    assert_int_equal(coro_redis_url_parse("x", &address, why, sizeof(why)),
                     -EINVAL);
    assert_string_equal(why, "found n");
}

/* Good URLs with some bytes changed reach far more than noise would. */
static void random_urls_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "redis://ann:p%40w@host.example:6379/3",
        "redis://:x@[2001:db8::1]:1?db=4",
        "unix://u:p@/run/a%20b.sock?db=1",
        "redis+sentinel://u:p@a:1,[::1]:2,b/name/3",
        "rediss://h?cafile=/a%20b&cert=c&key=d",
    };
    static const char letters[] = ":/@?#[],%&=db0159af.\n\xff";
    unsigned seed = 3;
    for (int round = 0; round < 50000; round++) {
        char *url = strdup(seeds[rand_r(&seed) % 5]);
        assert_non_null(url);
        size_t len = strlen(url);
        for (int changes = rand_r(&seed) % 4; changes >= 0; changes--)
            url[(size_t)rand_r(&seed) % len] =
                letters[(size_t)rand_r(&seed) % sizeof(letters)];
        struct parsed parsed = parse(url);
        if (parsed.status == 0)
            assert_int_equal(!!parsed.address.host + !!parsed.address.path +
                                 !!parsed.address.sentinels,
                             1);
        else
            assert_true(strlen(parsed.why) > 0);
        coro_redis_address_release(&parsed.address);
        free(url);
    }
}

static void a_description_reads_back_as_the_same_place(void **state)
{
    (void)state;
    const char *const urls[] = {"redis://a%2Fb:x@h:1/2", "unix:///a%3Fb?db=4",
                                "rediss://[::1]:5/6",
                                "redis+sentinel://[::1],b:7/name?db=3"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct parsed once = parse(urls[i]);
        assert_int_equal(once.status, 0);
        assert_describes(once.described, once.described);
        coro_redis_address_release(&once.address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_and_database_have_defaults),
        cmocka_unit_test(every_part_is_read),
        cmocka_unit_test(a_password_needs_no_user),
        cmocka_unit_test(empty_credentials_are_none),
        cmocka_unit_test(a_user_may_have_an_empty_password),
        cmocka_unit_test(escapes_in_the_credentials_are_decoded),
        cmocka_unit_test(an_at_sign_in_the_password_is_understood),
        cmocka_unit_test(an_ipv6_address_stands_in_brackets),
        cmocka_unit_test(the_database_may_be_in_the_path_or_the_query),
        cmocka_unit_test(a_bad_database_is_quoted),
        cmocka_unit_test(other_parameters_are_refused),
        cmocka_unit_test(a_port_is_from_1_to_65535),
        cmocka_unit_test(a_host_is_needed),
        cmocka_unit_test(a_host_is_made_of_few_characters),
        cmocka_unit_test(an_overlong_host_is_refused),
        cmocka_unit_test(a_scheme_may_be_in_capitals),
        cmocka_unit_test(another_scheme_is_quoted),
        cmocka_unit_test(blanks_and_control_characters_are_refused),
        cmocka_unit_test(a_number_sign_is_refused),
        cmocka_unit_test(broken_escapes_are_refused),
        cmocka_unit_test(an_escaped_nul_is_refused),
        cmocka_unit_test(a_lone_word_before_the_at_sign_is_refused),
        cmocka_unit_test(an_explanation_never_holds_the_password),
        cmocka_unit_test(a_description_never_holds_the_password),
        cmocka_unit_test(a_description_escapes_what_could_deceive),
        cmocka_unit_test(a_description_is_cut_to_its_buffer),
        cmocka_unit_test(releasing_twice_or_nothing_is_fine),
        cmocka_unit_test(a_short_buffer_cuts_the_explanation),
        cmocka_unit_test(random_urls_are_read_or_refused),
        cmocka_unit_test(a_description_reads_back_as_the_same_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
