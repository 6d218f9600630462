/*
 * Random numbers: the kernel's for names that must never meet, and a small
 * fast generator for jitter.
 *
 * Context of every function here: any thread, does not suspend. A generator
 * belongs to one thread at a time.
 */
#ifndef CORO_BASE_RANDOM_H
#define CORO_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/** Fills @out with @len random bytes. Returns 0 or a negative errno. */
int coro_random_bytes(void *out, size_t len);

/**
 * Writes @nbytes random bytes in lower-case hexadecimal and a zero byte:
 * 2 * @nbytes + 1 bytes at @out. Returns 0 or a negative errno.
 */
int coro_random_hex(char *out, size_t nbytes);

/* Good enough to spread waits; not for anything that must not be guessed. */
struct coro_rng {
    uint64_t state;
};

/** Seeds @rng: the same seed gives the same numbers. Every seed is good. */
void coro_rng_init(struct coro_rng *rng, uint64_t seed);

/** Seeds @rng from the kernel. Returns 0 or a negative errno. */
int coro_rng_init_random(struct coro_rng *rng);

/** The next number of @rng, all 64 bits of it. */
uint64_t coro_rng_next(struct coro_rng *rng);

/** A number from 0 to @bound - 1, or 0 when @bound is 0. */
uint64_t coro_rng_below(struct coro_rng *rng, uint64_t bound);

#endif
