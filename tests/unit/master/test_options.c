#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/options.h"
#include "tests/unit/master/parse_options.h"

/* The same for a variable of the environment. */
#define assert_environment_complains(text, name, value)  \
    do {                                                 \
        setenv(name, value, 1);                          \
        assert_int_equal(parse_none(), -EINVAL);         \
        assert_string_equal(parsed.error.message, text); \
    } while (0)

static void everything_has_a_default(void **state)
{
    (void)state;
    assert_int_equal(parse_none(), 0);
    const struct options *options = &parsed.options;
    assert_string_equal(options->redis.host, "127.0.0.1");
    assert_int_equal(options->redis.port, 6379);
    assert_int_equal(options->queues.count, 1);
    assert_string_equal(options->queues.items[0].key, "queue");
    assert_int_equal(options->queues.items[0].weight, 0);
    assert_int_equal(options->handlers.count, 1);
    assert_null(options->handlers.items[0].class_name);
    assert_string_equal(options->handlers.items[0].spec, "sleep");
    assert_int_equal(options->concurrency, 256);
    assert_int_equal(options->delivery, OPTIONS_DELIVERY_AT_LEAST_ONCE);
    assert_int_equal(options->retry, 25);
    assert_int_equal(options->retry_delay.kind, OPTIONS_RETRY_DELAY_DEFAULT);
    assert_int_equal(options->lease_ms, 20000);
    assert_int_equal(options->shutdown_timeout_ms, 25000);
    assert_true(options->wait_redis_ms == CORO_NEVER);
    assert_int_equal(options->max_payload_bytes, 16 * 1024 * 1024);
    assert_int_equal(options->log_level, OPTIONS_LOG_LEVEL_INFO);
    assert_int_equal(options->log_format, OPTIONS_LOG_FORMAT_TEXT);
    assert_false(options->embedded_redis.on);
    assert_int_equal(options->narguments, 0);
    assert_null(options->arguments[0]);
}

static void every_default_is_described_as_written_in_the_table(void **state)
{
    (void)state;
    assert_int_equal(parse_none(), 0);
    for (size_t i = 0; i < options_count(); i++) {
        if (!options_spec(i)->fallback)
            continue;
        assert_string_equal(described(options_spec(i)->name),
                            options_spec(i)->fallback);
        assert_string_equal(source_of(options_spec(i)->name), "default");
    }
}

static void a_variable_is_named_after_its_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < options_count(); i++) {
        if (!options_spec(i)->environment)
            continue;
        char name[64];
        snprintf(name, sizeof(name), "CORQ_%s%s", options_spec(i)->name,
                 strcmp(options_spec(i)->name, "redis") ? "" : "_URL");
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        assert_string_equal(options_spec(i)->environment, name);
    }
}

static void a_value_follows_or_stands_behind_an_equals_sign(void **state)
{
    (void)state;
    assert_parses("--concurrency", "7");
    assert_int_equal(parsed.options.concurrency, 7);
    assert_parses("--concurrency=8");
    assert_int_equal(parsed.options.concurrency, 8);
}

static void the_last_of_two_values_counts(void **state)
{
    (void)state;
    assert_parses("--concurrency=7", "--concurrency=8", "--redis=redis://a",
                  "--redis=redis://b", "--embedded-redis=/a",
                  "--embedded-redis=/b");
    assert_int_equal(parsed.options.concurrency, 8);
    assert_string_equal(parsed.options.redis.host, "b");
    assert_string_equal(parsed.options.embedded_redis.text, "/b");
}

static void what_is_no_option_is_an_argument(void **state)
{
    (void)state;
    assert_parses("a", "--concurrency", "7", "-", "", "b");
    assert_int_equal(parsed.options.narguments, 4);
    assert_string_equal(parsed.options.arguments[0], "a");
    assert_string_equal(parsed.options.arguments[1], "-");
    assert_string_equal(parsed.options.arguments[2], "");
    assert_string_equal(parsed.options.arguments[3], "b");
    assert_null(parsed.options.arguments[4]);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_parses("--concurrency=7", "--", "--concurrency=8", "--", "-h");
    assert_int_equal(parsed.options.concurrency, 7);
    assert_int_equal(parsed.options.narguments, 3);
    assert_string_equal(parsed.options.arguments[0], "--concurrency=8");
    assert_string_equal(parsed.options.arguments[1], "--");
}

static void help_is_heard_anywhere(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), OPTIONS_HELP);
    assert_int_equal(parse("a", "-h"), OPTIONS_HELP);
    assert_int_equal(parse("--bogus", "--concurrency=x", "-h"), OPTIONS_HELP);
}

static void an_unknown_option_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_complains(
        "unknown option '--concurency'; did you mean '--concurrency'?",
        "--concurency", "4");
    assert_complains("unknown option '--Queue'; did you mean '--queue'?",
                     "--Queue=a");
}

static void an_option_unlike_all_is_refused_without_a_guess(void **state)
{
    (void)state;
    assert_complains("unknown option '--frobnicate'", "--frobnicate");
    assert_complains("unknown option '-x'; '--' ends the options", "-x");
}

static void the_value_of_an_unknown_option_is_not_repeated(void **state)
{
    (void)state;
    assert_complains("unknown option '--rediss'; did you mean '--redis'?",
                     "--rediss=redis://:hunter2@h");
}

static void an_overlong_option_is_cut(void **state)
{
    (void)state;
    char name[2000] = "--";
    memset(name + 2, 'x', sizeof(name) - 3);
    assert_int_equal(parse(name), -EINVAL);
    assert_true(strlen(parsed.error.message) < 100);
}

static void a_command_takes_only_its_options(void **state)
{
    (void)state;
    assert_int_equal(parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("--queue=a")),
                     -EINVAL);
    assert_string_equal(parsed.error.message,
                        "--queue: this command does not take it");
    assert_int_equal(parse_for(COMMAND_FLAG_NONE, ARGUMENTS("--redis=x")),
                     -EINVAL);
}

static void a_command_ignores_the_variables_of_others(void **state)
{
    (void)state;
    setenv("CORQ_CONCURRENCY", "abc", 1);
    assert_int_equal(parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("a")), 0);
    assert_int_equal(parsed.options.concurrency, 256);
}

static void what_describes_one_job_is_not_in_the_environment(void **state)
{
    (void)state;
    const char *const names[] = {"class", "args", "in", "at"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct option_spec *spec = options_spec(index_of(names[i]));
        assert_null(spec->environment);
        assert_null(spec->fallback);
        assert_int_equal(spec->commands, COMMAND_FLAG_PUSH);
    }
}

static void what_was_on_the_command_line_is_known(void **state)
{
    (void)state;
    const struct options *options = &parsed.options;
    setenv("CORQ_RETRY", "3", 1);
    assert_int_equal(parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("--in=0")), 0);
    assert_true(options_is_on_command_line(options, &options->in_ms));
    assert_false(options_is_on_command_line(options, &options->at_us));
    assert_false(options_is_on_command_line(options, &options->retry));
    assert_int_equal(parse_for(COMMAND_FLAG_PUSH, ARGUMENTS("--retry=25")), 0);
    assert_true(options_is_on_command_line(options, &options->retry));
    assert_false(options_is_on_command_line(options, &options->arguments));
}

static void a_missing_value_is_refused(void **state)
{
    (void)state;
    assert_complains("--concurrency: found no value, expected N",
                     "--concurrency");
    assert_complains("--queue: found no value, expected KEY[=WEIGHT]",
                     "--queue", "--handler", "noop");
}

static void the_environment_goes_before_the_default(void **state)
{
    (void)state;
    setenv("CORQ_REDIS_URL", "redis://r:1/2", 1);
    setenv("CORQ_SHUTDOWN_TIMEOUT", "5", 1);
    assert_int_equal(parse_none(), 0);
    assert_string_equal(described("redis"), "redis://r:1/2");
    assert_int_equal(parsed.options.shutdown_timeout_ms, 5000);
    assert_string_equal(source_of("redis"), "environment");
    assert_string_equal(source_of("queue"), "default");
}

static void the_command_line_goes_before_the_environment(void **state)
{
    (void)state;
    setenv("CORQ_CONCURRENCY", "5", 1);
    assert_parses("--concurrency=6");
    assert_int_equal(parsed.options.concurrency, 6);
    assert_string_equal(source_of("concurrency"), "command line");
}

static void a_list_in_the_environment_is_separated_by_commas(void **state)
{
    (void)state;
    setenv("CORQ_QUEUE", "a=5,b=1", 1);
    setenv("CORQ_HANDLER", "noop,A=http://x/?a=1\\,2", 1);
    assert_int_equal(parse_none(), 0);
    assert_int_equal(parsed.options.queues.count, 2);
    assert_int_equal(parsed.options.queues.items[0].weight, 5);
    assert_int_equal(parsed.options.handlers.count, 2);
    assert_string_equal(parsed.options.handlers.items[1].spec,
                        "http://x/?a=1,2");
}

static void a_list_on_the_command_line_replaces_the_environments(void **state)
{
    (void)state;
    setenv("CORQ_QUEUE", "a=5,b=1", 1);
    assert_parses("--queue=c", "--queue=d");
    assert_string_equal(described("queue"), "c,d");
}

static void an_empty_variable_counts_as_unset(void **state)
{
    (void)state;
    setenv("CORQ_CONCURRENCY", "", 1);
    setenv("CORQ_QUEUE", "", 1);
    assert_int_equal(parse_none(), 0);
    assert_string_equal(source_of("concurrency"), "default");
    assert_string_equal(described("queue"), "queue");
}

static void a_bad_variable_is_refused_by_its_name(void **state)
{
    (void)state;
    assert_environment_complains("CORQ_CONCURRENCY: found 'abc', expected a "
                                 "whole number from 1 to 1000000",
                                 "CORQ_CONCURRENCY", "abc");
    unsetenv("CORQ_CONCURRENCY");
    assert_environment_complains("CORQ_QUEUE: found '', expected KEY or "
                                 "KEY=WEIGHT with a weight from 1 to 1000",
                                 "CORQ_QUEUE", "a,");
}

static void credentials_are_wiped_from_the_arguments(void **state)
{
    (void)state;
    assert_parses("--redis", "redis://ann:hunter2@h/1",
                  "--redis=unix://:hunter2@/s", "--handler",
                  "A=http://ann:hunter2@h/?x=@");
    assert_string_equal(parsed.argv[1], "redis://***********@h/1");
    assert_string_equal(parsed.argv[2], "--redis=unix://********@/s");
    assert_string_equal(parsed.argv[4], "A=http://***********@h/?x=@");
    assert_string_equal(parsed.options.redis.password, "hunter2");
    assert_string_equal(parsed.options.handlers.items[0].spec,
                        "http://ann:hunter2@h/?x=@");
}

static void a_failed_parse_leaves_the_result_alone(void **state)
{
    (void)state;
    struct options options = {.concurrency = 4711};
    struct options_error error;
    char bad[] = "--bogus";
    char *argv[] = {bad};
    assert_int_equal(options_parse(&options, COMMAND_FLAG_RUN, 1, argv, &error),
                     -EINVAL);
    assert_int_equal(options.concurrency, 4711);
}

static void releasing_twice_or_nothing_is_fine(void **state)
{
    (void)state;
    assert_int_equal(parse_none(), 0);
    options_release(&parsed.options);
    options_release(&parsed.options);
    options_release(NULL);
}

static void random_arguments_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "--queue=",
        "--handler=",
        "--redis=redis://",
        "--wait-redis=",
        "--max-payload",
        "--",
        "a=1,b",
        "",
        "A::B=x",
        ":p@h",
        "\\,",
        "=",
    };
    unsigned seed = 5;
    for (int round = 0; round < 20000; round++) {
        char texts[3][64];
        for (size_t i = 0; i < 3; i++)
            snprintf(texts[i], sizeof(texts[i]), "%s%s%c",
                     words[rand_r(&seed) % 12], words[rand_r(&seed) % 12],
                     rand_r(&seed) % 256);
        setenv("CORQ_HANDLER", texts[2], 1);
        if (parse(texts[0], texts[1]) == 0)
            assert_true(parsed.options.queues.count > 0);
        else if (parsed.status < 0)
            assert_true(strlen(parsed.error.message) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_has_a_default),
        TEST(every_default_is_described_as_written_in_the_table),
        TEST(a_variable_is_named_after_its_option),
        TEST(a_value_follows_or_stands_behind_an_equals_sign),
        TEST(the_last_of_two_values_counts),
        TEST(what_is_no_option_is_an_argument),
        TEST(two_dashes_end_the_options),
        TEST(help_is_heard_anywhere),
        TEST(an_unknown_option_is_refused_with_the_nearest),
        TEST(an_option_unlike_all_is_refused_without_a_guess),
        TEST(the_value_of_an_unknown_option_is_not_repeated),
        TEST(an_overlong_option_is_cut),
        TEST(a_command_takes_only_its_options),
        TEST(a_command_ignores_the_variables_of_others),
        TEST(what_describes_one_job_is_not_in_the_environment),
        TEST(what_was_on_the_command_line_is_known),
        TEST(a_missing_value_is_refused),
        TEST(the_environment_goes_before_the_default),
        TEST(the_command_line_goes_before_the_environment),
        TEST(a_list_in_the_environment_is_separated_by_commas),
        TEST(a_list_on_the_command_line_replaces_the_environments),
        TEST(an_empty_variable_counts_as_unset),
        TEST(a_bad_variable_is_refused_by_its_name),
        TEST(credentials_are_wiped_from_the_arguments),
        TEST(a_failed_parse_leaves_the_result_alone),
        TEST(releasing_twice_or_nothing_is_fine),
        TEST(random_arguments_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
