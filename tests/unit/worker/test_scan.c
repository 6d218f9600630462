#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "coro/base/buf.h"
#include "coro/base/random.h"
#include "worker/scan.h"

#define JANSSON_FLAGS (JSON_ALLOW_NUL | JSON_DECODE_ANY)

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

/* The same value? Numbers of ours may be longer than Jansson's. */
static bool is_same_value(struct scan_range range, const json_t *value)
{
    if (!range.at || !value)
        return !range.at && !value;
    json_t *ours = json_loadb(range.at, range.len, JANSSON_FLAGS, NULL);
    bool same = ours && json_equal(ours, value);
    json_decref(ours);
    return same;
}

static bool is_same_class(struct scan_range range, const json_t *value)
{
    struct coro_buf text;
    coro_buf_init(&text, CORO_BUF_NO_LIMIT);
    bool same = scan_string_decode(range, &text) == 0 &&
                text.len == json_string_length(value) &&
                memcmp(text.data, json_string_value(value), text.len) == 0;
    coro_buf_release(&text);
    return same;
}

static bool finds_the_same(const struct scan_result *job, const json_t *root)
{
    const json_t *args = json_object_get(root, "args");
    return is_same_class(job->class, json_object_get(root, "class")) &&
           is_same_value(job->args, args) &&
           is_same_value(job->first_arg, json_array_get(args, 0)) &&
           is_same_value(job->jid, json_object_get(root, "jid")) &&
           is_same_value(job->retry, json_object_get(root, "retry")) &&
           is_same_value(job->queue, json_object_get(root, "queue"));
}

/*
 * Do both say the same of these bytes? Jansson may refuse a number for its
 * size, which we do not look at. It also overlooks a zero byte after a number
 * or a word, where we have to refuse it.
 */
static bool agrees_with_jansson(const char *bytes, size_t len)
{
    json_error_t error;
    struct scan_result job;
    int status = scan_job(bytes, len, &job);
    if (memchr(bytes, '\0', len))
        return status == 1;
    json_t *root = json_loadb(bytes, len, JANSSON_FLAGS, &error);
    bool agrees;
    if (!root)
        agrees = status == 1 ||
                 json_error_code(&error) == json_error_numeric_overflow;
    else if (json_is_string(json_object_get(root, "class")))
        agrees = status == 0 && finds_the_same(&job, root);
    else
        agrees = status == 1;
    json_decref(root);
    return agrees;
}

static const char *const corpus[] = {
    "{\"class\":\"Hard\",\"args\":[1,\"two\",null],\"jid\":\"0123\"}",
    "{\"retry\":5,\"queue\":\"default\",\"class\":\"A::B\",\"args\":[]}",
    "{ \"class\" : \"x\" , \"args\" : [ [ ] , { } , { \"a\" : [ 1 ] } ] }",
    "{\"class\":\"\\u00e9\\ud83d\\ude00\\n\\t\\\"\\\\\",\"jid\":\"\\u0000\"}",
    "{\"class\":\"x\",\"args\":[-0.5e+10,0,-1,1E5,true,false,null]}",
    "{\"class\":\"a\",\"class\":\"b\",\"args\":[1],\"args\":{\"0\":1}}",
    "{\"class\":\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\",\"retry\":true}",
    "{\"a\":[[[[[[{\"b\":{\"c\":[{}]}}]]]]]],\"class\":\"deep\"}",
    "{\"cl\\u0061ss\":\"x\",\"ar\\u0067s\":[\"\\u0041\"],\"q\":\"\"}",
    "[1,{\"class\":\"x\"}]",
    "\"class\"",
};

/* What mutations put in: bytes that mean something to a scanner of JSON. */
static const char spice[] = "{}[]\":,\\u0dD8ctfn-+.eE1 \t\n\x01\x7f\xc3\xa9\xed"
                            "\xa0\xf4\x80\xff";

/* Changes, removes, repeats or moves a few bytes; returns the new length. */
static size_t mutate(struct coro_rng *rng, char *text, size_t len, size_t size)
{
    for (uint64_t n = 1 + coro_rng_below(rng, 3); n > 0 && len > 1; n--) {
        size_t at = (size_t)coro_rng_below(rng, len);
        size_t from = (size_t)coro_rng_below(rng, len);
        char byte = spice[coro_rng_below(rng, sizeof(spice))];
        switch (coro_rng_below(rng, 4)) {
        case 0:
            text[at] = byte;
            break;
        case 1:
            memmove(text + at, text + at + 1, --len - at);
            break;
        case 2:
            if (len == size)
                break;
            memmove(text + at + 1, text + at, len++ - at);
            text[at] = byte;
            break;
        default:
            text[at] = text[from];
            break;
        }
    }
    return len;
}

/* A copy whose end AddressSanitizer watches. */
static bool exact_copy_agrees(const char *text, size_t len)
{
    char *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    bool agrees = agrees_with_jansson(copy, len);
    free(copy);
    return agrees;
}

static void it_agrees_with_jansson_on_the_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        size_t len = strlen(corpus[i]);
        for (size_t cut = 1; cut <= len; cut++)
            if (!exact_copy_agrees(corpus[i], cut))
                fail_msg("not on %.*s", (int)cut, corpus[i]);
    }
}

static void it_agrees_with_jansson_on_mutations(void **state)
{
    (void)state;
    struct coro_rng rng;
    coro_rng_init(&rng, 20240905);
    unsigned ndescribed = 0;
    for (int round = 0; round < 60000; round++) {
        char text[256];
        size_t pick = (size_t)coro_rng_below(&rng, 11);
        size_t len = strlen(corpus[pick]);
        memcpy(text, corpus[pick], len);
        len = mutate(&rng, text, len, sizeof(text));
        if (!exact_copy_agrees(text, len))
            fail_msg("round %d, not on %.*s", round, (int)len, text);
        struct scan_result job;
        ndescribed += scan_job(text, len, &job) == 0;
    }
    /* Both answers were seen often, or this would have shown little. */
    assert_in_range(ndescribed, 5000, 55000);
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
        cmocka_unit_test(it_agrees_with_jansson_on_the_corpus),
        cmocka_unit_test(it_agrees_with_jansson_on_mutations),
        cmocka_unit_test(numbers_may_have_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
