/*
 * Ownership: what says, in Redis, that this process lives and which jobs it
 * has.
 *
 *     corq:lease:<process>                 while it lives; refreshed from here
 *     corq:owners                          set: "<process> <queue key>"
 *     corq:inbox:<process>:<queue key>     what blocking pops have moved
 *     corq:inflight:<process>:<queue key>  hash: attempt -> payload
 *
 * The lease's value names the connection that commands are sent over. A script
 * that takes jobs compares it: one that arrives late, from a connection of ours
 * that is dead, takes nothing. After each reconnect, and when the lease was
 * found missing, it is taken anew, and what is in flight there is compared with
 * what is known here (reconcile.h) before more is taken.
 *
 * Everything here belongs to the master's loop.
 */
#ifndef MASTER_QUEUE_OWNER_H
#define MASTER_QUEUE_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "coro/base/list.h"
#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/trouble.h"
#include "worker/job.h"

#define OWNER_LEASE_PREFIX    "corq:lease:"
#define OWNER_INBOX_PREFIX    "corq:inbox:"
#define OWNER_INFLIGHT_PREFIX "corq:inflight:"
#define OWNER_SET_KEY         "corq:owners"

/* An attempt as a field of the hash: its number, so wide, and a zero byte. */
#define OWNER_ATTEMPT_BYTES 17

#define OWNER_VALUE_MAX 128
#define OWNER_WHERE_MAX 80

/* A key of ours; any bytes. */
struct owner_key {
    char *bytes;
    size_t len;
};

/* What one process has of one queue. */
struct owner_queue {
    const char *key; /* of the queue */
    size_t key_len;
    struct owner_key inbox;
    struct owner_key inflight;
    struct owner_key member; /* of the set of owners */
    size_t ninbox;           /* how much may lie in the inbox, as known here */
    int64_t ghost_until_ms;  /* a pop that we have given up may fill it yet */
};

struct owner {
    struct coro_redis *redis;
    const char *process;
    int64_t lease_ms;
    struct owner_key lease;
    char value[OWNER_VALUE_MAX]; /* of the lease, when it was last taken */
    char where[OWNER_WHERE_MAX]; /* the boot and the pid namespace we are in */
    pid_t supervisor;            /* who looks after us there; 0: nobody */
    uint64_t number;             /* of the lease's value: counts up */
    uint64_t generation;         /* of the connection that it was taken for */
    uint64_t next_attempt;
    bool is_held;
    bool has_had; /* the lease, once; from then on it is there or was lost */
    bool must_reconcile;
    const struct job_queue *first_queue;
    struct owner_queue *queues; /* in the order of the job queues */
    size_t nqueues;
    struct coro_group tasks;
    struct list keeper_waiters;
    struct list held_waiters;
    void (*on_held)(void *argument); /* it was taken: reconcile */
    void *argument;
    struct trouble trouble;
};

struct owner_options {
    struct coro_redis *redis;
    const char *process; /* identity; no spaces; borrowed */
    int64_t lease_ms;
    pid_t supervisor; /* it recovers what we have when we die; 0: nobody does */
    const struct job_queue *queues; /* borrowed, one array */
    size_t nqueues;
    void (*on_held)(void *argument);
    void *argument;
};

/**
 * Where process numbers mean what they mean here: the same boot of the same
 * machine, and the same pid namespace. Empty where that can't be told.
 */
void owner_learn_where(char where[OWNER_WHERE_MAX]);

/** Prepares @owner. Returns 0 or -ENOMEM. Ownership: owner_release(). */
int owner_init(struct owner *owner, const struct owner_options *options);

/** Frees what @owner holds, after its task has ended. */
void owner_release(struct owner *owner);

/**
 * Takes apart the value of a lease of any process: true when that ran where we
 * do, as @where says; then @ret_supervisor is who looks after it, 0 for nobody.
 */
bool owner_value_is_local(const char *value, const char *where,
                          pid_t *ret_supervisor);

/** Starts to take and keep the lease, as a task of its own. */
int owner_start(struct owner *owner, struct coro_loop *loop);

/** Ends that task. Context: coroutine on the loop thread. Suspends. */
void owner_stop(struct owner *owner);

/** True while the lease is held for the present connection. */
bool owner_is_current(const struct owner *owner);

/**
 * Waits until the lease is held for the present connection.
 * Returns 0, -ETIMEDOUT or -ECANCELED. Suspends; a cancellation point.
 */
int owner_wait_held(struct owner *owner, int64_t deadline_ms);

/** The lease was found missing, or to be another's: it will be taken anew. */
void owner_note_lost(struct owner *owner);

/** Something has changed, such as the connection: looks at once. */
void owner_nudge(struct owner *owner);

/** What this process has of @queue, which is one of those it was made with. */
struct owner_queue *owner_queue(struct owner *owner,
                                const struct job_queue *queue);

/**
 * Gives back what is left in Redis under this process's name, gives up the
 * lease, and, where @is_clean (no pop can be under way any more), forgets the
 * owner. To be called after everything was settled and owner_stop().
 *
 * Returns how many jobs went back; negative: Redis could not be told in time,
 * and the sweeper of another process will do it. Suspends.
 */
int owner_leave(struct owner *owner, bool is_clean, int64_t deadline_ms);

/** True while a pop that was given up may still move a job into an inbox. */
bool owner_has_ghosts(const struct owner *owner);

/** Fills @ret with the keys of @process and @queue. 0 or -ENOMEM. */
int owner_queue_init(struct owner_queue *ret, const char *process,
                     const char *key, size_t key_len);

/** Frees the keys. */
void owner_queue_release(struct owner_queue *queue);

/** Joins @prefix, @process and, unless it is NULL, ':' and @key. */
int owner_key_make(struct owner_key *ret, const char *prefix,
                   const char *process, const char *key, size_t key_len);

/** True when @text is such a number. */
bool owner_is_attempt(const char *text);

/** Sorts such numbers, the oldest first. */
void owner_sort_attempts(const char **attempts, size_t nattempts);

/** Writes an attempt's number as it stands in the hash. */
void owner_format_attempt(char text[OWNER_ATTEMPT_BYTES], uint64_t attempt);

#endif
