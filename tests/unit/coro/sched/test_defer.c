/*
 * What is undone at the end of a task or a generator.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/defer.h"
#include "coro/sched/generator.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"

#define MANY 10000

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

/* --- the end of a task --------------------------------------------------- */

static int defer_three(void *argument)
{
    (void)argument;
    defer(a);
    defer(b);
    coro_relax();
    defer(c);
    note(d);
    return 0;
}

static void what_was_deferred_last_is_called_first(void **state)
{
    (void)state;
    run(defer_three);
    assert_string_equal(trace, "d c b a ");
}

static int defer_and_fail(void *argument)
{
    (void)argument;
    defer(a);
    return -EIO;
}

static void it_is_called_when_the_task_fails(void **state)
{
    (void)state;
    run(defer_and_fail);
    assert_string_equal(trace, "a ");
}

static int defer_and_wait(void *argument)
{
    (void)argument;
    defer(a);
    int status = coro_sleep_until(CORO_NEVER);
    note(status == -ECANCELED ? b : c);
    return status;
}

static int cancel_another(void *argument)
{
    struct coro_task *task;
    coro_spawn(coro_loop_current(), defer_and_wait, argument, NULL, &task);
    coro_relax();
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    note(d);
    coro_task_unref(task);
    return 0;
}

static void it_is_called_when_the_task_is_cancelled_and_before_it_is_done(
    void **state)
{
    (void)state;
    run(cancel_another);
    assert_string_equal(trace, "b a d ");
}

static int defer_and_refuse(void *argument)
{
    (void)argument;
    defer(a);
    defer(b);
    expect_that(coro_alloc(100) != NULL);
    int status;
    do
        status = coro_sleep(1000);
    while (status <= 0);
    return status;
}

static int spawn_refusing(void *argument)
{
    coro_spawn(coro_loop_current(), defer_and_refuse, argument, NULL, NULL);
    return coro_relax();
}

static void it_is_called_when_the_task_is_dropped(void **state)
{
    (void)state;
    run(spawn_refusing);
    assert_string_equal(trace, "b a ");
}

static void never_called(void *argument)
{
    note(argument);
}

static int defer_nothing(void *argument)
{
    (void)argument;
    defer(a);
    expect_that(coro_defer(never_called, b) == 0);
    expect_that(coro_defer(never_called, c) == 0);
    expect_that(coro_undefer(never_called, b));
    expect_that(!coro_undefer(never_called, b));
    expect_that(coro_undefer(never_called, c));
    expect_that(!coro_undefer(never_called, d));
    return 0;
}

static void what_was_taken_back_is_not_called(void **state)
{
    (void)state;
    run(defer_nothing);
    assert_string_equal(trace, "a ");
}

static int defer_the_same_twice(void *argument)
{
    (void)argument;
    defer(a);
    defer(b);
    defer(a);
    expect_that(coro_undefer(note, a));
    return 0;
}

static void what_is_taken_back_is_the_last_one_of_its_kind(void **state)
{
    (void)state;
    run(defer_the_same_twice);
    assert_string_equal(trace, "b a ");
}

static void defer_more(void *text)
{
    note(text);
    defer(c);
    expect_that(strcmp(coro_format("%d", 12), "12") == 0);
}

static int defer_in_deferred(void *argument)
{
    (void)argument;
    defer(a);
    expect_that(coro_defer(defer_more, b) == 0);
    return 0;
}

static void what_is_called_may_defer_and_allocate(void **state)
{
    (void)state;
    run(defer_in_deferred);
    assert_string_equal(trace, "b c a ");
}

static int refuse_with_format(void *argument)
{
    (void)argument;
    expect_that(coro_defer(defer_more, b) == 0);
    return defer_and_refuse(argument);
}

static int spawn_refusing_with_format(void *argument)
{
    coro_spawn(coro_loop_current(), refuse_with_format, argument, NULL, NULL);
    return coro_relax();
}

static void it_may_do_so_for_a_dropped_task_as_well(void **state)
{
    (void)state;
    run(spawn_refusing_with_format);
    assert_string_equal(trace, "b a b c ");
}

static size_t ncalls;

static void count_down(void *argument)
{
    size_t *next = argument;
    expect_that(*next == MANY - 1 - ncalls);
    ncalls++;
}

static int defer_many(void *argument)
{
    size_t *numbers = argument;
    for (size_t i = 0; i < MANY; i++) {
        numbers[i] = i;
        expect_that(coro_defer(count_down, &numbers[i]) == 0);
    }
    return 0;
}

static void ten_thousand_can_be_deferred(void **state)
{
    (void)state;
    size_t *numbers = calloc(MANY, sizeof *numbers);
    assert_non_null(numbers);
    ncalls = 0;
    assert_int_equal(coro_run(defer_many, numbers, NULL), 0);
    assert_as_expected();
    assert_int_equal(ncalls, MANY);
    free(numbers);
}

/* --- generators ---------------------------------------------------------- */

static int defer_and_yield(void *argument, void **ret_value)
{
    (void)ret_value;
    defer(argument);
    int status = coro_yield(coro_format("from %s", (char *)argument), NULL);
    note(d);
    return status;
}

static void a_generator_has_its_own(void **state)
{
    (void)state;
    struct coro_gen *gen;
    void *value;
    assert_int_equal(coro_gen_new(defer_and_yield, a, NULL, &gen), 0);
    assert_int_equal(coro_gen_next(gen, &value), 1);
    assert_string_equal(value, "from a");
    assert_string_equal(trace, "");
    assert_int_equal(coro_gen_close(gen), 0);
    assert_string_equal(trace, "d a ");
    coro_gen_free(gen);
    assert_string_equal(trace, "d a ");
    assert_as_expected();
}

static int defer_around_generator(void *argument)
{
    struct coro_gen *gen;
    (void)argument;
    defer(a);
    expect_that(coro_gen_new(defer_and_yield, b, NULL, &gen) == 0);
    coro_gen_next(gen, NULL);
    defer(c);
    coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    return 0;
}

static void that_of_a_generator_is_not_its_task_s(void **state)
{
    (void)state;
    run(defer_around_generator);
    assert_string_equal(trace, "d b c a ");
}

static int refuse_in_generator(void *argument, void **ret_value)
{
    (void)ret_value;
    defer(argument);
    return defer_and_refuse(NULL);
}

static void free_generator(void *gen)
{
    coro_gen_free(gen);
}

static int stand_in_generator(void *argument)
{
    struct coro_gen *gen;
    (void)argument;
    expect_that(coro_gen_new(refuse_in_generator, c, NULL, &gen) == 0);
    expect_that(coro_defer(free_generator, gen) == 0);
    return coro_gen_next(gen, NULL);
}

static int spawn_in_generator(void *argument)
{
    coro_spawn(coro_loop_current(), stand_in_generator, argument, NULL, NULL);
    return coro_relax();
}

static void a_dropped_task_s_generators_come_before_itself(void **state)
{
    (void)state;
    run(spawn_in_generator);
    assert_string_equal(trace, "b a c ");
}

static int yield_for_ever(void *argument, void **ret_value)
{
    (void)ret_value;
    defer(argument);
    for (int i = 0; i < 1000; i++)
        coro_yield(NULL, NULL);
    return 0;
}

static void a_dropped_generator_s_is_called_as_well(void **state)
{
    (void)state;
    struct coro_gen *gen;
    assert_int_equal(coro_gen_new(yield_for_ever, a, NULL, &gen), 0);
    coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    assert_string_equal(trace, "a ");
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_deferred_last_is_called_first),
        TEST(it_is_called_when_the_task_fails),
        TEST(it_is_called_when_the_task_is_cancelled_and_before_it_is_done),
        TEST(it_is_called_when_the_task_is_dropped),
        TEST(what_was_taken_back_is_not_called),
        TEST(what_is_taken_back_is_the_last_one_of_its_kind),
        TEST(what_is_called_may_defer_and_allocate),
        TEST(it_may_do_so_for_a_dropped_task_as_well),
        TEST(ten_thousand_can_be_deferred),
        TEST(a_generator_has_its_own),
        TEST(that_of_a_generator_is_not_its_task_s),
        TEST(a_dropped_task_s_generators_come_before_itself),
        TEST(a_dropped_generator_s_is_called_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
