/*
 * The end of the service: take nothing more, let finish, cancel, set aside,
 * leave. Nothing here waits longer than --shutdown-timeout and a second in all.
 */
#include <errno.h>
#include <stdio.h>

#include "coro/base/clock.h"
#include "master/process/notify.h"
#include "master/service_internal.h"
#include "worker/log.h"

/* The second that is allowed beyond the time-out, and what it is spent on. */
#define QUIET_MS  200 /* ending the pop that blocks */
#define CANCEL_MS 300 /* handlers that were cancelled */
#define SETTLE_MS 350 /* telling Redis */
#define STOP_MS   100 /* the worker thread */

static void tell(const char *status)
{
    char state[200];
    snprintf(state, sizeof state, "STOPPING=1\nSTATUS=%s", status);
    notify(state);
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s", status);
}

static void stop_fetching(struct service *service)
{
    if (!service->has_fetch)
        return;
    if (fetch_quiet(&service->fetch, coro_after(QUIET_MS)) == 0)
        return;
    /* Redis does not answer just now. Whatever its reply brings is dealt with
     * while we wait for the jobs; what comes after that can't be helped. */
    log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
             "no answer to the request to end the pop that blocks");
}

static void cancel_the_rest(struct service *service)
{
    struct dispatch *dispatch = &service->dispatch;
    service->phase = SERVICE_PHASE_CANCELLING;
    char status[100];
    snprintf(status, sizeof status, "Cancelling %zu jobs that still run",
             dispatch->nin_flight);
    tell(status);
    dispatch->is_hurried = false;
    dispatch_cancel(dispatch);
    if (dispatch_wait_idle(dispatch, coro_after(CANCEL_MS)) == 0)
        return;
    size_t nstuck = dispatch_give_up(dispatch);
    log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
             "%zu jobs did not end when they were cancelled; they are set "
             "aside as interrupted",
             nstuck);
}

static void wait_for_jobs(struct service *service)
{
    struct dispatch *dispatch = &service->dispatch;
    if (dispatch->nin_flight == 0)
        return;
    char status[100];
    snprintf(status, sizeof status,
             "Waiting up to %.1f s for %zu jobs that run",
             (double)service->options->shutdown_timeout_ms / 1000,
             dispatch->nin_flight);
    tell(status);
    if (dispatch_wait_idle(dispatch, service->drain_deadline_ms) < 0)
        cancel_the_rest(service);
}

/* Until Redis knows what became of every job, or time is up. */
static void settle_the_rest(struct service *service)
{
    int64_t deadline_ms = coro_after(SETTLE_MS);
    bool is_hurried = service->phase == SERVICE_PHASE_CANCELLING;
    if (!is_hurried && service->drain_deadline_ms > deadline_ms)
        deadline_ms = service->drain_deadline_ms;
    settle_wait_empty(&service->settle, deadline_ms);
    size_t nleft = settle_give_up(&service->settle);
    if (nleft == 0)
        return;
    service->result.end = SERVICE_END_FAILED;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
             "%zu jobs could not be given back or set aside: Redis did not "
             "answer in time; each is in a line above",
             nleft);
}

static void tell_totals(const struct service *service)
{
    const struct counters *counters = &service->dispatch.counters;
    const struct log_field fields[] = {
        log_int("done", (int64_t)counter_read(&counters->done)),
        log_int("failed", (int64_t)counter_read(&counters->failed)),
        log_int("interrupted", (int64_t)counter_read(&counters->interrupted)),
    };
    log_line(LOG_LEVEL_INFO, NULL, fields, 3, "ended");
}

void service_stop(struct service *service)
{
    service->phase = SERVICE_PHASE_DRAINING;
    service->drain_deadline_ms =
        coro_after(service->options->shutdown_timeout_ms);
    tell("Stopping: taking no more jobs");
    if (!service->has_dispatch)
        return;
    service->dispatch.is_draining = true;
    stop_fetching(service);
    dispatch_drain(&service->dispatch);
    wait_for_jobs(service);
    settle_the_rest(service);
    service->phase = SERVICE_PHASE_ENDED;
    if (dispatch_stop(&service->dispatch, coro_after(STOP_MS)) < 0) {
        service->result.is_thread_stuck = true;
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "a handler neither ends nor yields: leaving without it");
    }
    tell_totals(service);
}
