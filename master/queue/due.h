/*
 * Due: what becomes of jobs whose time has come.
 *
 *     corq:retry, corq:schedule ─┐           ┌─▶ the queue of each
 *     retry, schedule ───────────┴── a look ─┼─▶ corq:dead, dead: not a job
 *                                            └─▶ later: its queue is no list
 *
 * All that a look (scripts/due.lua) has found is dealt with in groups, one of
 * each set and queue, by scripts that may be sent twice. Who looks, and when,
 * is the business of schedule.h.
 */
#ifndef MASTER_QUEUE_DUE_H
#define MASTER_QUEUE_DUE_H

#include <stdbool.h>
#include <stddef.h>

#include "coro/io/redis.h"
#include "master/queue/trouble.h"

/* The sets, and how many of them, at the front, are ours alone. */
#define DUE_NSETS     4
#define DUE_NOUR_SETS 2

/* How long a job is put off whose queue can't be written to. */
#define DUE_PUT_OFF_MS 30000

struct due_set {
    const char *key;
    const char *dead; /* where what is not understood goes */
    bool is_shared;   /* with other programs: goes there as it is */
};

extern const struct due_set due_sets[DUE_NSETS];

struct due {
    struct coro_redis *redis;
    struct trouble *trouble; /* the caller's */
    char told_key[128];      /* the queue that was last told to be unusable */
    size_t told_len;
    int64_t told_until_ms; /* and until when that is not told again */
};

/**
 * Moves what a look has found.
 *
 * @look   an array, borrowed; from its item @first on: the number of a set,
 *         beginning with 1, and a member of it; and so on. A number below 1 is
 *         passed over with what follows it.
 *
 * Returns 0 when all is dealt with; after trouble, which is noted, how many ms
 * to wait before the next look; or -ECANCELED.
 * Context: coroutine on the loop thread, with a large stack. Suspends; a
 * cancellation point.
 */
int64_t due_move(struct due *due, const struct coro_redis_reply *look,
                 size_t first);

#endif
