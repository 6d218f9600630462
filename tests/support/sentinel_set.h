/*
 * A primary and a replica that three sentinels watch over, all real.
 *
 *     static struct sentinel_set set;
 *
 *     sentinel_set_start(&set);
 *     redis_do(sentinel_set_primary(&set), "LPUSH queue 0.1");
 *     sentinel_set_fail_over(&set);
 *     …
 *     sentinel_set_release(&set);
 *
 * The sentinels look around more often than they normally do, and take nobody
 * for dead but whom sentinel_set_kill_primary() has killed: a slow
 * machine makes no failover that the test has not asked for. Whatever goes
 * wrong here fails the test that is running.
 */
#ifndef TESTS_SUPPORT_SENTINEL_SET_H
#define TESTS_SUPPORT_SENTINEL_SET_H

#include <stdbool.h>

#include "tests/support/redis_server.h"

#define SENTINELS 3

/* The name by which the sentinels know the primary. */
#define SENTINEL_SET_NAME "corq"

/* Zeroed before first use. */
struct sentinel_set {
    struct redis_server servers[2]; /* at the start the first is the primary */
    struct redis_server sentinels[SENTINELS];
    char url[128]; /* redis+sentinel://… */
};

/** Starts all five and waits until each knows of the others. */
void sentinel_set_start(struct sentinel_set *set);

/** The server that is the primary by its own word. */
struct redis_server *sentinel_set_primary(struct sentinel_set *set);

/**
 * Has the sentinels make the replica the primary. Returns true when they all
 * name it; the old one remains a second primary for some seconds.
 */
bool sentinel_set_fail_over(struct sentinel_set *set);

/** Ends the primary by SIGKILL. Returns true when the replica has its place. */
bool sentinel_set_kill_primary(struct sentinel_set *set);

/**
 * Swaps primary and replica behind the sentinels' back: their clients stay
 * connected, and the sentinels go on naming the old one.
 */
void sentinel_set_swap(struct sentinel_set *set);

/** Tells the sentinels of the present primary, as if they had found out. */
void sentinel_set_teach(struct sentinel_set *set);

/** Ends them all. A zeroed one is left alone. */
void sentinel_set_release(struct sentinel_set *set);

#endif
