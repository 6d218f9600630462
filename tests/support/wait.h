/*
 * Waiting for a condition: what tests do instead of sleeping.
 *
 *     static bool has_two(void *server) { … }
 *
 *     assert_true(wait_until(has_two, server, PATIENCE_MS));
 */
#ifndef TESTS_SUPPORT_WAIT_H
#define TESTS_SUPPORT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Long enough for anything that is to happen, on the slowest machine and under
 * the slowest checker; a test that passes never waits as long. */
#define PATIENCE_MS 60000

/**
 * Asks @condition about every millisecond until it is true.
 *
 * Returns true then, and false when @timeout_ms have passed; it is asked at
 * least once. Context: any thread, does not suspend a coroutine.
 */
bool wait_until(bool (*condition)(void *argument), void *argument,
                int64_t timeout_ms);

/**
 * Lets so much time pass: how long a fault lasts, or a window in which
 * something is counted. Whoever waits for something has wait_until().
 */
void wait_out(int64_t ms);

#endif
