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
#include "worker/splice.h"

static struct splice_member set(const char *name, const char *value)
{
    return (struct splice_member){
        .name = name, .value = value, .value_len = value ? strlen(value) : 0};
}

static void assert_splices_all(const char *text,
                               const struct splice_member *members,
                               size_t nmembers, const char *expected)
{
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    coro_buf_append_char(&out, '>');
    assert_int_equal(splice(text, strlen(text), members, nmembers, &out), 0);
    assert_string_equal(out.data + 1, expected);
    coro_buf_release(&out);
}

static void assert_splices(const char *text, const char *name,
                           const char *value, const char *expected)
{
    struct splice_member member = set(name, value);
    assert_splices_all(text, &member, 1, expected);
}

/* --- setting -------------------------------------------------------------- */

static void a_member_gets_its_value_where_it_stands(void **state)
{
    (void)state;
    assert_splices("{\"a\":1,\"b\":[2],\"c\":3}", "b", "\"x\"",
                   "{\"a\":1,\"b\":\"x\",\"c\":3}");
    assert_splices("{\"a\":1}", "a", "{}", "{\"a\":{}}");
}

static void a_new_member_goes_before_the_closing_brace(void **state)
{
    (void)state;
    assert_splices("{\"a\":1}", "b", "2", "{\"a\":1,\"b\":2}");
    assert_splices(" { \"a\" : 1 } ", "b", "2", " { \"a\" : 1 ,\"b\":2} ");
}

static void an_empty_object_gets_its_first_member(void **state)
{
    (void)state;
    assert_splices("{}", "a", "1", "{\"a\":1}");
    assert_splices("\n{ }\n", "a", "1", "\n{ \"a\":1}\n");
}

static void new_members_come_in_the_order_given(void **state)
{
    (void)state;
    const struct splice_member members[] = {set("z", "1"), set("b", "2"),
                                            set("none", NULL), set("y", "3")};
    assert_splices_all("{\"a\":0,\"b\":0}", members, 4,
                       "{\"a\":0,\"b\":2,\"z\":1,\"y\":3}");
}

static void the_name_of_a_new_member_is_escaped(void **state)
{
    (void)state;
    assert_splices("{}", "a\"\xc3\xa9\n", "1", "{\"a\\\"\xc3\xa9\\n\":1}");
}

static void no_change_changes_nothing(void **state)
{
    (void)state;
    static const char text[] =
        "\t{ \"a\" :1,\"a\": 2 ,\"\\u0062\":[ { } ]\r\n} ";
    assert_splices_all(text, NULL, 0, text);
    assert_splices("{ }", "a", NULL, "{ }");
}

/* --- removing ------------------------------------------------------------- */

static void a_member_goes_with_one_comma(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1, \"b\":2 ,\"c\":3 }";
    assert_splices(text, "a", NULL, "{ \"b\":2 ,\"c\":3 }");
    assert_splices(text, "b", NULL, "{\"a\":1,\"c\":3 }");
    assert_splices(text, "c", NULL, "{\"a\":1, \"b\":2 }");
    assert_splices(text, "d", NULL, text);
}

static void the_only_member_leaves_an_empty_object(void **state)
{
    (void)state;
    assert_splices(" { \"a\" : 1 } ", "a", NULL, " {} ");
}

static void a_new_member_may_follow_the_last_one_removed(void **state)
{
    (void)state;
    const struct splice_member members[] = {set("a", NULL), set("b", "2")};
    assert_splices_all("{\"a\":1}", members, 2, "{\"b\":2}");
    assert_splices_all("{\"a\":1,\"c\":3}", members, 2, "{\"c\":3,\"b\":2}");
}

/* --- keys ----------------------------------------------------------------- */

static void of_equal_keys_only_the_last_is_left(void **state)
{
    (void)state;
    assert_splices("{\"a\":1,\"b\":2,\"a\":3,\"c\":4}", "a", "9",
                   "{\"b\":2,\"a\":9,\"c\":4}");
    assert_splices("{\"a\":1,\"a\":2,\"a\":3}", "a", NULL, "{}");
}

static void equal_keys_that_do_not_change_stay(void **state)
{
    (void)state;
    assert_splices("{\"a\":1,\"b\":2,\"a\":3}", "b", "9",
                   "{\"a\":1,\"b\":9,\"a\":3}");
}

static void a_key_is_known_however_it_is_escaped(void **state)
{
    (void)state;
    assert_splices("{\"cl\\u0061ss\":1,\"\\u0063lass\":2}", "class", "9",
                   "{\"\\u0063lass\":9}");
    assert_splices("{\"\\ud83d\\ude00\":1}", "\xf0\x9f\x98\x80", "2",
                   "{\"\\ud83d\\ude00\":2}");
}

static void members_of_members_are_left_alone(void **state)
{
    (void)state;
    assert_splices("{\"x\":{\"a\":1},\"y\":\"\\\"a\\\":1\"}", "a", "2",
                   "{\"x\":{\"a\":1},\"y\":\"\\\"a\\\":1\",\"a\":2}");
}

/* --- what survives -------------------------------------------------------- */

static void what_is_not_changed_survives_byte_for_byte(void **state)
{
    (void)state;
#define KEPT                                                             \
    "{ \"args\" : [1234567890123456789012345678901234567890, 1e999,\t"   \
    "0.10000000000000000000000000000000000001, -0 , \"\\/\\u0000\\ud83d" \
    "\\ude00\"]\n, \"\":{\"k\":1,\"k\":1.0}, \"unknown\":[[[{}]]] , "
    assert_splices(KEPT "\"n\":1 }", "n", "2", KEPT "\"n\":2 }");
#undef KEPT
}

static void nesting_may_be_as_deep_as_the_scanner_allows(void **state)
{
    (void)state;
    char text[2100], expected[2100];
    memset(text, 0, sizeof text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', 511);
    memset(text + 5 + 511, ']', 511);
    memcpy(expected, text, sizeof text);
    strcat(text, "}");
    strcat(expected, ",\"b\":1}");
    assert_splices(text, "b", "1", expected);
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    memcpy(text, "{\"a\":[", 6);
    memset(text + 5, '[', 512);
    memset(text + 5 + 512, ']', 512);
    memcpy(text + 5 + 1024, "}", 2);
    assert_int_equal(splice(text, strlen(text), NULL, 0, &out), -EINVAL);
    coro_buf_release(&out);
}

/* --- refusals ------------------------------------------------------------- */

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "5",
        "[{}]",
        "{",
        "{\"a\":1",
        "{\"a\":1}}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"\xff\":1}",
        "{\"\\u0000\":1}",
        "{\"a\":\"\\ud800\"}",
    };
    struct splice_member member = set("a", "2");
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    coro_buf_append_string(&out, "kept");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (splice(bad[i], strlen(bad[i]), &member, 1, &out) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(out.data, "kept");
    }
    assert_int_equal(splice("{}\0", 3, &member, 1, &out), -EINVAL);
    coro_buf_release(&out);
}

static void what_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1,\"b\":2}";
    const struct splice_member members[] = {set("b", "22"), set("c", "3")};
    size_t len = strlen("kept{\"a\":1,\"b\":22,\"c\":3}");
    for (size_t limit = 4; limit < len; limit++) {
        struct coro_buf out;
        coro_buf_init(&out, limit);
        coro_buf_append_string(&out, "kept");
        assert_int_equal(splice(text, strlen(text), members, 2, &out),
                         -EMSGSIZE);
        assert_string_equal(out.data, "kept");
        assert_true(out.failed);
        coro_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_gets_its_value_where_it_stands),
        cmocka_unit_test(a_new_member_goes_before_the_closing_brace),
        cmocka_unit_test(an_empty_object_gets_its_first_member),
        cmocka_unit_test(new_members_come_in_the_order_given),
        cmocka_unit_test(the_name_of_a_new_member_is_escaped),
        cmocka_unit_test(no_change_changes_nothing),
        cmocka_unit_test(a_member_goes_with_one_comma),
        cmocka_unit_test(the_only_member_leaves_an_empty_object),
        cmocka_unit_test(a_new_member_may_follow_the_last_one_removed),
        cmocka_unit_test(of_equal_keys_only_the_last_is_left),
        cmocka_unit_test(equal_keys_that_do_not_change_stay),
        cmocka_unit_test(a_key_is_known_however_it_is_escaped),
        cmocka_unit_test(members_of_members_are_left_alone),
        cmocka_unit_test(what_is_not_changed_survives_byte_for_byte),
        cmocka_unit_test(nesting_may_be_as_deep_as_the_scanner_allows),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(what_does_not_fit_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
