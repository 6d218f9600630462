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

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "coro/io/redis_url.h"

/* What was at the address before. */
enum embedded_found {
    EMBEDDED_FOUND_NOBODY,
    EMBEDDED_FOUND_REDIS,
    EMBEDDED_FOUND_STRANGER, /* it listens, but does not speak as Redis does */
};

struct embedded {
    pid_t pid;   /* 0: not ours, or none */
    int lock_fd; /* of the data's directory, which is for one server only */
    enum embedded_found found;
    char dir[256];
};

/**
 * Starts a server at @address unless something listens there already.
 *
 * @dir  where its data goes; NULL: a directory for this address among the user's
 *       state.
 *
 * Returns 0, or a negative errno with an explanation in @why. Waits until the
 * server listens, or for 10 s, or until we are asked to stop ourselves.
 * Context: main thread, before there are others. Ownership: embedded_stop().
 */
int embedded_start(struct embedded *embedded,
                   const struct coro_redis_address *address, const char *dir,
                   char *why, size_t why_size);

/**
 * Whether there is no server of ours (any more). Context: the thread that
 * started it; does not block.
 */
bool embedded_has_ended(struct embedded *embedded);

/**
 * Notes that process @pid has ended and was waited for. Returns whether that
 * was our server. Context: the thread that started it.
 */
bool embedded_note_end(struct embedded *embedded, pid_t pid);

/** Ends the server, if it is ours: asks it, waits up to 5 s, kills it. */
void embedded_stop(struct embedded *embedded);

#endif
