/*
 * Strict reading of numbers, durations, times and sizes that people typed.
 *
 * Every function takes a text with its length (it need not end in a NUL),
 * reads all of it or refuses it, and knows neither locale nor sign, blank,
 * exponent or base prefix. What is not written as expected is -EINVAL; what
 * is written well but lies out of bounds is -ERANGE; the result is then
 * untouched.
 *
 *     int64_t wait_ms;
 *     int status = coro_parse_duration_ms("1.5s", 4, &wait_ms);
 */
#ifndef CORO_BASE_PARSE_H
#define CORO_BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/** The largest value that coro_parse_seconds() takes: about 31 years. */
#define CORO_PARSE_SECONDS_MAX 1000000000

/**
 * Reads a whole number from @min to @max, in decimal digits only.
 *
 * Returns 0, -EINVAL or -ERANGE. Context: any thread.
 */
int coro_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max,
                   uint64_t *ret_value);

/**
 * Reads a duration: a decimal number with one of the units ms, s, m, h and d,
 * or without one, in seconds. What does not make a whole millisecond is
 * rounded up, so that a wait is never shorter than written.
 *
 * The result is always less than CORO_NEVER; larger ones are -ERANGE.
 *
 * Returns 0, -EINVAL or -ERANGE. Context: any thread.
 */
int coro_parse_duration_ms(const char *text, size_t len, int64_t *ret_ms);

/**
 * Reads a plain decimal number of seconds, such as 5 or 0.25, of at most
 * CORO_PARSE_SECONDS_MAX.
 *
 * Returns 0, -EINVAL or -ERANGE. Context: any thread.
 */
int coro_parse_seconds(const char *text, size_t len, double *ret_seconds);

/**
 * Reads a point in time, from 1970 to the end of the year 9999: seconds since
 * 1970 as a plain decimal number, or a date and time of ISO 8601 in UTC, such
 * as 2026-11-25T10:00:00Z, the seconds with or without a fraction. What does
 * not make a whole microsecond is rounded up. Leap seconds are refused, as
 * there are none in seconds since 1970.
 *
 * Returns 0, -EINVAL or -ERANGE. Context: any thread.
 */
int coro_parse_time_us(const char *text, size_t len, int64_t *ret_us);

/**
 * Reads a size in bytes from @min to @max: a whole number, or one with a unit
 * of 1024 bytes or its powers: k, M, G and T, also written KiB, MiB, GiB and
 * TiB, in any case. KB and MB are refused, for they mean two things.
 *
 * Returns 0, -EINVAL or -ERANGE. Context: any thread.
 */
int coro_parse_size(const char *text, size_t len, uint64_t min, uint64_t max,
                    uint64_t *ret_size_bytes);

#endif
