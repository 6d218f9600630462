/*
 * Lists of no-op jobs, taken to their end: by corq, and by bare hiredis loops
 * beside it. All of them take turns, so that a slow moment of the machine meets
 * each; figures and ratios are medians over the rounds.
 *
 *     static const struct drainer drainers[] = {
 *         {"corq", NULL, "at-least-once"},
 *         {"bare BRPOP", pop_singly, NULL},
 *     };
 *     static struct drain drains[DRAIN_ROUNDS * 2];
 *     drain_in_turns(drainers, 2, drains);
 *     drain_report(&(struct drain_row){…}, drainers, 2, drains);
 */
#ifndef BENCH_DRAIN_H
#define BENCH_DRAIN_H

#include <stddef.h>

#include "bench/report.h"
#include "bench/server.h"

#define DRAIN_ROUNDS 5

/* The list that a bare loop is to empty. */
#define DRAIN_KEY "stash"

struct drain {
    double jobs_per_second;
    double redis_us; /* CPU of Redis for each job */
    double own_us;   /* CPU of the program, of all its processes */
};

enum drain_figure { DRAIN_RATE, DRAIN_REDIS, DRAIN_OWN };

/* Who empties the list: a loop of ours, or, where that is NULL, the built
 * program, which delivers as it is told; of this build, or of $BUILD's. */
struct drainer {
    const char *name;
    void (*loop)(redisContext *context, size_t njobs);
    const char *delivery;
    const char *build;
};

/* A row for the first drainer, which is corq, beside another one. */
struct drain_row {
    const char *key, *what, *unit;
    enum drain_figure figure;
    size_t beside;
    enum report_budget budget_kind;
    double budget;
};

/**
 * Lets each of @n drainers, in turns, empty a list of a million jobs, or of as
 * many as $BENCH_JOBS says. @ret has room for DRAIN_ROUNDS times @n figures.
 */
void drain_in_turns(const struct drainer *drainers, size_t n,
                    struct drain *ret);

/** Prints @row, from the figures that drain_in_turns() wrote. */
void drain_report(const struct drain_row *row, const struct drainer *drainers,
                  size_t n, const struct drain *drains);

/** Reads one answer; gives up on none and on errors. freeReplyObject(). */
redisReply *drain_answer(redisContext *context);

#endif
