/*
 * What a child does for another one that has died, when the supervisor says so:
 * counts the job that it died of, and gives back what it had.
 *
 *     now        recover_process(): the supervisor has its place back then
 *     10 s on    once more, and it is forgotten
 *
 * A pop that the dead one had just sent may move a job into its inbox when it
 * was recovered already: the server reads what a dead peer has sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/queue/recover.h"
#include "master/service_internal.h"

#define ANSWER_MS 30000

/* Before the next try, after an error of Redis's; doubling. Each tells of it in
 * the log, and some errors last until somebody mends them. */
#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS  60000

/* So long after its death a process has no pop at the server any more. */
#define LATER_MS 10000

static struct recover_options options_of(const struct service *service)
{
    return (struct recover_options){
        .redis = service->commands,
        .queues = service->queues,
        .nqueues = service->options->queues.count,
        .process = service->identity,
    };
}

static enum recover_cause cause_of(const struct link_message *what)
{
    switch (what->cause) {
    case LINK_CAUSE_CRASH:
        return RECOVER_CRASH;
    case LINK_CAUSE_KILLED:
        return RECOVER_KILLED;
    default:
        return RECOVER_INNOCENT;
    }
}

static void describe(const struct link_message *what,
                     const struct vitals *vitals, char text[VITALS_WHAT_BYTES])
{
    char number[16];
    text[0] = '\0';
    if (what->cause == LINK_CAUSE_CRASH)
        vitals_describe_crash(&vitals->crash, text);
    else if (what->cause == LINK_CAUSE_KILLED && what->status > 0)
        snprintf(text, VITALS_WHAT_BYTES, "%s",
                 vitals_signal_name(what->status, number));
}

static int try_once(struct service *service, const struct recover_case *corpse)
{
    const struct recover_options options = options_of(service);
    if (coro_redis_wait_up(service->commands, CORO_NEVER) < 0)
        return -ECANCELED;
    int64_t n = recover_process(&options, corpse, coro_after(ANSWER_MS));
    return n < 0 ? (int)n : 0;
}

/* What another try may mend. */
static bool may_go_on(int status)
{
    return status < 0 && status != -ECANCELED && status != -EINVAL &&
           status != -EBUSY;
}

static int go_on(struct service *service, const struct recover_case *corpse,
                 int status)
{
    int64_t wait_ms = RETRY_FIRST_MS;
    while (may_go_on(status)) {
        if (coro_sleep(wait_ms) < 0)
            return -ECANCELED;
        wait_ms = wait_ms < RETRY_MOST_MS / 2 ? 2 * wait_ms : RETRY_MOST_MS;
        status = try_once(service, corpse);
    }
    return status;
}

void service_hold(struct service *service)
{
    service->nrecovering++;
    if (service->has_dispatch)
        dispatch_pause(&service->dispatch);
}

void service_let_go(struct service *service)
{
    service->nrecovering--;
    if (service->has_dispatch)
        dispatch_let_go(&service->dispatch);
}

/* No job is taken during the first try: the very job that the dead one died of
 * goes back in it before all others, and would end it half-way. */
int service_recover(struct service *service, const struct link_message *what,
                    const struct vitals *vitals)
{
    char text[VITALS_WHAT_BYTES];
    const struct recover_case corpse = {
        .identity = vitals->identity,
        .vitals = vitals,
        .nmarks = service->options->concurrency,
        .cause = cause_of(what),
        .what = text,
    };
    describe(what, vitals, text);
    if (coro_event_wait(&service->working, CORO_NEVER) < 0)
        return -ECANCELED;
    int status =
        service_is_at_least_once(service) ? try_once(service, &corpse) : 0;
    service_let_go(service);
    return go_on(service, &corpse, status);
}

int service_recover_later(struct service *service, const char *identity)
{
    if (!service_is_at_least_once(service))
        return 0;
    const struct recover_options options = options_of(service);
    const struct recover_case corpse = {
        .identity = identity,
        .cause = RECOVER_INNOCENT,
        .what = "",
    };
    int status = coro_sleep(LATER_MS);
    if (status == 0)
        status = try_once(service, &corpse);
    status = go_on(service, &corpse, status);
    if (status == 0)
        status = recover_forget(&options, identity, coro_after(ANSWER_MS));
    return status;
}
