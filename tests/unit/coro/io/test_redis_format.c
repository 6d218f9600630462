#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/io/redis_internal.h"

/* @command is worded as @expected, of @expected_len bytes. */
static void assert_worded(const struct coro_redis_command *command,
                          const char *expected, size_t expected_len)
{
    size_t len = 0;
    char *formatted = coro_redis_format(command, &len);
    assert_non_null(formatted);
    assert_int_equal(len, expected_len);
    assert_memory_equal(formatted, expected, len);
    free(formatted);
}

static void strings_are_measured(void **state)
{
    (void)state;
    static const char expected[] = "*2\r\n$4\r\nLLEN\r\n$5\r\nqueue\r\n";
    const char *words[] = {"LLEN", "queue"};
    assert_worded(&(struct coro_redis_command){2, words, NULL}, expected,
                  sizeof expected - 1);
}

static void bytes_are_taken_as_they_are(void **state)
{
    (void)state;
    static const char expected[] =
        "*3\r\n$5\r\nLPUSH\r\n$0\r\n\r\n$5\r\na\0\r\nb\r\n";
    const char *words[] = {"LPUSH", "ignored", "a\0\r\nb"};
    const size_t lens[] = {SIZE_MAX, 0, 5};
    assert_worded(&(struct coro_redis_command){3, words, lens}, expected,
                  sizeof expected - 1);
}

static void lengths_of_many_digits_are_written_out(void **state)
{
    (void)state;
    static char word[1001], expected[1040];
    memset(word, 'x', 1000);
    int len =
        snprintf(expected, sizeof expected, "*1\r\n$1000\r\n%s\r\n", word);
    const char *words[] = {word};
    assert_worded(&(struct coro_redis_command){1, words, NULL}, expected,
                  (size_t)len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_measured),
        cmocka_unit_test(bytes_are_taken_as_they_are),
        cmocka_unit_test(lengths_of_many_digits_are_written_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
