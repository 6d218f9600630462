/*
 * Orphans: jobs of a process that is gone, as its member of the set of owners
 * names it, "<process> <queue key>".
 *
 * Context of all functions that suspend: coroutine on the loop thread, with a
 * large stack; cancellation points.
 */
#ifndef MASTER_QUEUE_ORPHANS_H
#define MASTER_QUEUE_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis.h"
#include "master/queue/owner.h"

/* One process and one queue of it; all of it is on the heap. */
struct orphans {
    char *process; /* host:pid:random */
    char *key;     /* of the queue; any bytes */
    struct owner_key lease;
    struct owner_queue owned;
};

/**
 * Takes a member of the owners apart. Returns 0, -EINVAL or -ENOMEM.
 * Ownership: orphans_release().
 */
int orphans_init(struct orphans *orphans, const char *member, size_t len);

/** The same for @process and one queue of it. */
int orphans_init_for(struct orphans *orphans, const char *process,
                     const char *key, size_t key_len);

/** The same for a key of an inbox or of jobs in flight. */
int orphans_init_by_key(struct orphans *orphans, const char *key, size_t len);

/** Frees what @orphans holds. */
void orphans_release(struct orphans *orphans);

/** The lease's value, 0 when it is there, 1 when not, or a negative errno. */
int orphans_look(const struct orphans *orphans, struct coro_redis *redis,
                 char value[OWNER_VALUE_MAX], int64_t deadline_ms);

/**
 * True when the process with this lease ran where we run, as @where says
 * (owner_learn_where()) and the name of its host, which is compared with that
 * in @process, ours; and is no more, nor is its supervisor, which would see to
 * it (recover.h). Does not suspend.
 */
bool orphans_are_local(const struct orphans *orphans, const char *value,
                       const char *process, const char *where);

/** Takes the lease of a process that is known to be gone. 0 or an errno. */
int orphans_end_lease(const struct orphans *orphans, struct coro_redis *redis,
                      const char *value, int64_t deadline_ms);

/**
 * Gives back to the queue all that the process had of it, and logs that. The
 * lease is looked at in every step.
 *
 * Returns how many jobs that were, -EBUSY when the process lives after all,
 * -EREMOTEIO when Redis refuses, or what coro_redis_call() returns.
 */
int64_t orphans_give_back(const struct orphans *orphans,
                          struct coro_redis *redis, int64_t deadline_ms);

#endif
