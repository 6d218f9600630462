#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "master/queue/trouble.h"
#include "tests/unit/worker/log_file.h"

static struct log_file file;
static struct trouble trouble;

static int setup(void **state)
{
    (void)state;
    log_file_open(&file);
    trouble_init(&trouble, "taking jobs");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_file_close(&file);
    return 0;
}

static size_t nlines(void)
{
    size_t n = 0;
    for (const char *c = log_file_read(&file); *c; c++)
        n += *c == '\n';
    return n;
}

static void nothing_is_said_while_there_is_no_trouble(void **state)
{
    (void)state;
    assert_false(trouble_is_on(&trouble));
    trouble_over(&trouble);
    assert_int_equal(nlines(), 0);
}

static void the_same_reason_is_told_once(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        trouble_note(&trouble, "LOADING");
    assert_true(trouble_is_on(&trouble));
    assert_int_equal(nlines(), 1);
    assert_non_null(
        strstr(file.text, "taking jobs: LOADING; will try again\n"));
}

static void another_reason_is_news(void **state)
{
    (void)state;
    trouble_note(&trouble, "LOADING");
    trouble_note(&trouble, "OOM");
    trouble_note(&trouble, "LOADING");
    assert_int_equal(nlines(), 3);
}

static void its_end_is_told_once(void **state)
{
    (void)state;
    trouble_note(&trouble, "LOADING");
    trouble_over(&trouble);
    trouble_over(&trouble);
    assert_false(trouble_is_on(&trouble));
    assert_int_equal(nlines(), 2);
    assert_non_null(strstr(file.text, "taking jobs: works again\n"));
}

static void a_reason_that_is_too_long_is_still_the_same_one(void **state)
{
    (void)state;
    char reason[400];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    trouble_note(&trouble, reason);
    trouble_note(&trouble, reason);
    assert_int_equal(nlines(), 1);
}

static void waits_grow_up_to_five_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int64_t step_ms = i < 7 ? 50 << i : 5000;
        int64_t wait_ms = trouble_note(&trouble, "LOADING");
        assert_in_range(wait_ms, step_ms / 2,
                        step_ms * 3 / 2 < 5000 ? step_ms * 3 / 2 : 5000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_said_while_there_is_no_trouble),
        TEST(the_same_reason_is_told_once),
        TEST(another_reason_is_news),
        TEST(its_end_is_told_once),
        TEST(a_reason_that_is_too_long_is_still_the_same_one),
        TEST(waits_grow_up_to_five_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
