#include "coro/base/random.h"

#include <errno.h>
#include <sys/random.h>

int coro_random_bytes(void *out, size_t len)
{
    char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        at += got;
        len -= (size_t)got;
    }
    return 0;
}

int coro_random_hex(char *out, size_t nbytes)
{
    /* The bytes go to the second half and are spread out from the front. */
    unsigned char *bytes = (unsigned char *)out + nbytes;
    int status = coro_random_bytes(bytes, nbytes);
    if (status < 0)
        return status;
    for (size_t i = 0; i < nbytes; i++) {
        unsigned byte = bytes[i];
        out[2 * i] = "0123456789abcdef"[byte >> 4];
        out[2 * i + 1] = "0123456789abcdef"[byte & 15];
    }
    out[2 * nbytes] = '\0';
    return 0;
}

void coro_rng_init(struct coro_rng *rng, uint64_t seed)
{
    rng->state = seed;
}

int coro_rng_init_random(struct coro_rng *rng)
{
    uint64_t seed;
    int status = coro_random_bytes(&seed, sizeof(seed));
    if (status == 0)
        coro_rng_init(rng, seed);
    return status;
}

/*
 * SplitMix64; the constants are those of Steele, Lea and Flood, "Fast
 * splittable pseudorandom number generators" (OOPSLA 2014), with the mixing
 * function that the paper calls variant 13 of David Stafford's.
 */
uint64_t coro_rng_next(struct coro_rng *rng)
{
    rng->state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = rng->state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

uint64_t coro_rng_below(struct coro_rng *rng, uint64_t bound)
{
    /* The bias of the remainder is below 2^-32 for the bounds of a jitter. */
    return bound ? coro_rng_next(rng) % bound : 0;
}
