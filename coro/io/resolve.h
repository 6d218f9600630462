/*
 * Host names to addresses, without blocking the loop.
 *
 * The system's own resolver is asked (hosts file, DNS, whatever nsswitch.conf
 * says), in a thread that lives for one look-up: it knows no other way than to
 * block, and can't be made to stop. A look-up that is given up on, or whose loop
 * is freed, ends by itself later, and nobody waits for that.
 *
 * This is why the thread is not one of the loop's pool, executor.h: those are
 * few and are waited for when the loop ends. Names that take half a minute to
 * fail would keep other work waiting, and the process from ending; and work that
 * has all the threads would keep a connection from being made again.
 */
#ifndef CORO_IO_RESOLVE_H
#define CORO_IO_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#define CORO_ADDRESS_MAX   46 /* INET6_ADDRSTRLEN */
#define CORO_ADDRESSES_MAX 8

struct coro_addresses {
    size_t naddresses;
    char texts[CORO_ADDRESSES_MAX][CORO_ADDRESS_MAX]; /* numeric */
};

/**
 * Looks @host up. A numeric address is its own answer, at once, and so are both
 * loopback addresses for "localhost", as RFC 6761 section 6.3 would have it.
 *
 * Returns 0 and at least one address in @ret_addresses, in the order of the
 * system's preference, or
 *   -ENOENT      there is no such name;
 *   -EAGAIN      nobody could be asked just now;
 *   -ETIMEDOUT, -ECANCELED, -ENOMEM.
 *
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_resolve(const char *host, int64_t deadline_ms,
                 struct coro_addresses *ret_addresses);

#endif
