#include "master/queue/trouble.h"

#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "worker/log.h"

void trouble_init(struct trouble *trouble, const char *what)
{
    struct coro_rng seed = {0};
    coro_rng_init_random(&seed);
    coro_backoff_init(&trouble->backoff, CORO_BACKOFF_FIRST_MS,
                      CORO_BACKOFF_MAX_MS, coro_rng_next(&seed));
    trouble->what = what;
    trouble->reason[0] = '\0';
}

int64_t trouble_note(struct trouble *trouble, const char *reason)
{
    if (strncmp(trouble->reason, reason, sizeof trouble->reason - 1) != 0) {
        snprintf(trouble->reason, sizeof trouble->reason, "%s", reason);
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0, "%s: %s; will try again",
                 trouble->what, trouble->reason);
    }
    coro_backoff_failure(&trouble->backoff, coro_now_ms());
    return coro_backoff_next_ms(&trouble->backoff);
}

void trouble_over(struct trouble *trouble)
{
    coro_backoff_success(&trouble->backoff, coro_now_ms());
    if (!trouble_is_on(trouble))
        return;
    trouble->reason[0] = '\0';
    log_line(LOG_LEVEL_INFO, "redis", NULL, 0, "%s: works again",
             trouble->what);
}
