/*
 * Expectations that may fail anywhere: in a coroutine, in another thread.
 *
 * cmocka leaves a failing test by a jump, which only the test's own stack
 * survives. So code that runs elsewhere records what it finds, and the test
 * asserts when the loop has ended:
 *
 *     static int scenario(void *argument)
 *     {
 *         expect_that(coro_sleep(5) == 0);
 *         return 0;
 *     }
 *
 *     coro_run(scenario, NULL, NULL);
 *     assert_as_expected();
 */
#ifndef TESTS_SUPPORT_RECORD_H
#define TESTS_SUPPORT_RECORD_H

#include <stdbool.h>

/** Notes where @condition is false; its value. Context: any thread. */
#define expect_that(condition) \
    record_expectation((condition), #condition, __FILE__, __LINE__)

/** Fails the test if anything was noted since the last time. */
#define assert_as_expected() record_assert(__FILE__, __LINE__)

bool record_expectation(bool is_met, const char *condition, const char *file,
                        int line);

void record_assert(const char *file, int line);

#endif
