/*
 * Memory that is freed with its task, and the scopes within one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/defer.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"

static char trace[256];

static void note(void *text)
{
    size_t len = strlen(trace);
    snprintf(trace + len, sizeof trace - len, "%s ", (const char *)text);
}

static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";

static void defer(char *text)
{
    expect_that(coro_defer(note, text) == 0);
}

static int begin(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

static void run(coro_task_fn *function)
{
    int result = -1;
    assert_int_equal(coro_run(function, NULL, &result), 0);
    assert_as_expected();
}

/* --- memory -------------------------------------------------------------- */

static int fill_memory(void *argument)
{
    (void)argument;
    char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = coro_alloc(i * 7);
        if (!expect_that(pieces[i] != NULL))
            return -ENOMEM;
        expect_that((uintptr_t)pieces[i] % _Alignof(max_align_t) == 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i * 7; j++)
            expect_that(pieces[i][j] == (char)i);
    return 0;
}

static void pieces_of_memory_are_aligned_and_apart(void **state)
{
    (void)state;
    run(fill_memory);
}

static void copy(void *text)
{
    note(text);
}

static int use_memory_at_end(void *argument)
{
    (void)argument;
    for (int i = 0; i < 3; i++) {
        char *text = coro_format("%d%s", i, "x");
        char *large = coro_alloc(20000);
        expect_that(text && large && coro_defer(copy, text) == 0);
    }
    return 0;
}

static void memory_is_there_for_what_was_deferred(void **state)
{
    (void)state;
    run(use_memory_at_end);
    assert_string_equal(trace, "2x 1x 0x ");
}

static int copy_strings(void *argument)
{
    (void)argument;
    char *whole = coro_strdup("whole");
    char *part = coro_strndup("part of it", 4);
    char *empty = coro_strdup("");
    char *formatted = coro_format("%s-%05.1f-%s", whole, 2.25, part);
    expect_that(whole && strcmp(whole, "whole") == 0);
    expect_that(part && strcmp(part, "part") == 0);
    expect_that(empty && strcmp(empty, "") == 0);
    expect_that(formatted && strcmp(formatted, "whole-002.2-part") == 0);
    expect_that(!coro_alloc(SIZE_MAX) && !coro_alloc(SIZE_MAX - 8));
    expect_that(!coro_strndup("x", SIZE_MAX));
    return 0;
}

static void strings_are_copied_and_formatted(void **state)
{
    (void)state;
    run(copy_strings);
}

/* --- scopes -------------------------------------------------------------- */

static int nest_scopes(void *argument)
{
    struct coro_scope outer, inner;
    (void)argument;
    defer(a);
    coro_scope_begin(&outer);
    defer(b);
    coro_scope_begin(&inner);
    defer(c);
    note(d);
    coro_scope_end(&inner);
    coro_scope_end(&outer);
    note(d);
    return 0;
}

static void a_scope_ends_what_began_in_it(void **state)
{
    (void)state;
    run(nest_scopes);
    assert_string_equal(trace, "d c b d a ");
}

static int use_scopes_again(void *argument)
{
    (void)argument;
    char *first = NULL;
    defer(a);
    for (int i = 0; i < 1000; i++) {
        struct coro_scope scope;
        coro_scope_begin(&scope);
        char *piece = coro_alloc(64);
        if (!first)
            first = piece;
        expect_that(piece && piece == first);
        expect_that(coro_alloc(5000) && coro_alloc(5000));
        expect_that(coro_defer(copy, i == 0 ? b : c) == 0);
        expect_that(i == 0 || coro_undefer(copy, c));
        coro_scope_end(&scope);
    }
    defer(d);
    return 0;
}

static void memory_of_a_scope_is_used_again_by_the_next(void **state)
{
    (void)state;
    run(use_scopes_again);
    assert_string_equal(trace, "b d a ");
}

static int use_empty_scope(void *argument)
{
    struct coro_scope scope;
    (void)argument;
    coro_scope_begin(&scope);
    coro_scope_end(&scope);
    coro_scope_begin(&scope);
    defer(a);
    coro_scope_end(&scope);
    coro_scope_begin(&scope);
    defer(b);
    return 0;
}

static void a_scope_that_is_not_ended_ends_with_the_task(void **state)
{
    (void)state;
    run(use_empty_scope);
    assert_string_equal(trace, "a b ");
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pieces_of_memory_are_aligned_and_apart),
        TEST(memory_is_there_for_what_was_deferred),
        TEST(strings_are_copied_and_formatted),
        TEST(a_scope_ends_what_began_in_it),
        TEST(memory_of_a_scope_is_used_again_by_the_next),
        TEST(a_scope_that_is_not_ended_ends_with_the_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
