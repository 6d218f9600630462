/*
 * Lines: one blocked pop for each queue, each over a connection of its own.
 *
 *     BLMOVE <queue> <inbox of this process> RIGHT LEFT 5
 *
 * What it moves is safe in the inbox, whatever becomes of the answer; the next
 * burst takes it from there. So a line only tells that there is something. One
 * pop for each queue, because a key that can't be used would block the others
 * behind it; and one at a time, because Redis goes on to run what a dead client
 * has sent.
 *
 * Everything here belongs to the master's loop.
 */
#ifndef MASTER_QUEUE_LINES_H
#define MASTER_QUEUE_LINES_H

#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "master/queue/owner.h"
#include "master/queue/trouble.h"

struct line;

struct lines {
    struct line *items;
    size_t nlines;
    struct coro_redis *commands;
    struct coro_redis_options connect;
    struct coro_group tasks;
    int timeout_s;
    bool has_blmove;        /* Redis 6.2; else BRPOPLPUSH */
    bool is_in_trouble;     /* a line can't block: look at queues as well */
    struct trouble trouble; /* of blocking at all */
    struct list come_waiters;
    struct list rest_waiters;
};

struct lines_options {
    struct coro_loop *loop;
    struct owner *owner;
    struct coro_redis *commands;
    const struct coro_redis_address *address;
    const char *client_name;
    int timeout_s; /* of a pop: at most a third of the lease */
};

/**
 * Makes the connections, which come up with @commands, and a task for each.
 * Returns 0 or a negative errno; lines_stop() in both cases.
 * Context: loop thread.
 */
int lines_start(struct lines *lines, const struct lines_options *options);

/** Ends tasks and connections. Context: coroutine. Suspends. */
void lines_stop(struct lines *lines);

/**
 * Waits until something may have come for one of the queues for which @is_wanted
 * is true, at most until @deadline_ms. Pops of other queues that are blocked
 * stay so. Returns 0, or -ECANCELED. Suspends; a cancellation point.
 */
int lines_wait(struct lines *lines, const bool *is_wanted, int64_t deadline_ms);

/** Ends a lines_wait(). */
void lines_nudge(struct lines *lines);

/** True while a pop is blocked, or its answer is on its way. */
bool lines_are_busy(const struct lines *lines);

/**
 * Ends what is blocked, by CLIENT UNBLOCK, and waits for that.
 * Returns 0 when nothing is under way any more, -ETIMEDOUT or -ECANCELED.
 * Suspends; a cancellation point.
 */
int lines_rest(struct lines *lines, int64_t deadline_ms);

#endif
