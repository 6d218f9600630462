#include "master/queue/retry.h"

/* Beyond this a wait is a year or more, and the curve's numbers overflow. */
#define COUNT_MOST 100

static int64_t default_ms(int64_t count, struct coro_rng *rng)
{
    uint64_t spread_ms = 10000 * (uint64_t)(count + 1);
    return (count * count * count * count + 15) * 1000 +
           (int64_t)coro_rng_below(rng, spread_ms);
}

static int64_t exponential_ms(const struct retry_policy *policy, int64_t count,
                              struct coro_rng *rng)
{
    int64_t wait_ms = policy->first_ms;
    for (int64_t i = 0; i < count && wait_ms < policy->most_ms; i++)
        wait_ms *= 2;
    if (wait_ms > policy->most_ms)
        wait_ms = policy->most_ms;
    return wait_ms - (int64_t)coro_rng_below(rng, (uint64_t)wait_ms / 4 + 1);
}

int64_t retry_delay_ms(const struct retry_policy *policy, int64_t count,
                       struct coro_rng *rng)
{
    if (count > COUNT_MOST)
        count = COUNT_MOST;
    switch (policy->curve) {
    case RETRY_CURVE_FIXED:
        return policy->first_ms;
    case RETRY_CURVE_EXPONENTIAL:
        return exponential_ms(policy, count, rng);
    case RETRY_CURVE_DEFAULT:
        break;
    }
    return default_ms(count, rng);
}

/* A limit in time takes the place of the one in number. */
static bool is_exhausted(const struct retry_policy *policy,
                         const struct record *record, int64_t count,
                         int64_t now_us)
{
    /* Rounded up: a part of a second beyond it is beyond it. */
    if (record->retry_for_s >= 0)
        return record->failed_at_us >= 0 &&
               (now_us - record->failed_at_us + 999999) / 1000000 >
                   record->retry_for_s;
    int64_t most =
        record->retry == RECORD_RETRY_DEFAULT ? policy->most : record->retry;
    return count >= most;
}

struct retry_decision retry_decide(const struct retry_policy *policy,
                                   const struct record *record,
                                   const struct retry_failure *failure,
                                   struct coro_rng *rng)
{
    struct retry_decision decision = {
        .count = record->retry_count < 0 ? 0 : record->retry_count + 1,
    };
    if (record->retry == RECORD_RETRY_NEVER) {
        decision.verdict = RETRY_VERDICT_DROP;
        return decision;
    }
    if (failure->is_permanent ||
        is_exhausted(policy, record, decision.count, failure->now_us)) {
        decision.verdict =
            record->keep_dead ? RETRY_VERDICT_DEAD : RETRY_VERDICT_DROP;
        return decision;
    }
    int64_t delay_ms = failure->delay_ms >= 0
                           ? failure->delay_ms
                           : retry_delay_ms(policy, decision.count, rng);
    decision.verdict = RETRY_VERDICT_AGAIN;
    decision.at_us = failure->now_us + delay_ms * 1000;
    return decision;
}
