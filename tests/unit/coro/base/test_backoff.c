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

#include "coro/base/backoff.h"
#include "coro/base/random.h"

/* Is @wait_ms 50 to 150 % of the step, and not above the maximum? */
static void check_wait(int64_t wait_ms, int64_t step_ms, int64_t max_ms)
{
    assert_in_range(wait_ms, step_ms / 2, step_ms + step_ms / 2);
    assert_in_range(wait_ms, 1, max_ms);
}

static void waits_double_up_to_the_maximum(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct coro_backoff backoff;
        coro_backoff_init(&backoff, 50, 5000, seed);
        int64_t step_ms = 50;
        for (int i = 0; i < 12; i++) {
            check_wait(coro_backoff_next_ms(&backoff), step_ms, 5000);
            step_ms = step_ms < 2500 ? 2 * step_ms : 5000;
        }
    }
}

static void waits_are_spread(void **state)
{
    (void)state;
    int64_t low_ms = INT64_MAX;
    int64_t high_ms = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct coro_backoff backoff;
        coro_backoff_init(&backoff, 1000, 5000, seed);
        int64_t wait_ms = coro_backoff_next_ms(&backoff);
        low_ms = wait_ms < low_ms ? wait_ms : low_ms;
        high_ms = wait_ms > high_ms ? wait_ms : high_ms;
    }
    assert_in_range(low_ms, 500, 550);
    assert_in_range(high_ms, 1450, 1500);
}

static void the_smallest_wait_is_possible(void **state)
{
    (void)state;
    struct coro_backoff backoff;
    coro_backoff_init(&backoff, 1, 1, 9);
    for (int i = 0; i < 10; i++)
        assert_int_equal(coro_backoff_next_ms(&backoff), 1);
}

/* A back-off that has waited until its waits no longer grow. */
static void grow(struct coro_backoff *backoff)
{
    coro_backoff_init(backoff, 50, 5000, 1);
    for (int i = 0; i < 10; i++)
        coro_backoff_next_ms(backoff);
}

static void ten_seconds_of_health_begin_again(void **state)
{
    (void)state;
    struct coro_backoff backoff;
    grow(&backoff);
    coro_backoff_success(&backoff, 1000);
    coro_backoff_failure(&backoff, 11000);
    check_wait(coro_backoff_next_ms(&backoff), 50, 5000);
}

static void a_short_success_changes_nothing(void **state)
{
    (void)state;
    struct coro_backoff backoff;
    grow(&backoff);
    coro_backoff_success(&backoff, 1000);
    coro_backoff_failure(&backoff, 10999);
    check_wait(coro_backoff_next_ms(&backoff), 5000, 5000);
}

static void health_counts_from_the_first_success(void **state)
{
    (void)state;
    struct coro_backoff backoff;
    grow(&backoff);
    coro_backoff_success(&backoff, 1000);
    coro_backoff_success(&backoff, 9000);
    coro_backoff_failure(&backoff, 11000);
    check_wait(coro_backoff_next_ms(&backoff), 50, 5000);
}

static void a_failure_ends_the_health(void **state)
{
    (void)state;
    struct coro_backoff backoff;
    grow(&backoff);
    coro_backoff_success(&backoff, 1000);
    coro_backoff_failure(&backoff, 2000);
    coro_backoff_failure(&backoff, 20000);
    check_wait(coro_backoff_next_ms(&backoff), 5000, 5000);
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct coro_rng first;
    struct coro_rng second;
    struct coro_rng other;
    coro_rng_init(&first, 7);
    coro_rng_init(&second, 7);
    coro_rng_init(&other, 8);
    uint64_t number = coro_rng_next(&first);
    assert_true(number == coro_rng_next(&second));
    assert_true(number != coro_rng_next(&other));
    assert_true(number != coro_rng_next(&first));
}

static void numbers_below_a_bound_reach_each_of_them(void **state)
{
    (void)state;
    struct coro_rng rng;
    coro_rng_init(&rng, 3);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = coro_rng_below(&rng, 10);
        assert_in_range(number, 0, 9);
        seen |= 1u << number;
    }
    assert_int_equal(seen, 1023);
    assert_int_equal(coro_rng_below(&rng, 0), 0);
}

static void random_names_have_their_length_and_differ(void **state)
{
    (void)state;
    char first[25];
    char second[25];
    assert_int_equal(coro_random_hex(first, 12), 0);
    assert_int_equal(coro_random_hex(second, 12), 0);
    assert_int_equal(strlen(first), 24);
    assert_int_equal(strspn(first, "0123456789abcdef"), 24);
    assert_string_not_equal(first, second);
}

static void random_seeds_differ(void **state)
{
    (void)state;
    struct coro_rng first;
    struct coro_rng second;
    assert_int_equal(coro_rng_init_random(&first), 0);
    assert_int_equal(coro_rng_init_random(&second), 0);
    assert_true(coro_rng_next(&first) != coro_rng_next(&second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_the_maximum),
        cmocka_unit_test(waits_are_spread),
        cmocka_unit_test(the_smallest_wait_is_possible),
        cmocka_unit_test(ten_seconds_of_health_begin_again),
        cmocka_unit_test(a_short_success_changes_nothing),
        cmocka_unit_test(health_counts_from_the_first_success),
        cmocka_unit_test(a_failure_ends_the_health),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(numbers_below_a_bound_reach_each_of_them),
        cmocka_unit_test(random_names_have_their_length_and_differ),
        cmocka_unit_test(random_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
