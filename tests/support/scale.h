/*
 * How large a test may be: full size as a rule, less under a checker or an
 * emulator, which take a hundred times as long or know fewer coroutines.
 *
 *     size_t nitems = test_scale(1000000, 50000);
 *
 * The size is reduced under ThreadSanitizer, under valgrind, when a WRAPPER is
 * put before the test programs, and with CORQ_TEST_SCALE=reduced.
 */
#ifndef TESTS_SUPPORT_SCALE_H
#define TESTS_SUPPORT_SCALE_H

#include <stdbool.h>
#include <stddef.h>

/** @full, or @reduced where the full size is too much. */
size_t test_scale(size_t full, size_t reduced);

/** True when valgrind runs this program. */
bool test_is_under_valgrind(void);

/**
 * True with CORQ_TEST_SCALE=full, unless the size is reduced all the same: for
 * what takes many seconds or gigabytes.
 */
bool test_scale_is_full(void);

#endif
