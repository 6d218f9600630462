/*
 * Runs a script of scripts.h: by its SHA-1, and by its text where the server
 * does not know it (any more): after a restart, a failover, SCRIPT FLUSH.
 *
 *     const char *argv[SCRIPT_WORDS + 2];
 *     argv[SCRIPT_WORDS] = key;
 *     argv[SCRIPT_WORDS + 1] = argument;
 *     status = script_call(redis, &script_x, 1, SCRIPT_WORDS + 2, argv, NULL,
 *                          deadline_ms, &reply);
 */
#ifndef MASTER_QUEUE_SCRIPT_H
#define MASTER_QUEUE_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis.h"
#include "master/queue/scripts.h"

/* How many words at the beginning of argv are filled by script_call(). */
#define SCRIPT_WORDS 3

/**
 * Runs @script once.
 *
 * @nkeys          how many of the words after the first SCRIPT_WORDS are keys.
 * @argc           how many words there are, those included.
 * @argv, @lens    as for coro_redis_call(); the first SCRIPT_WORDS of both are
 *                 written by this call.
 *
 * Returns as coro_redis_call(), with these replies. When the connection is lost
 * the script may or may not have been run, once.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int script_call(struct coro_redis *redis, const struct script *script,
                size_t nkeys, int argc, const char **argv, size_t *lens,
                int64_t deadline_ms, struct coro_redis_reply **ret_reply);

#endif
