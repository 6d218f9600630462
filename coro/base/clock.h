/*
 * Time: monotonic for waits, wall time for what people read.
 *
 * Every wait in this library takes one absolute deadline in milliseconds of
 * the monotonic clock:
 *
 *     int status = coro_sleep_until(coro_after(500));
 */
#ifndef CORO_BASE_CLOCK_H
#define CORO_BASE_CLOCK_H

#include <stdint.h>

/* A deadline that never comes. */
#define CORO_NEVER INT64_MAX

/** Monotonic time in nanoseconds. Context: any thread. */
int64_t coro_now_ns(void);

/** Monotonic time in whole milliseconds, rounded down. Context: any thread. */
int64_t coro_now_ms(void);

/**
 * The deadline that lies @delay_ms milliseconds from now. Rounded up, so that
 * a wait until it is never shorter than asked; a negative delay is none, and
 * one beyond the clock's range is CORO_NEVER. Context: any thread.
 */
int64_t coro_after(int64_t delay_ms);

/** Microseconds since 1970 by the wall clock. Context: any thread. */
int64_t coro_wall_us(void);

#endif
