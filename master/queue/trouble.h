/*
 * Trouble: waits between attempts that grow, and one log line per change.
 *
 * Whoever talks to Redis keeps one of these. Each failure is told once, with
 * its reason, and not again until the reason changes or it is over; every
 * attempt after a failure waits a little longer, see coro/base/backoff.h.
 */
#ifndef MASTER_QUEUE_TROUBLE_H
#define MASTER_QUEUE_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "coro/base/backoff.h"

struct trouble {
    struct coro_backoff backoff;
    const char *what; /* "taking jobs": begins the log line */
    char reason[160]; /* empty: none */
};

/** No trouble yet. @what is static. */
void trouble_init(struct trouble *trouble, const char *what);

/**
 * Notes a failure because of @reason, logs it if it is news, and returns how
 * long to wait before the next attempt, in ms. Does not suspend.
 */
int64_t trouble_note(struct trouble *trouble, const char *reason);

/** Notes that it works; logs that if it had not. */
void trouble_over(struct trouble *trouble);

/** True from a failure until it works again. */
static inline bool trouble_is_on(const struct trouble *trouble)
{
    return trouble->reason[0] != '\0';
}

#endif
