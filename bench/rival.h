/*
 * Other ways to switch stacks, which ours are compared with in the same run:
 *
 *   swapcontext     the C library's; it makes a system call each time
 *   boost context   fcontext of Boost, if its library is installed
 *
 * A rival gets what our scheduler has, and no more: stacks from the same pool,
 * the control block at the top of each, a run queue that is a linked list, and
 * direct handing over from one to the next. It has no loop, no timers, no
 * cancelling, no names, and looks at no clock.
 */
#ifndef BENCH_RIVAL_H
#define BENCH_RIVAL_H

#include <stddef.h>

#include "bench/report.h"

enum rival_game {
    RIVAL_PAIR,        /* there and back between two stacks */
    RIVAL_PAIR_DEEP,   /* the same, from four frames down */
    RIVAL_SWITCH,      /* one way, with a run queue */
    RIVAL_SWITCH_DEEP, /* the same, from four frames down */
    RIVAL_LIFE,        /* create, run and free, so many at a time */
    RIVAL_GAMES,
};

struct rival_match {
    enum rival_game game;
    size_t n;      /* contexts, the measuring one included */
    size_t nsteps; /* switches, pairs of them, or lives */
};

/**
 * Measures @ours(@argument) and each rival at @match, taking turns, @rounds
 * times; puts the smallest figures, in nanoseconds a step, into @row.
 */
void rival_compare(struct report_row *row, int rounds,
                   double (*ours)(void *argument), void *argument,
                   const struct rival_match *match);

/** The name of rival @index, or NULL when there are no more. */
const char *rival_name(size_t index);

/** Nanoseconds that a step of @match takes rival @index. */
double rival_play(size_t index, const struct rival_match *match);

/** Makes @n contexts of rival @index, each of which runs once and stays. */
void rival_hold(size_t index, size_t n);

#endif
