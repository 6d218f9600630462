#include "coro/base/backoff.h"

#include "coro/base/clock.h"
#include "coro/base/ensure.h"

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void coro_backoff_init(struct coro_backoff *backoff, int64_t first_ms,
                       int64_t max_ms, uint64_t seed)
{
    ensure(first_ms >= 1 && max_ms >= first_ms && max_ms < CORO_NEVER / 4);
    *backoff = (struct coro_backoff){
        .first_ms = first_ms,
        .max_ms = max_ms,
        .wait_ms = first_ms,
        .healthy_since_ms = CORO_NEVER,
    };
    coro_rng_init(&backoff->rng, seed);
}

int64_t coro_backoff_next_ms(struct coro_backoff *backoff)
{
    int64_t step_ms = backoff->wait_ms;
    int64_t low_ms = (step_ms + 1) / 2;
    int64_t high_ms = smaller(step_ms + step_ms / 2, backoff->max_ms);
    uint64_t nchoices = (uint64_t)(high_ms - low_ms) + 1;
    backoff->wait_ms = smaller(2 * step_ms, backoff->max_ms);
    return low_ms + (int64_t)coro_rng_below(&backoff->rng, nchoices);
}

void coro_backoff_success(struct coro_backoff *backoff, int64_t now_ms)
{
    if (backoff->healthy_since_ms == CORO_NEVER)
        backoff->healthy_since_ms = now_ms;
}

void coro_backoff_failure(struct coro_backoff *backoff, int64_t now_ms)
{
    int64_t since_ms = backoff->healthy_since_ms;
    backoff->healthy_since_ms = CORO_NEVER;
    if (since_ms != CORO_NEVER && now_ms - since_ms >= CORO_BACKOFF_HEALTHY_MS)
        backoff->wait_ms = backoff->first_ms;
}
