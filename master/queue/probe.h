/*
 * A look at the server before work begins: is it one that we can work with, and
 * does its configuration keep jobs?
 */
#ifndef MASTER_QUEUE_PROBE_H
#define MASTER_QUEUE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis.h"

struct probe {
    char version[48]; /* "Redis 7.0.15", "Valkey 8.0.1"; empty: not told */
    bool is_too_old;  /* Redis before 5.0 */
    bool is_old;      /* Redis before 6.2: it works, in older ways */
    bool is_cluster;
    bool is_replica;     /* nothing can be taken from it */
    bool snapshots_only; /* a restart goes back to the last snapshot */
    char eviction[32];   /* a policy that may throw jobs away; else empty */
};

/**
 * Asks the server about itself. What it does not tell (old, or not allowed to)
 * is left out.
 *
 * Returns 0 or a negative errno of coro_redis_call(). Context: coroutine on the
 * loop thread. Suspends; a cancellation point.
 */
int probe_server(struct coro_redis *redis, int64_t deadline_ms,
                 struct probe *ret_probe);

/** Reads the text of INFO into @probe, which is all empty. Context: any. */
void probe_read(const char *info, struct probe *probe);

/**
 * Tries whether jobs may be taken from the queue @key, without taking any.
 *
 * @process  our identity with at-least-once, or NULL with at-most-once.
 * @why      what Redis said, when it does not allow that.
 *
 * Returns 0, also when it can't be told; -EACCES when it is not allowed; or
 * -ECANCELED. Context: coroutine on the loop thread. Suspends.
 */
int probe_queue(struct coro_redis *redis, const char *process, const char *key,
                int64_t deadline_ms, char *why, size_t why_size);

/** Logs a warning for each thing that may lose jobs. Does not suspend. */
void probe_warn(const struct probe *probe);

#endif
