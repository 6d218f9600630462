/*
 * Schedule: of all processes one moves due jobs to their queues.
 *
 *     every process ──asks every 3 s──▶ the lock corq:leader (6 s)
 *     the leader    ──looks when something is due, at least every second──▶
 *         corq:retry corq:schedule retry schedule ──due.h──▶ queues
 *
 * Asking, refreshing the lock and looking is one script, so that a leader with
 * nothing to do costs Redis one command a second. Its waits are monotonic and
 * no longer than that: a jump of the clock, or a job that another program has
 * added, is noticed within a second.
 *
 * What corq adds itself is known at once. Whoever adds an entry that becomes
 * the first of its set pushes a word to the list corq:wake, in the same script,
 * and the leader, which blocks there on a connection of its own, looks again.
 * In a script with the set and corq:wake among its keys that is, after ZADD
 * (see scripts/add_due.lua, which does it for one entry):
 *
 *     if redis.call('ZRANK', set, member) == 0 then
 *       redis.pcall('LPUSH', wake, '1')
 *       redis.pcall('LTRIM', wake, 0, 0)
 *       redis.pcall('PEXPIRE', wake, 60000)
 *     end
 *
 * Two leaders at once, after a freeze of one of them, do no harm: each job is
 * moved by a script that looks whether it is still there.
 */
#ifndef MASTER_QUEUE_SCHEDULE_H
#define MASTER_QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/random.h"
#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/due.h"
#include "master/queue/trouble.h"

#define SCHEDULE_LEADER_KEY "corq:leader"
#define SCHEDULE_WAKE_KEY   "corq:wake"

/* How long the lock is held without being refreshed. */
#define SCHEDULE_LOCK_MS 6000

struct schedule {
    struct coro_redis *redis;
    const struct coro_redis_address *address;
    const char *client_name;
    const char *process;
    struct due due;
    struct trouble trouble;
    struct coro_rng rng;
    struct coro_task *task; /* the one that asks, while it runs */
    struct list waiters;    /* that task, while nothing is due */
    bool is_stopping;
    bool is_woken;           /* there is news since the last look */
    bool is_leader;          /* by the last answer */
    int64_t leader_until_ms; /* unless it is confirmed until then */

    size_t nsets;        /* how many of due_sets[] we may use … */
    uint64_t generation; /* … on this connection of redis */
    bool is_told_forbidden;
    unsigned broken_sets; /* a bit for each that could not be read */

    struct coro_group wake_group; /* while we lead: the task that blocks */
    struct coro_redis *wake;      /* and its connection, or NULL */
    struct trouble wake_trouble;
};

/* Everything is borrowed until the task has ended. */
struct schedule_options {
    struct coro_group *group;
    struct coro_redis *redis; /* for commands */
    const struct coro_redis_address
        *address;            /* of the connection that blocks */
    const char *client_name; /* and its name */
    const char *process;     /* our identity */
};

/**
 * Starts the task that asks and moves, in the group. Returns 0 or -ENOMEM.
 * Context: loop thread; does not suspend.
 */
int schedule_start(struct schedule *schedule,
                   const struct schedule_options *options);

/**
 * Ends the task and gives the lock back, so that another process takes over.
 * Without it (the group was closed) the lock ends by itself.
 *
 * Returns 0, or when the lock could not be given back -ETIMEDOUT, -ECANCELED
 * or another error of coro_redis_call(). After -ETIMEDOUT and -ECANCELED the
 * task may still be ending. Calling it again is allowed.
 * Context: coroutine on the loop thread, not in the group. Suspends; a
 * cancellation point.
 */
int schedule_stop(struct schedule *schedule, int64_t deadline_ms);

/**
 * True while no other process can have the lock, by the monotonic clock: it
 * was ours when we last asked, and we asked less than SCHEDULE_LOCK_MS ago.
 */
bool schedule_is_leader(const struct schedule *schedule);

#endif
