#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "worker/scan.h"

static int scan_text(const char *text, struct scan_result *ret)
{
    return scan_job(text, strlen(text), ret);
}

static void assert_range(struct scan_range range, const char *expected)
{
    assert_non_null(range.at);
    assert_int_equal(range.len, strlen(expected));
    assert_memory_equal(range.at, expected, range.len);
}

static void the_members_are_found_as_written(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(
        scan_text(" {\"class\" : \"Send\", \"args\":[ 12345678901234567890 ,"
                  " [2]],\"jid\":\"ab\",\"retry\":false,\"queue\":\"low\","
                  "\"at\":1.5e3}\n",
                  &job),
        0);
    assert_range(job.class, "\"Send\"");
    assert_range(job.args, "[ 12345678901234567890 , [2]]");
    assert_range(job.first_arg, "12345678901234567890");
    assert_range(job.jid, "\"ab\"");
    assert_range(job.retry, "false");
    assert_range(job.queue, "\"low\"");
}

static void members_that_are_not_there_are_null(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"class\":\"\"}", &job), 0);
    assert_range(job.class, "\"\"");
    assert_null(job.args.at);
    assert_null(job.first_arg.at);
    assert_null(job.jid.at);
    assert_null(job.retry.at);
    assert_null(job.queue.at);
}

static void only_members_of_the_top_level_count(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"a\":{\"class\":\"inner\"}}", &job), 1);
    assert_int_equal(
        scan_text("{\"class\":\"x\",\"a\":{\"class\":1,\"jid\":2}}", &job), 0);
    assert_range(job.class, "\"x\"");
    assert_null(job.jid.at);
}

static void the_last_of_equal_keys_wins(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"class\":1,\"args\":[7],\"class\":\"b\","
                               "\"args\":[]}",
                               &job),
                     0);
    assert_range(job.class, "\"b\"");
    assert_range(job.args, "[]");
    assert_null(job.first_arg.at);
    assert_int_equal(scan_text("{\"class\":\"b\",\"class\":1}", &job), 1);
}

static void a_key_may_be_written_with_escapes(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"cl\\u0061ss\":\"x\"}", &job), 0);
    assert_range(job.class, "\"x\"");
    assert_int_equal(scan_text("{\"cl\\u0161ss\":\"x\"}", &job), 1);
    assert_int_equal(scan_text("{\"class\\u0020\":\"x\"}", &job), 1);
}

static void a_raw_job_leaves_the_result_alone(void **state)
{
    (void)state;
    struct scan_result job = {.class = {.at = "mine", .len = 4}};
    assert_int_equal(scan_text("{\"class\":\"x\"}}", &job), 1);
    assert_string_equal(job.class.at, "mine");
}

static void other_payloads_are_raw(void **state)
{
    (void)state;
    static const char *const raw[] = {
        "",
        "5",
        "abc",
        " ",
        "{",
        "{}",
        "null",
        "[{\"class\":\"x\"}]",
        "{\"class\":null}",
        "{\"class\":[\"x\"]}",
        "{\"Class\":\"x\"}",
        "{\"class\":\"x\"",
        "{\"class\":\"x\",}",
        "{\"class\":\"x\"}x",
        "{,\"class\":\"x\"}",
        "{\"class\" \"x\"}",
        "{\"class\":\"x\" \"a\":1}",
        "{\"class\":\"x\ty\"}",
        "{'class':'x'}",
        "{\"class\":\"x\",\"a\":01}",
        "{\"class\":\"x\",\"a\":1.}",
        "{\"class\":\"x\",\"a\":.5}",
        "{\"class\":\"x\",\"a\":+1}",
        "{\"class\":\"x\",\"a\":-}",
        "{\"class\":\"x\",\"a\":1e}",
        "{\"class\":\"x\",\"a\":nul}",
        "{\"class\":\"x\",\"a\":truer}",
        "{\"class\":\"x\",\"a\":[1,]}",
        "{\"class\":\"x\",\"a\":[,1]}",
        "{\"class\":\"x\",\"a\":[1}}",
        "{\"class\":\"x\",\"a\":{\"b\":1]}",
        "{\"class\":\"x\",\"a\":\"\\x\"}",
        "{\"class\":\"x\",\"a\":\"\\u12g4\"}",
        "{\"class\":\"x\",\"a\":\"\\ud800\"}",
        "{\"class\":\"x\",\"a\":\"\\udc00\"}",
        "{\"class\":\"x\",\"a\":\"\\ud800\\u0041\"}",
        "{\"class\":\"x\",\"\\u0000\":1}",
        "{\"class\":\"\xff\"}",
        "{\"class\":\"\xed\xa0\x80\"}",
        "\xef\xbb\xbf{\"class\":\"x\"}",
        "{\"class\":\"x\"}\xc3\xa9",
    };
    struct scan_result job;
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
        if (scan_text(raw[i], &job) != 1)
            fail_msg("taken for a described job: %s", raw[i]);
}

static void a_zero_byte_after_the_object_makes_it_raw(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_job("{\"class\":\"x\"}\0", 14, &job), 1);
    assert_int_equal(scan_job("{\"class\":\"x\"}\0", 13, &job), 0);
}

/* A job whose args are @depth arrays within each other. */
static void write_nested(struct coro_buf *out, unsigned depth)
{
    coro_buf_clear(out);
    coro_buf_append_string(out, "{\"class\":\"x\",\"args\":");
    for (unsigned i = 0; i < depth; i++)
        coro_buf_append_string(out, i % 3 ? "[" : "{\"a\":");
    coro_buf_append_char(out, '0');
    for (unsigned i = depth; i-- > 0;)
        coro_buf_append_char(out, i % 3 ? ']' : '}');
    coro_buf_append_char(out, '}');
}

static void nesting_is_allowed_to_its_limit(void **state)
{
    (void)state;
    struct scan_result job;
    struct coro_buf text;
    coro_buf_init(&text, CORO_BUF_NO_LIMIT);
    write_nested(&text, SCAN_MAX_DEPTH - 1);
    assert_int_equal(scan_job(text.data, text.len, &job), 0);
    write_nested(&text, SCAN_MAX_DEPTH);
    assert_int_equal(scan_job(text.data, text.len, &job), 1);
    write_nested(&text, 1000000);
    assert_int_equal(scan_job(text.data, text.len, &job), 1);
    coro_buf_release(&text);
}

static void strings_are_decoded(void **state)
{
    (void)state;
    struct scan_result job;
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    coro_buf_append_char(&out, '>');
    assert_int_equal(scan_text("{\"class\":\"a\\n\\\"\\/\\u00e9\\ud83d\\ude00"
                               "\\u0000\xc3\xa9\\\\\"}",
                               &job),
                     0);
    assert_int_equal(scan_string_decode(job.class, &out), 0);
    const char expected[] = ">a\n\"/\xc3\xa9\xf0\x9f\x98\x80\0\xc3\xa9\\";
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.len);
    coro_buf_release(&out);
}

static void only_strings_are_decoded(void **state)
{
    (void)state;
    struct coro_buf out;
    coro_buf_init(&out, 3);
    struct scan_range absent = {0};
    struct scan_range number = {.at = "12", .len = 2};
    struct scan_range longer = {.at = "\"ab\\ncd\"", .len = 8};
    assert_int_equal(scan_string_decode(absent, &out), -EINVAL);
    assert_int_equal(scan_string_decode(number, &out), -EINVAL);
    assert_int_equal(scan_string_decode(longer, &out), -EMSGSIZE);
    assert_int_equal(out.len, 0);
    coro_buf_release(&out);
}

static void numbers_may_have_any_length(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"class\":\"x\",\"args\":[1e999,"
                               "123456789012345678901234567890]}",
                               &job),
                     0);
    assert_range(job.first_arg, "1e999");
}

/* --- envelopes ------------------------------------------------------------ */

static void an_object_corq_without_a_class_is_an_envelope(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"jid\":\"a\",\"corq\":{\"key\":1}}", &job),
                     SCAN_ENVELOPE);
    assert_range(job.corq, "{\"key\":1}");
    assert_range(job.jid, "\"a\"");
    assert_int_equal(scan_text("{\"class\":5,\"c\\u006frq\":{}}", &job),
                     SCAN_ENVELOPE);
}

static void a_class_makes_a_described_job_of_an_envelope(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"corq\":{},\"class\":\"\"}", &job),
                     SCAN_DESCRIBED);
    assert_range(job.corq, "{}");
}

static void another_kind_of_corq_is_no_envelope(void **state)
{
    (void)state;
    struct scan_result job;
    assert_int_equal(scan_text("{\"corq\":[]}", &job), SCAN_RAW);
    assert_int_equal(scan_text("{\"corq\":\"{}\"}", &job), SCAN_RAW);
    assert_int_equal(scan_text("{\"a\":{\"corq\":{}}}", &job), SCAN_RAW);
    assert_int_equal(scan_text("{\"corq\":{},\"corq\":1}", &job), SCAN_RAW);
    assert_int_equal(scan_text("{\"corq\":{}},", &job), SCAN_RAW);
}

/* --- any member ----------------------------------------------------------- */

static int find_text(const char *text, struct scan_wanted *wanted, size_t n)
{
    return scan_find(text, strlen(text), wanted, n);
}

static void any_members_are_found_in_one_pass(void **state)
{
    (void)state;
    static const char big[] = "1234567890123456789012345678901234567890";
    struct scan_wanted wanted[] = {
        {.name = "a_rather_long_name"}, {.name = "n"}, {.name = "none"}};
    assert_int_equal(
        find_text("{\"n\":1234567890123456789012345678901234567890,"
                  "\"a_rather_long_name\" : [ ] , \"nonesuch\":1}",
                  wanted, 3),
        0);
    assert_range(wanted[0].value, "[ ]");
    assert_range(wanted[1].value, big);
    assert_null(wanted[2].value.at);
}

static void a_name_is_found_however_its_key_is_escaped(void **state)
{
    (void)state;
    struct scan_wanted wanted[] = {{.name = "retry_count"},
                                   {.name = "\xc3\xa9/\xf0\x9f\x98\x80\""}};
    assert_int_equal(find_text("{\"retry\\u005fcoun\\u0074\":1,"
                               "\"\\u00e9\\/\\ud83d\\ude00\\\"\":2}",
                               wanted, 2),
                     0);
    assert_range(wanted[0].value, "1");
    assert_range(wanted[1].value, "2");
}

static void a_part_of_a_key_is_not_the_key(void **state)
{
    (void)state;
    struct scan_wanted wanted[] = {{.name = "retry"}, {.name = "\xc3\xa9"}};
    assert_int_equal(
        find_text("{\"retry_count\":1,\"retr\":2,\"retry\\u0020\":3,"
                  "\"\":4,\"\\u00ea\":5,\"\xc3\xa9\xc3\xa9\":6}",
                  wanted, 2),
        0);
    assert_null(wanted[0].value.at);
    assert_null(wanted[1].value.at);
}

static void the_empty_name_is_a_name(void **state)
{
    (void)state;
    struct scan_wanted wanted = {.name = ""};
    assert_int_equal(find_text("{\"a\":1,\"\":2}", &wanted, 1), 0);
    assert_range(wanted.value, "2");
    assert_int_equal(find_text("{\"a\":1,\"\\n\":2}", &wanted, 1), 0);
    assert_null(wanted.value.at);
}

static void the_last_of_equal_keys_is_found(void **state)
{
    (void)state;
    struct scan_wanted wanted = {.name = "dead"};
    assert_int_equal(
        find_text("{\"dead\":1,\"\\u0064ead\":2,\"a\":3}", &wanted, 1), 0);
    assert_range(wanted.value, "2");
}

static void an_empty_object_has_no_members(void **state)
{
    (void)state;
    struct scan_wanted wanted = {.name = "a", .value = {.at = "x", .len = 1}};
    assert_int_equal(find_text(" {\t} ", &wanted, 1), 0);
    assert_null(wanted.value.at);
}

static void nothing_is_found_in_what_is_no_object(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "5",   "[1]",     "{\"a\":1",     "{\"a\":1}x",
        "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":1}\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct scan_wanted wanted = {.name = "a"};
        assert_int_equal(find_text(bad[i], &wanted, 1), 1);
        assert_null(wanted.value.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_members_are_found_as_written),
        cmocka_unit_test(members_that_are_not_there_are_null),
        cmocka_unit_test(only_members_of_the_top_level_count),
        cmocka_unit_test(the_last_of_equal_keys_wins),
        cmocka_unit_test(a_key_may_be_written_with_escapes),
        cmocka_unit_test(a_raw_job_leaves_the_result_alone),
        cmocka_unit_test(other_payloads_are_raw),
        cmocka_unit_test(a_zero_byte_after_the_object_makes_it_raw),
        cmocka_unit_test(nesting_is_allowed_to_its_limit),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(only_strings_are_decoded),
        cmocka_unit_test(numbers_may_have_any_length),
        cmocka_unit_test(an_object_corq_without_a_class_is_an_envelope),
        cmocka_unit_test(a_class_makes_a_described_job_of_an_envelope),
        cmocka_unit_test(another_kind_of_corq_is_no_envelope),
        cmocka_unit_test(any_members_are_found_in_one_pass),
        cmocka_unit_test(a_name_is_found_however_its_key_is_escaped),
        cmocka_unit_test(a_part_of_a_key_is_not_the_key),
        cmocka_unit_test(the_empty_name_is_a_name),
        cmocka_unit_test(the_last_of_equal_keys_is_found),
        cmocka_unit_test(an_empty_object_has_no_members),
        cmocka_unit_test(nothing_is_found_in_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
