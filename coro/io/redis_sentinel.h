/*
 * Finding the primary of a Redis that Sentinel watches over. Internal to
 * coro/io/redis*.c; whoever uses a connection sees nothing of it.
 *
 * The sentinels of the address are asked one after the other, each on a
 * connection that lives for the one question, until one names the primary. Who
 * did is asked first next time, for as long as what it says proves true: a
 * sentinel that was cut off from the others names an old primary.
 *
 * After a failover Sentinel leaves the old primary as it is for some seconds,
 * with all its clients, and what these write there is lost. So who is connected
 * asks every now and then.
 */
#ifndef CORO_IO_REDIS_SENTINEL_H
#define CORO_IO_REDIS_SENTINEL_H

#include <stdbool.h>

struct coro_redis;
struct coro_redis_place;

/* How often a connection that is up asks whether its server is still it. */
#define CORO_REDIS_ASK_AGAIN_MS 2000

/* The reason for leaving a server that is up. */
#define CORO_REDIS_MOVED "the primary is another one now"

/**
 * Asks for the primary and keeps its place in @redis.
 *
 * Returns 0, or with the reason set to who was asked and what each said
 *   -ENOENT  nobody named it;
 *   -ECANCELED, -ENOMEM.
 *
 * Context: coroutine on the loop thread. Suspends, for at most a second for
 * each sentinel; a cancellation point.
 */
int coro_redis_ask_sentinels(struct coro_redis *redis);

/**
 * Asks the sentinel that has named the present server once more, and no other
 * one, which may know less. Drops the connection when it names another server;
 * when it says nothing, nothing happens.
 *
 * Returns 0, -ECANCELED, or another negative errno, which can be ignored.
 * Context: coroutine on the loop thread. Suspends, for at most a second; a
 * cancellation point.
 */
int coro_redis_ask_again(struct coro_redis *redis);

/** True when @redis is, or was last, connected to @place. */
bool coro_redis_place_is(const struct coro_redis *redis,
                         const struct coro_redis_place *place);

/**
 * The server that was named is of no use, for the reason that is set: puts its
 * place before the reason, and another sentinel first. Nothing happens where
 * none was asked.
 */
void coro_redis_doubt_sentinel(struct coro_redis *redis);

#endif
