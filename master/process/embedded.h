/*
 * A private redis-server, for trying things out and for small installations:
 * started when none answers at the address, stopped with us.
 *
 * It listens on loopback or on the unix socket of the address only, keeps an
 * append-only file, and runs in a process group of its own, so that Ctrl-C in a
 * terminal reaches us first and it only afterwards. If we are killed the kernel
 * ends it.
 */
#ifndef MASTER_PROCESS_EMBEDDED_H
#define MASTER_PROCESS_EMBEDDED_H

#include <stddef.h>
#include <sys/types.h>

#include "coro/io/redis_url.h"

struct embedded {
    pid_t pid; /* 0: not ours, or none */
    char dir[256];
};

/**
 * Starts a server at @address unless something listens there already.
 *
 * @dir  where its data goes; NULL: corq/redis in the user's state directory.
 *
 * Returns 0, or a negative errno with an explanation in @why. Waits until the
 * server listens, or for 10 s, or until we are asked to stop ourselves.
 * Context: main thread, before there are others. Ownership: embedded_stop().
 */
int embedded_start(struct embedded *embedded,
                   const struct coro_redis_address *address, const char *dir,
                   char *why, size_t why_size);

/** Ends the server, if it is ours: asks it, waits up to 10 s, kills it. */
void embedded_stop(struct embedded *embedded);

#endif
