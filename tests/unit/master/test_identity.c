#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/process/identity.h"

static void it_is_host_pid_and_random_digits(void **state)
{
    (void)state;
    char identity[IDENTITY_MAX];
    assert_int_equal(identity_make(identity), 0);
    char *pid = strchr(identity, ':');
    assert_non_null(pid);
    char *random = strchr(pid + 1, ':');
    assert_non_null(random);
    assert_true(pid > identity);
    assert_int_equal(strtol(pid + 1, NULL, 10), getpid());
    assert_int_equal(strlen(random + 1), 16);
    assert_int_equal(strspn(random + 1, "0123456789abcdef"), 16);
}

static void it_has_nothing_that_redis_refuses_in_a_name(void **state)
{
    (void)state;
    char identity[IDENTITY_MAX];
    assert_int_equal(identity_make(identity), 0);
    for (const char *c = identity; *c; c++)
        assert_in_range(*c, '!', '~');
}

static void two_of_them_are_never_the_same(void **state)
{
    (void)state;
    char first[IDENTITY_MAX], second[IDENTITY_MAX];
    assert_int_equal(identity_make(first), 0);
    assert_int_equal(identity_make(second), 0);
    assert_string_not_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_host_pid_and_random_digits),
        cmocka_unit_test(it_has_nothing_that_redis_refuses_in_a_name),
        cmocka_unit_test(two_of_them_are_never_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
