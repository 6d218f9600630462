#include "tests/support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void seed_rng(struct coro_rng *rng)
{
    const char *given = getenv("CORQ_TEST_SEED");
    struct coro_rng seeds;
    coro_rng_init_random(&seeds);
    uint64_t seed =
        given ? strtoull(given, NULL, 10) : coro_rng_below(&seeds, 1000000);
    print_message("--- CORQ_TEST_SEED=%llu\n", (unsigned long long)seed);
    coro_rng_init(rng, seed);
}
