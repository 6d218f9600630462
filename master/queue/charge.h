/*
 * Charging: counting against a job in flight that its process has died of it,
 * or while it ran; and setting aside one of which that has happened too often.
 *
 *     corq:crashes:<jid, or a digest of the job>    see scripts/count.lua
 *
 * A job without a jid, and so any raw one, is known by its bytes: equal ones
 * are one to the counter.
 *
 * Nothing here looks at the lease. Each call to Redis is whole and may be made
 * again, by whoever goes on from where another was killed.
 *
 * Context of all functions here: coroutine on the loop thread, with a large
 * stack. They suspend and are cancellation points. They return 0 or more, or
 *   -EACCES     Redis does not let us, and won't soon: a key of the wrong type,
 *               or a forbidden one; see why;
 *   -EREMOTEIO  Redis can't just now, see why;
 *   or what coro_redis_call() returns.
 */
#ifndef MASTER_QUEUE_CHARGE_H
#define MASTER_QUEUE_CHARGE_H

#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis.h"
#include "master/queue/owner.h"
#include "worker/log.h"

#define CHARGE_KEY_PREFIX "corq:crashes:"

/* How long a counter lasts from its beginning. */
#define CHARGE_WINDOW_MS INT64_C(259200000) /* 72 hours */

/* A name with its kind before it; see scripts/identify.lua. */
#define CHARGE_NAME_BYTES 72

struct charge_job {
    uint64_t number; /* in the process that is gone */
    char attempt[OWNER_ATTEMPT_BYTES];
    char name[CHARGE_NAME_BYTES]; /* empty: not known, not to be counted */
    int64_t count;                /* 0: it was not counted */
};

struct charge {
    struct coro_redis *redis;
    const char *process;             /* that is gone */
    const struct owner_queue *queue; /* of it */
    int64_t deadline_ms;             /* of all calls */
    char why[160];
};

/** Sets the names. A job that is not in flight any more has none. */
int charge_identify(struct charge *charge, struct charge_job *jobs,
                    size_t njobs);

/**
 * Counts those that have a name, and sets their counts.
 *
 * @what  "crashed" or "died".
 * @most  a count after which the next one begins anew; 0: none.
 *
 * A counter that can't be used does not hurt the others: then the count is 0,
 * why is set, and -EACCES is returned at the end.
 */
int charge_count(struct charge *charge, struct charge_job *jobs, size_t njobs,
                 const char *what, int64_t most);

/** Fetches the payload, a string; nil when it is not in flight any more. */
int charge_fetch(struct charge *charge, const char *attempt,
                 struct coro_redis_reply **ret_payload);

/* Why a job is set aside. */
struct charge_reason {
    const char *error_class;
    const char *message;
};

/**
 * Moves @job, which has these bytes, to the dead set that its failures would go
 * to, or nowhere when it wants that; and logs it.
 *
 * Returns 1, or 0 when it was not in flight any more.
 */
int charge_set_aside(struct charge *charge, const struct charge_job *job,
                     const struct coro_redis_reply *payload,
                     const struct charge_reason *reason);

/**
 * Logs a line about @job, formatted as by printf(). Does not suspend.
 *
 * @payload  or NULL: its class is not told.
 */
void charge_log(const struct charge *charge, enum log_level level,
                const struct charge_job *job,
                const struct coro_redis_reply *payload, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
