/*
 * A wall clock of its own for some programs, that a test puts forward and back
 * (tests/preload/clock.c).
 *
 *     wall_clock_open(&clock);
 *     program_start_with(&corq, &(struct program_options){
 *         .environment = clock.environment, …});
 *     wall_clock_set(&clock, 3600);
 *     wall_clock_close(&clock);
 */
#ifndef TESTS_SUPPORT_WALL_CLOCK_H
#define TESTS_SUPPORT_WALL_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct wall_clock {
    int fd;
    _Atomic(int64_t) *offset_ns;
    const char *environment[4]; /* what a program needs, to have this clock */
    char words[3][300];
};

/** A clock that shows the right time. */
void wall_clock_open(struct wall_clock *clock);

/** From now on it shows the right time and so many seconds. */
void wall_clock_set(struct wall_clock *clock, int64_t seconds);

/** Gives the clock to what this process starts from now on, or no longer. */
void wall_clock_lend(const struct wall_clock *clock);
void wall_clock_take_back(const struct wall_clock *clock);

/** After the programs that have it have ended. */
void wall_clock_close(struct wall_clock *clock);

#endif
