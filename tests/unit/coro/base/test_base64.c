#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/base64.h"
#include "coro/base/buf.h"
#include "coro/base/random.h"

static void check_text(const char *bytes, const char *text)
{
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    assert_int_equal(coro_base64_encode(&out, bytes, strlen(bytes)), 0);
    assert_string_equal(out.data, text);
    coro_buf_clear(&out);
    assert_int_equal(coro_base64_decode(&out, text, strlen(text)), 0);
    assert_string_equal(out.data, bytes);
    coro_buf_release(&out);
}

static void the_examples_of_the_standard_hold(void **state)
{
    (void)state;
    check_text("", "");
    check_text("f", "Zg==");
    check_text("fo", "Zm8=");
    check_text("foo", "Zm9v");
    check_text("foob", "Zm9vYg==");
    check_text("fooba", "Zm9vYmE=");
    check_text("foobar", "Zm9vYmFy");
    check_text("\xfb\xff\xbf", "+/+/");
}

static void random_bytes_come_back_exactly(void **state)
{
    (void)state;
    struct coro_rng rng;
    coro_rng_init(&rng, 64);
    struct coro_buf text;
    struct coro_buf back;
    coro_buf_init(&text, CORO_BUF_NO_LIMIT);
    coro_buf_init(&back, CORO_BUF_NO_LIMIT);
    for (size_t len = 0; len < 300; len++) {
        unsigned char bytes[300];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (unsigned char)coro_rng_next(&rng);
        coro_buf_clear(&text);
        coro_buf_clear(&back);
        assert_int_equal(coro_base64_encode(&text, bytes, len), 0);
        assert_int_equal(coro_base64_decode(&back, text.data, text.len), 0);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, bytes, len);
    }
    coro_buf_release(&text);
    coro_buf_release(&back);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",        "Zg",   "Zg=",   "Zg===", "Z===",   "====",
        "Zh==",     "Zm9=", "Zm9\n", "Zm 9v", "Zm9v\n", "Zg==Zg==",
        "Zm8=Zm9v", "Zm-_", "=Zg=",  "Z=g=",  "Zm9vZ",
    };
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    coro_buf_append_string(&out, "kept");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (coro_base64_decode(&out, bad[i], strlen(bad[i])) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_string_equal(out.data, "kept");
    }
    assert_int_equal(coro_base64_decode(&out, "Zg\0=", 4), -EINVAL);
    coro_buf_release(&out);
}

static void the_limit_of_the_buffer_is_kept(void **state)
{
    (void)state;
    struct coro_buf out;
    coro_buf_init(&out, 7);
    assert_int_equal(coro_base64_encode(&out, "foob", 4), -EMSGSIZE);
    assert_true(out.failed);
    assert_int_equal(coro_base64_encode(&out, "foo", 3), 0);
    assert_int_equal(coro_base64_encode(&out, "", SIZE_MAX), -EMSGSIZE);
    assert_string_equal(out.data, "Zm9v");
    coro_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard_hold),
        cmocka_unit_test(random_bytes_come_back_exactly),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(the_limit_of_the_buffer_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
