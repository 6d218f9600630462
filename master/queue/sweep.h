/*
 * The sweeper: finds processes that are gone, and gives back what they had.
 *
 * One process of the fleet does it, the leader (schedule.h), four times in a
 * lease, whatever its own promise of delivery is. Another is taken to be gone when its lease was missing at two looks,
 * half a lease apart, between which Redis answered all the time: after a freeze
 * of Redis every lease is gone, and everybody lives. So orphans run again
 * within about two leases.
 *
 * Sooner where it is certain: one process of those that are started together
 * looks, when it starts, for leases of processes of the same boot and pid
 * namespace that are no more. Whoever has a supervisor that lives is left to
 * that, which knows why it died (recover.h), for as long as its lease lasts.
 *
 * A process is forgotten when nothing of it was found at two looks further
 * apart than a blocked pop lasts: a pop that it left at the server may yet
 * fill its inbox. Under the set of owners lies a net: a SCAN, some keys at each
 * look, for inboxes and jobs in flight that no owner stands for.
 */
#ifndef MASTER_QUEUE_SWEEP_H
#define MASTER_QUEUE_SWEEP_H

#include <stdbool.h>

#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/owner.h"
#include "master/queue/schedule.h"
#include "master/queue/trouble.h"

struct sweep {
    struct coro_redis *redis;
    const char *process; /* ours: nothing of it is touched */
    char where[OWNER_WHERE_MAX];
    const struct schedule *schedule;
    int64_t lease_ms;
    int64_t empty_ms;     /* how long nothing of a process is found, before it
                             is forgotten */
    struct list suspects; /* whose lease is missing */
    int64_t last_ms;      /* when the leases were last looked at; 0: never,
                             or not all of them */
    uint64_t generation;  /* of the connection then */
    uint64_t nlooks;
    char cursor[24]; /* of the net's SCAN */
    bool looks_at_start;
    struct trouble trouble;
};

struct sweep_options {
    struct coro_group *group;
    struct coro_redis *redis;
    const char *process; /* our identity */
    const struct schedule *schedule;
    int64_t lease_ms; /* of the fleet's processes; ours, if they differ */

    /* Another process that was started with this one looks for those that are
     * certainly no more: each of n, they would look at n leases at once. */
    bool is_one_of_many;
};

/**
 * Starts the sweeper as a task in the group. All is borrowed.
 * Returns 0 or -ENOMEM. Context: loop thread.
 */
int sweep_start(struct sweep *sweep, const struct sweep_options *options);

/** Frees what @sweep holds, after its task has ended. */
void sweep_release(struct sweep *sweep);

#endif
