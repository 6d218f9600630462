/*
 * Takes processes that died without a word out of the set of processes.
 */
#ifndef MASTER_QUEUE_PRUNE_H
#define MASTER_QUEUE_PRUNE_H

#include "coro/io/redis.h"
#include "master/queue/trouble.h"

/**
 * Looks at every member of the set, unless that was done within a minute by
 * whomever: those without a record are taken out. What goes wrong is noted in
 * @trouble.
 *
 * Returns 0, or the status of a call that was not answered.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int prune_processes(struct coro_redis *redis, struct trouble *trouble);

#endif
