/*
 * Generators: what goes in and out of them, and the states they pass through.
 * What each saw lies in a trace, so that nothing is asserted on their stacks.
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

#include "coro/sched/generator.h"

static char trace[256];

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
    size_t len = strlen(trace);
    va_list args;
    va_start(args, format);
    vsnprintf(trace + len, sizeof trace - len, format, args);
    va_end(args);
}

static int clear_trace(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

static struct coro_gen *make(coro_gen_fn *function, void *argument)
{
    struct coro_gen *gen = NULL;
    assert_int_equal(coro_gen_new(function, argument, NULL, &gen), 0);
    return gen;
}

/* A place to begin with that nobody else writes to. */
static void *const untouched = &trace;

/* --- bodies -------------------------------------------------------------- */

static int return_at_once(void *argument, void **ret_value)
{
    note("run ");
    *ret_value = argument;
    return 0;
}

static int yield_numbers(void *argument, void **ret_value)
{
    static int numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    int n = *(int *)argument;
    for (int i = 0; i < n; i++) {
        int status = coro_yield(&numbers[i], NULL);
        if (status < 0)
            return status;
    }
    *ret_value = argument;
    return 0;
}

/* Yields what it is sent. */
static int echo(void *argument, void **ret_value)
{
    void *value = argument;
    (void)ret_value;
    for (;;) {
        int status = coro_yield(value, &value);
        if (status < 0)
            return status;
        note("%s ", value ? (char *)value : "-");
    }
}

/* Turns each error that is thrown into a value, until it is closed. */
static int catch_errors(void *argument, void **ret_value)
{
    static int caught;
    (void)argument;
    (void)ret_value;
    caught = 0;
    int status;
    while ((status = coro_yield(&caught, NULL)) != -ECANCELED)
        caught = status;
    note("closed ");
    return status;
}

static int catch_and_return(void *argument, void **ret_value)
{
    int status = coro_yield(NULL, NULL);
    note("%d ", status);
    *ret_value = argument;
    return 0;
}

static int fail_at_once(void *argument, void **ret_value)
{
    *ret_value = argument;
    return -EIO;
}

/* Doesn't listen: yields on for as many times as it is told. */
static int refuse_to_close(void *argument, void **ret_value)
{
    (void)ret_value;
    for (int i = 0; i < *(int *)argument; i++)
        coro_yield(NULL, NULL);
    note("gave in ");
    return 0;
}

static int fail_when_closed(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    return coro_yield(NULL, NULL) < 0 ? -EIO : 0;
}

/* --- next ---------------------------------------------------------------- */

static void the_body_runs_at_the_first_next_and_not_before(void **state)
{
    (void)state;
    struct coro_gen *gen = make(return_at_once, NULL);
    assert_string_equal(trace, "");
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    assert_string_equal(trace, "run ");
    coro_gen_free(gen);
}

static void values_come_in_the_order_in_which_they_are_yielded(void **state)
{
    (void)state;
    int n = 5;
    struct coro_gen *gen = make(yield_numbers, &n);
    for (int i = 0; i < n; i++) {
        void *value = NULL;
        assert_int_equal(coro_gen_next(gen, &value), 1);
        assert_non_null(value);
        assert_int_equal(*(int *)value, i);
    }
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    coro_gen_free(gen);
}

static void the_return_value_is_given_once(void **state)
{
    (void)state;
    int n = 1;
    void *value = untouched;
    struct coro_gen *gen = make(yield_numbers, &n);
    assert_int_equal(coro_gen_next(gen, NULL), 1);
    assert_int_equal(coro_gen_next(gen, &value), 0);
    assert_ptr_equal(value, &n);
    for (int i = 0; i < 3; i++) {
        value = untouched;
        assert_int_equal(coro_gen_next(gen, &value), 0);
        assert_null(value);
    }
    coro_gen_free(gen);
}

static void an_error_of_the_body_comes_to_the_resumer_and_closes_it(
    void **state)
{
    (void)state;
    int n = 0;
    void *value = untouched;
    struct coro_gen *gen = make(fail_at_once, &n);
    assert_int_equal(coro_gen_next(gen, &value), -EIO);
    assert_ptr_equal(value, untouched);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    assert_int_equal(coro_gen_next(gen, &value), 0);
    assert_null(value);
    coro_gen_free(gen);
}

/* --- send ---------------------------------------------------------------- */

static void what_is_sent_comes_out_of_yield(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b";
    void *value;
    struct coro_gen *gen = make(echo, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_send(gen, a, &value), 1);
    assert_ptr_equal(value, a);
    assert_int_equal(coro_gen_send(gen, b, &value), 1);
    assert_ptr_equal(value, b);
    assert_int_equal(coro_gen_next(gen, &value), 1);
    assert_null(value);
    assert_string_equal(trace, "a b - ");
    coro_gen_free(gen);
}

static void a_value_is_not_sent_to_one_that_was_just_created(void **state)
{
    (void)state;
    char a[] = "a";
    void *value = untouched;
    struct coro_gen *gen = make(echo, NULL);
    assert_int_equal(coro_gen_send(gen, a, &value), -EINVAL);
    assert_ptr_equal(value, untouched);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CREATED);
    assert_int_equal(coro_gen_send(gen, NULL, &value), 1);
    assert_int_equal(coro_gen_send(gen, a, &value), 1);
    coro_gen_free(gen);
}

static void a_value_sent_to_one_that_has_ended_reports_the_end(void **state)
{
    (void)state;
    char a[] = "a";
    void *value = untouched;
    struct coro_gen *gen = make(return_at_once, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_send(gen, a, &value), 0);
    assert_null(value);
    coro_gen_free(gen);
}

/* --- throw --------------------------------------------------------------- */

static void what_is_thrown_before_the_start_closes_it_and_comes_back(
    void **state)
{
    (void)state;
    void *value = untouched;
    struct coro_gen *gen = make(return_at_once, NULL);
    assert_int_equal(coro_gen_throw(gen, -EIO, &value), -EIO);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    assert_ptr_equal(value, untouched);
    assert_string_equal(trace, "");
    coro_gen_free(gen);
}

static void what_is_thrown_and_caught_goes_on_to_the_next_yield(void **state)
{
    (void)state;
    void *value = NULL;
    struct coro_gen *gen = make(catch_errors, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_throw(gen, -EIO, &value), 1);
    assert_int_equal(*(int *)value, -EIO);
    assert_int_equal(coro_gen_throw(gen, -EPERM, &value), 1);
    assert_int_equal(*(int *)value, -EPERM);
    assert_int_equal(coro_gen_next(gen, &value), 1);
    assert_int_equal(*(int *)value, 0);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_SUSPENDED);
    coro_gen_free(gen);
}

static void what_is_thrown_and_not_caught_comes_back_and_closes_it(void **state)
{
    (void)state;
    void *value = untouched;
    struct coro_gen *gen = make(echo, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_throw(gen, -EIO, &value), -EIO);
    assert_ptr_equal(value, untouched);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    coro_gen_free(gen);
}

static void what_is_thrown_and_answered_by_returning_ends_it(void **state)
{
    (void)state;
    int n = 0;
    void *value = untouched;
    struct coro_gen *gen = make(catch_and_return, &n);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_throw(gen, -EIO, &value), 0);
    assert_ptr_equal(value, &n);
    coro_gen_free(gen);
}

static void what_is_thrown_into_one_that_has_ended_comes_back(void **state)
{
    (void)state;
    struct coro_gen *gen = make(return_at_once, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_throw(gen, -EIO, NULL), -EIO);
    assert_int_equal(coro_gen_throw(gen, -EIO, NULL), -EIO);
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    coro_gen_free(gen);
}

static void only_errors_can_be_thrown(void **state)
{
    (void)state;
    struct coro_gen *gen = make(return_at_once, NULL);
    assert_int_equal(coro_gen_throw(gen, 0, NULL), -EINVAL);
    assert_int_equal(coro_gen_throw(gen, EIO, NULL), -EINVAL);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CREATED);
    coro_gen_free(gen);
}

/* --- close --------------------------------------------------------------- */

static void closing_runs_the_clean_up(void **state)
{
    (void)state;
    struct coro_gen *gen = make(catch_errors, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_close(gen), 0);
    assert_string_equal(trace, "closed ");
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    coro_gen_free(gen);
}

static void closing_twice_is_closing_once(void **state)
{
    (void)state;
    struct coro_gen *gen = make(catch_errors, NULL);
    coro_gen_next(gen, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(coro_gen_close(gen), 0);
    assert_string_equal(trace, "closed ");
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    coro_gen_free(gen);
}

static void one_that_was_closed_before_the_start_never_runs(void **state)
{
    (void)state;
    struct coro_gen *gen = make(return_at_once, NULL);
    assert_int_equal(coro_gen_close(gen), 0);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    assert_string_equal(trace, "");
    coro_gen_free(gen);
}

static void one_that_yields_while_it_is_closed_is_reported(void **state)
{
    (void)state;
    int nyields = 3;
    struct coro_gen *gen = make(refuse_to_close, &nyields);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_close(gen), -EPROTO);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_SUSPENDED);
    assert_int_equal(coro_gen_close(gen), -EPROTO);
    assert_int_equal(coro_gen_close(gen), 0);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    coro_gen_free(gen);
}

static void an_error_while_it_is_closed_is_reported(void **state)
{
    (void)state;
    struct coro_gen *gen = make(fail_when_closed, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_close(gen), -EIO);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    coro_gen_free(gen);
}

static void returning_while_it_is_closed_is_no_error(void **state)
{
    (void)state;
    struct coro_gen *gen = make(catch_and_return, NULL);
    coro_gen_next(gen, NULL);
    assert_int_equal(coro_gen_close(gen), 0);
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    coro_gen_free(gen);
}

/* --- freeing ------------------------------------------------------------- */

static void freeing_closes_first(void **state)
{
    (void)state;
    struct coro_gen *gen = make(catch_errors, NULL);
    coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    assert_string_equal(trace, "closed ");
    coro_gen_free(NULL);
}

static void one_that_refuses_to_close_is_asked_again_and_then_dropped(
    void **state)
{
    (void)state;
    int a_few = 4, many = 1000;
    struct coro_gen *gen = make(refuse_to_close, &a_few);
    coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    assert_string_equal(trace, "gave in ");
    gen = make(refuse_to_close, &many);
    coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    assert_string_equal(trace, "gave in ");
}

static void stacks_are_used_again(void **state)
{
    (void)state;
    struct coro_gen *first = make(return_at_once, NULL);
    coro_gen_free(first);
    struct coro_gen *second = make(return_at_once, NULL);
    assert_ptr_equal(first, second);
    assert_int_equal(coro_gen_next(second, NULL), 0);
    coro_gen_free(second);
}

/* --- states -------------------------------------------------------------- */

static struct coro_gen *itself;

static int look_at_itself(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    note("%d ", coro_gen_state(itself));
    return coro_yield(NULL, NULL);
}

static void it_passes_through_the_four_states(void **state)
{
    (void)state;
    itself = make(look_at_itself, NULL);
    assert_int_equal(coro_gen_state(itself), CORO_GEN_CREATED);
    coro_gen_next(itself, NULL);
    assert_int_equal(coro_gen_state(itself), CORO_GEN_SUSPENDED);
    coro_gen_next(itself, NULL);
    assert_int_equal(coro_gen_state(itself), CORO_GEN_CLOSED);
    assert_int_equal(trace[0] - '0', CORO_GEN_RUNNING);
    coro_gen_free(itself);
}

static void it_has_the_name_it_was_given(void **state)
{
    (void)state;
    struct coro_gen *gen;
    const struct coro_gen_options options = {.name = "counter"};
    assert_int_equal(coro_gen_new(echo, NULL, &options, &gen), 0);
    assert_string_equal(coro_gen_name(gen), "counter");
    coro_gen_free(gen);
    gen = make(echo, NULL);
    assert_string_equal(coro_gen_name(gen), "generator");
    coro_gen_free(gen);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_trace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_body_runs_at_the_first_next_and_not_before),
        TEST(values_come_in_the_order_in_which_they_are_yielded),
        TEST(the_return_value_is_given_once),
        TEST(an_error_of_the_body_comes_to_the_resumer_and_closes_it),
        TEST(what_is_sent_comes_out_of_yield),
        TEST(a_value_is_not_sent_to_one_that_was_just_created),
        TEST(a_value_sent_to_one_that_has_ended_reports_the_end),
        TEST(what_is_thrown_before_the_start_closes_it_and_comes_back),
        TEST(what_is_thrown_and_caught_goes_on_to_the_next_yield),
        TEST(what_is_thrown_and_not_caught_comes_back_and_closes_it),
        TEST(what_is_thrown_and_answered_by_returning_ends_it),
        TEST(what_is_thrown_into_one_that_has_ended_comes_back),
        TEST(only_errors_can_be_thrown),
        TEST(closing_runs_the_clean_up),
        TEST(closing_twice_is_closing_once),
        TEST(one_that_was_closed_before_the_start_never_runs),
        TEST(one_that_yields_while_it_is_closed_is_reported),
        TEST(an_error_while_it_is_closed_is_reported),
        TEST(returning_while_it_is_closed_is_no_error),
        TEST(freeing_closes_first),
        TEST(one_that_refuses_to_close_is_asked_again_and_then_dropped),
        TEST(stacks_are_used_again),
        TEST(it_passes_through_the_four_states),
        TEST(it_has_the_name_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
