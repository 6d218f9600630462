#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/config.h"
#include "tests/unit/master/parse_options.h"

static void a_bad_number_is_refused_with_its_bounds(void **state)
{
    (void)state;
    const char *text = "--concurrency: found '%s', expected a whole number "
                       "from 1 to 1000000";
    const char *const values[] = {"abc", "0", "1000001", "-1", "1e3", "", " 1"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char argument[64];
        snprintf(argument, sizeof(argument), "--concurrency=%s", values[i]);
        assert_int_equal(parse(argument), -EINVAL);
        const char *quoted = strchr(parsed.error.message, '\'');
        assert_non_null(quoted);
        assert_int_equal(strncmp(quoted + 1, values[i], strlen(values[i])), 0);
        assert_non_null(strstr(parsed.error.message, strchr(text, ',')));
    }
}

static void what_was_found_is_quoted_harmlessly(void **state)
{
    (void)state;
    assert_complains("--concurrency: found '1?[31m?2', expected a whole number "
                     "from 1 to 1000000",
                     "--concurrency=1\033[31m\n2");
    char argument[500] = "--concurrency=";
    memset(argument + 14, '9', sizeof(argument) - 15);
    assert_int_equal(parse(argument), -EINVAL);
    assert_non_null(strstr(parsed.error.message, "999...'"));
    assert_true(strlen(parsed.error.message) < 200);
}

static void durations_are_read(void **state)
{
    (void)state;
    assert_parses("--shutdown-timeout=250ms", "--wait-redis=0");
    assert_int_equal(parsed.options.shutdown_timeout_ms, 250);
    assert_int_equal(parsed.options.wait_redis_ms, 0);
    assert_string_equal(described("shutdown-timeout"), "250ms");
    assert_string_equal(described("wait-redis"), "0");
    assert_parses("--wait-redis=90", "--shutdown-timeout=48h");
    assert_string_equal(described("wait-redis"), "90s");
    assert_string_equal(described("shutdown-timeout"), "2d");
}

static void only_waiting_for_redis_may_last_forever(void **state)
{
    (void)state;
    assert_parses("--wait-redis=forever");
    assert_true(parsed.options.wait_redis_ms == CORO_NEVER);
    assert_complains("--shutdown-timeout: found 'forever', expected a duration "
                     "such as 250ms, 2s, 5m or 1h, at most 365d",
                     "--shutdown-timeout=forever");
    assert_complains("--wait-redis: found 'ever', expected a duration such as "
                     "250ms, 2s, 5m or 1h, or 'forever'",
                     "--wait-redis=ever");
}

static void sizes_are_read_within_bounds(void **state)
{
    (void)state;
    assert_parses("--max-payload=512M");
    assert_int_equal(parsed.options.max_payload_bytes, 512 * 1024 * 1024);
    assert_string_equal(described("max-payload"), "512MiB");
    assert_parses("--max-payload=1000");
    assert_string_equal(described("max-payload"), "1000");
    assert_complains("--max-payload: found '513M', expected a size such as "
                     "8388608 or 16MiB, from 1 to 512MiB",
                     "--max-payload=513M");
}

static void words_are_read(void **state)
{
    (void)state;
    assert_parses("--log-level=error", "--log-format=json",
                  "--delivery=at-most-once");
    assert_int_equal(parsed.options.log_level, OPTIONS_LOG_LEVEL_ERROR);
    assert_int_equal(parsed.options.log_format, OPTIONS_LOG_FORMAT_JSON);
    assert_string_equal(described("log-level"), "error");
}

static void an_unknown_word_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_complains("--log-level: found 'inof', expected 'debug', 'info', "
                     "'warn' or 'error'; did you mean 'info'?",
                     "--log-level=inof");
    assert_complains("--delivery: found 'at-last-once', expected "
                     "'at-least-once' or 'at-most-once'; did you mean "
                     "'at-least-once'?",
                     "--delivery=at-last-once");
}

static void a_lease_has_bounds(void **state)
{
    (void)state;
    assert_parses("--lease=3s");
    assert_int_equal(parsed.options.lease_ms, 3000);
    const char *const values[] = {"2999ms", "61m", "forever", ""};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(parse("--lease", values[i]), -EINVAL);
        assert_non_null(
            strstr(parsed.error.message, "at least 3s, at most 1h"));
    }
}

static void retries_are_counted_up_to_a_thousand(void **state)
{
    (void)state;
    assert_parses("--retry=0");
    assert_int_equal(parsed.options.retry, 0);
    assert_parses("--retry=1000");
    assert_int_equal(parsed.options.retry, 1000);
    assert_complains("--retry: found '1001', expected a whole number from 0 "
                     "to 1000",
                     "--retry=1001");
    assert_int_equal(parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("--retry=2")), 0);
    assert_int_equal(parsed.options.retry, 2);
}

static void assert_delay(const char *text, enum options_retry_delay_kind kind,
                         int64_t first_ms, int64_t most_ms)
{
    assert_parses("--retry-delay", text);
    const struct options_retry_delay *delay = &parsed.options.retry_delay;
    assert_int_equal(delay->kind, kind);
    assert_int_equal(delay->first_ms, first_ms);
    assert_int_equal(delay->most_ms, most_ms);
    assert_string_equal(described("retry-delay"), text);
}

static void a_retry_delay_is_read(void **state)
{
    (void)state;
    assert_delay("default", OPTIONS_RETRY_DELAY_DEFAULT, 0, 0);
    assert_delay("fixed:200ms", OPTIONS_RETRY_DELAY_FIXED, 200, 200);
    assert_delay("fixed:0", OPTIONS_RETRY_DELAY_FIXED, 0, 0);
    assert_delay("exp:1s:1h", OPTIONS_RETRY_DELAY_EXP, 1000, 3600000);
    assert_delay("exp:1ms:1ms", OPTIONS_RETRY_DELAY_EXP, 1, 1);
}

static void the_last_retry_delay_counts_as_a_whole(void **state)
{
    (void)state;
    setenv("CORQ_RETRY_DELAY", "exp:1s:1h", 1);
    assert_parses("--retry-delay=default");
    assert_int_equal(parsed.options.retry_delay.first_ms, 0);
    assert_int_equal(parsed.options.retry_delay.most_ms, 0);
}

static void a_bad_retry_delay_is_refused(void **state)
{
    (void)state;
    const char *const values[] = {
        "",           "fixed",        "fixed:",     "fixed:x",
        "fixed:366d", "fixed:1s:",    "exp",        "exp:",
        "exp:1s",     "exp:1s:",      "exp::1s",    "exp:0:1s",
        "exp:2s:1s",  "exp:1s:2s:3s", "default:1s", "exp:1s:366d",
        "Fixed:1s",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(parse("--retry-delay", values[i]), -EINVAL);
        assert_non_null(
            strstr(parsed.error.message, "', expected 'default', fixed:TIME"));
        assert_non_null(strstr(parsed.error.message, values[i]));
    }
}

static int parse_push(const char *argument)
{
    return parse_for(COMMAND_FLAG_PUSH, ARGUMENTS(argument));
}

static void a_time_is_read(void **state)
{
    (void)state;
    assert_int_equal(parse_push("--at=2026-11-25T10:00:00Z"), 0);
    assert_int_equal(parsed.options.at_us, INT64_C(1795600800000000));
    assert_string_equal(described("at"), "1795600800.000000");
    assert_int_equal(parse_push("--at=0.5"), 0);
    assert_int_equal(parsed.options.at_us, 500000);
}

static void a_bad_time_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_push("--at=tomorrow"), -EINVAL);
    assert_string_equal(parsed.error.message,
                        "--at: found 'tomorrow', expected seconds since 1970, "
                        "or a time in UTC such as 2026-11-25T10:00:00Z, before "
                        "the year 10000");
    assert_int_equal(parse_push("--at=1795600800000"), -EINVAL);
    assert_int_equal(parse_push("--at="), -EINVAL);
    assert_int_equal(parse_push("--in=-1"), -EINVAL);
    assert_int_equal(parse_push("--in=36501d"), -EINVAL);
}

static void the_last_of_two_texts_counts(void **state)
{
    (void)state;
    assert_int_equal(
        parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("--class=A", "--class=B::C")),
        0);
    assert_string_equal(parsed.options.class_name, "B::C");
    assert_string_equal(described("class"), "B::C");
    assert_null(parsed.options.args);
    assert_int_equal(parse_push("--class="), -EINVAL);
    assert_string_equal(parsed.error.message,
                        "--class: found '', expected NAME");
}

static void queues_keep_their_order(void **state)
{
    (void)state;
    assert_parses("--queue", "b", "--queue=a", "--queue", "queue:c");
    assert_int_equal(parsed.options.queues.count, 3);
    assert_string_equal(parsed.options.queues.items[2].key, "queue:c");
    assert_string_equal(described("queue"), "b,a,queue:c");
}

static void queues_may_have_weights(void **state)
{
    (void)state;
    assert_parses("--queue=a=1000", "--queue", "b=c=1");
    assert_int_equal(parsed.options.queues.items[0].weight, 1000);
    assert_string_equal(parsed.options.queues.items[1].key, "b=c");
    assert_int_equal(parsed.options.queues.items[1].weight, 1);
    assert_string_equal(described("queue"), "a=1000,b=c=1");
}

static void a_bad_weight_is_refused(void **state)
{
    (void)state;
    const char *const values[] = {"a=0", "a=1001", "a=", "a=b", "=1", ""};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(parse("--queue", values[i]), -EINVAL);
        assert_non_null(strstr(parsed.error.message, "from 1 to 1000"));
    }
}

static void weighted_and_unweighted_queues_do_not_mix(void **state)
{
    (void)state;
    assert_complains("--queue: found 'b=1', expected no weight, as the queues "
                     "before it have none",
                     "--queue=a", "--queue=b=1");
    assert_complains("--queue: found 'b', expected KEY=WEIGHT, as the queues "
                     "before it have weights",
                     "--queue=a=1", "--queue=b");
}

static void a_queue_may_not_be_twice(void **state)
{
    (void)state;
    assert_complains("--queue: found 'a', expected each queue only once",
                     "--queue=a", "--queue=b", "--queue=a");
    assert_complains("--queue: found 'a=2', expected each queue only once",
                     "--queue=a=1", "--queue=a=2");
}

static void assert_handler(const char *text, const char *class_name,
                           const char *spec)
{
    assert_parses("--handler", text);
    assert_int_equal(parsed.options.handlers.count, 1);
    const struct options_handler *handler = parsed.options.handlers.items;
    assert_string_equal(handler->spec, spec);
    assert_int_equal(!handler->class_name, !class_name);
    if (class_name)
        assert_string_equal(handler->class_name, class_name);
}

static void a_class_is_split_from_its_handler(void **state)
{
    (void)state;
    assert_handler("Mail=noop", "Mail", "noop");
    assert_handler("App::Mail_2::Job=noop", "App::Mail_2::Job", "noop");
    assert_handler("A=http://x/?a=b", "A", "http://x/?a=b");
    assert_handler("A=b=c", "A", "b=c");
}

static void an_equals_sign_may_belong_to_the_handler(void **state)
{
    (void)state;
    const char *const specs[] = {
        "noop",          "http://x/?a=b",  "exec:/bin/env A=b",
        "exec:a=b",      "A:::b=c",        "::a=b",
        "a::=b",         "unix:/s:/p?a=b", "a-b=c",
        "plugin:./a.so",
    };
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
        assert_handler(specs[i], NULL, specs[i]);
}

static void an_empty_handler_is_refused(void **state)
{
    (void)state;
    assert_complains("--handler: found '', expected [CLASS=]SPEC",
                     "--handler=");
    assert_complains("--handler: found 'A=', expected [CLASS=]SPEC",
                     "--handler=A=");
    assert_complains("--handler: found '=', expected [CLASS=]SPEC",
                     "--handler==noop");
}

static void a_class_may_not_be_twice(void **state)
{
    (void)state;
    assert_complains("--handler: found two handlers for class A, expected one",
                     "--handler=A=noop", "--handler=noop", "--handler=A=sleep");
    assert_complains(
        "--handler: found two handlers without a class, expected one",
        "--handler=noop", "--handler=sleep");
}

static void a_switch_needs_no_value_and_takes_none_that_follows(void **state)
{
    (void)state;
    assert_parses("--embedded-redis", "x");
    assert_true(parsed.options.embedded_redis.on);
    assert_null(parsed.options.embedded_redis.text);
    assert_int_equal(parsed.options.narguments, 1);
    assert_string_equal(described("embedded-redis"), "yes");
}

static void a_switch_may_have_a_value(void **state)
{
    (void)state;
    assert_parses("--embedded-redis=/var/lib/x");
    assert_true(parsed.options.embedded_redis.on);
    assert_string_equal(parsed.options.embedded_redis.text, "/var/lib/x");
    assert_string_equal(described("embedded-redis"), "/var/lib/x");
    assert_complains("--embedded-redis: found '', expected DIR",
                     "--embedded-redis=");
}

static void a_switch_can_be_turned_off_again(void **state)
{
    (void)state;
    setenv("CORQ_EMBEDDED_REDIS", "1", 1);
    assert_int_equal(parse_none(), 0);
    assert_true(parsed.options.embedded_redis.on);
    assert_parses("--embedded-redis=no");
    assert_false(parsed.options.embedded_redis.on);
}

static void a_bad_url_is_refused_without_its_password(void **state)
{
    (void)state;
    assert_complains("--redis: found the database 'x', expected a whole number "
                     "from 0 to 2147483647",
                     "--redis=redis://:hunter2@h/x");
    assert_int_equal(parse("--redis", "redis://:hunter2"), -EINVAL);
    assert_null(strstr(parsed.error.message, "hunter2"));
    assert_null(strstr(parsed.argv[1], "hunter2"));
}

static void a_description_masks_credentials(void **state)
{
    (void)state;
    assert_parses("--redis=redis://ann:hunter2@h", "--handler",
                  "http://ann:hunter2@h/x", "--handler=A=exec:/a http://b c@d");
    assert_string_equal(described("redis"), "redis://ann:***@h:6379/0");
    assert_string_equal(described("handler"),
                        "http://***@h/x,A=exec:/a http://b c@d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bad_number_is_refused_with_its_bounds),
        TEST(what_was_found_is_quoted_harmlessly),
        TEST(durations_are_read),
        TEST(only_waiting_for_redis_may_last_forever),
        TEST(sizes_are_read_within_bounds),
        TEST(words_are_read),
        TEST(an_unknown_word_is_refused_with_the_nearest),
        TEST(a_lease_has_bounds),
        TEST(retries_are_counted_up_to_a_thousand),
        TEST(a_retry_delay_is_read),
        TEST(the_last_retry_delay_counts_as_a_whole),
        TEST(a_bad_retry_delay_is_refused),
        TEST(a_time_is_read),
        TEST(a_bad_time_is_refused),
        TEST(the_last_of_two_texts_counts),
        TEST(queues_keep_their_order),
        TEST(queues_may_have_weights),
        TEST(a_bad_weight_is_refused),
        TEST(weighted_and_unweighted_queues_do_not_mix),
        TEST(a_queue_may_not_be_twice),
        TEST(a_class_is_split_from_its_handler),
        TEST(an_equals_sign_may_belong_to_the_handler),
        TEST(an_empty_handler_is_refused),
        TEST(a_class_may_not_be_twice),
        TEST(a_switch_needs_no_value_and_takes_none_that_follows),
        TEST(a_switch_may_have_a_value),
        TEST(a_switch_can_be_turned_off_again),
        TEST(a_bad_url_is_refused_without_its_password),
        TEST(a_description_masks_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
