/*
 * What becomes of a job that failed: tried again, when; set aside; or dropped.
 *
 * Source of the default curve and of what the job's own fields mean: the public
 * job format of Sidekiq, versions 6.4 to 8.1.
 */
#ifndef MASTER_QUEUE_RETRY_H
#define MASTER_QUEUE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/random.h"
#include "worker/record.h"

enum retry_curve {
    RETRY_CURVE_DEFAULT,     /* count^4 + 15 s, and 0 to 10 * (count + 1) s */
    RETRY_CURVE_FIXED,       /* first_ms each time */
    RETRY_CURVE_EXPONENTIAL, /* first_ms, doubling up to most_ms, less 0-25 % */
};

struct retry_policy {
    int64_t most; /* retries of a job that does not say itself how many */
    enum retry_curve curve;
    int64_t first_ms;
    int64_t most_ms;
};

enum retry_verdict {
    RETRY_VERDICT_AGAIN,
    RETRY_VERDICT_DEAD,
    RETRY_VERDICT_DROP, /* the job wants to be kept nowhere */
};

struct retry_decision {
    enum retry_verdict verdict;
    int64_t count; /* of failures before this one: 0 the first time */
    int64_t at_us; /* AGAIN: when, in microseconds since 1970 */
};

struct retry_failure {
    bool is_permanent;
    int64_t delay_ms; /* what the handler asks for; -1: as configured */
    int64_t now_us;   /* since 1970 */
};

/**
 * Decides about one failure of the job that @record describes.
 * Context: any; @rng is the caller's.
 */
struct retry_decision retry_decide(const struct retry_policy *policy,
                                   const struct record *record,
                                   const struct retry_failure *failure,
                                   struct coro_rng *rng);

/** The wait before retry number @count (from 0), in ms. */
int64_t retry_delay_ms(const struct retry_policy *policy, int64_t count,
                       struct coro_rng *rng);

#endif
