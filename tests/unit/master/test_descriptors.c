/* As many file descriptors as are needed, or a word about how many there are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "master/process/descriptors.h"

#define LOW 64

static struct rlimit before;

static int lower(void **state)
{
    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit low = {LOW, before.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &low);
}

static int restore(void **state)
{
    (void)state;
    return setrlimit(RLIMIT_NOFILE, &before);
}

static void each_queue_and_each_child_needs_some(void **state)
{
    (void)state;
    assert_int_equal(descriptors_needed(1, 100) - descriptors_needed(1, 99), 1);
    assert_int_equal(descriptors_needed(100, 1) - descriptors_needed(99, 1), 1);
    assert_true(descriptors_needed(1, 1) > 20);
}

static void what_is_there_is_left_alone(void **state)
{
    (void)state;
    size_t limit;
    assert_int_equal(descriptors_provide(LOW, &limit), 0);
    assert_int_equal(limit, LOW);
}

static void a_soft_limit_is_raised(void **state)
{
    (void)state;
    size_t limit;
    assert_int_equal(descriptors_provide(LOW + 10, &limit), 0);
    assert_int_equal(limit, LOW + 10);
}

static void a_hard_limit_is_told(void **state)
{
    (void)state;
    size_t limit;
    assert_int_equal(descriptors_provide((size_t)before.rlim_max + 1, &limit),
                     -EMFILE);
    assert_int_equal(limit, LOW);
}

#define limit_test(name) cmocka_unit_test_setup_teardown(name, lower, restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_queue_and_each_child_needs_some),
        limit_test(what_is_there_is_left_alone),
        limit_test(a_soft_limit_is_raised),
        limit_test(a_hard_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
