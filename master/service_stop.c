/*
 * The end of the service: take nothing more, let finish, cancel, set aside,
 * leave. Nothing here waits longer than --shutdown-timeout and a second in all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/service_internal.h"
#include "worker/log.h"

/* The second that is allowed beyond the time-out, and what it is spent on. */
#define BEYOND_MS 950
#define QUIET_MS  200 /* ending the pop that blocks */
#define CANCEL_MS 300 /* handlers that were cancelled */
#define SETTLE_MS 300 /* telling Redis */
#define LEAVE_MS  300 /* each step of taking our name out of Redis */

/* The same for jobs, while there is time. A server that is only slow, writing a
 * large file of its own, say, is worth waiting for. */
#define LEAVE_JOBS_MS 2000

/* How long the worker thread has to free its coroutines: while there is time,
 * beyond the time-out, and when it is known to be stuck. */
#define STOP_MS       5000
#define STOP_LATE_MS  200
#define STOP_STUCK_MS 50

/* Each step of leaving, when the second is used up. */
#define LEAVE_LATE_MS 50

/* Beyond that, while Redis goes on settling some in each step. */
#define SETTLE_STEP_MS 200
#define SETTLE_MOST_MS 5000

/* For jobs that run, when the supervisor is gone: all has to end within 3 s. */
#define ORPHAN_MS 1500

/* What can't be woken by a second signal looks for one so often. */
#define SLICE_MS 50

static void tell(const char *status)
{
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s", status);
}

/* The sooner of @deadline_ms and the end of the time that all may take. */
static int64_t within(const struct service *service, int64_t deadline_ms)
{
    int64_t end_ms = service->drain_deadline_ms + BEYOND_MS;
    return deadline_ms < end_ms ? deadline_ms : end_ms;
}

/* Commands that take jobs are waited for as long as jobs are: what they bring
 * goes back. Only at the end they are given up. */
static int stop_fetching(void *argument)
{
    struct service *service = argument;
    struct fetch *fetch = &service->fetch;
    if (!service->has_fetch)
        return 0;
    int64_t least_ms = coro_after(QUIET_MS);
    int status = fetch_quiet(fetch, least_ms);
    /* With at-least-once an answer that is lost loses nothing. */
    if (status == 0 || service_is_at_least_once(service))
        return status;
    log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
             "no answer yet to a command that takes jobs: waiting for it");
    while (status < 0 && coro_now_ms() < service->drain_deadline_ms)
        status = fetch_quiet(fetch, coro_after(SLICE_MS));
    return status;
}

/* An answer may still be on its way, with nobody left to receive it. */
static void tell_unanswered(struct service *service)
{
    if (!service->has_fetch || service->fetch.nasked == 0 ||
        service_is_at_least_once(service))
        return;
    service->result.end = SERVICE_END_FAILED;
    log_line(LOG_LEVEL_ERROR, "redis", NULL, 0,
             "no answer in time to a command that takes up to %zu jobs: if "
             "Redis carries it out later, they are lost",
             service->fetch.nasked);
}

static void give_up_the_rest(struct service *service)
{
    size_t nstuck = dispatch_give_up(&service->dispatch);
    service->result.is_thread_stuck = nstuck > 0;
    log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
             "%zu jobs did not end when they were cancelled; they are %s",
             nstuck,
             service_is_at_least_once(service) ? "given back all the same"
                                               : "set aside as interrupted");
}

static void cancel_the_rest(struct service *service)
{
    struct dispatch *dispatch = &service->dispatch;
    service_enter(service, SERVICE_PHASE_CANCELLING);
    char status[100];
    snprintf(status, sizeof status, "Cancelling %zu jobs that still run",
             dispatch->nin_flight);
    tell(status);
    dispatch->is_hurried = false;
    /* They come back a few at a time, and are to stand in their queue in the
     * order in which they stood there. */
    settle_hold(&service->settle);
    dispatch_cancel(dispatch);
    if (dispatch_wait_idle(dispatch, coro_after(CANCEL_MS)) < 0)
        give_up_the_rest(service);
    settle_let_go(&service->settle);
}

static void wait_for_jobs(struct service *service)
{
    struct dispatch *dispatch = &service->dispatch;
    if (dispatch->nin_flight == 0)
        return;
    char status[100];
    snprintf(status, sizeof status,
             "Waiting up to %.1f s for %zu jobs that run",
             (double)(service->drain_deadline_ms - coro_now_ms()) / 1000,
             dispatch->nin_flight);
    tell(status);
    if (dispatch_wait_idle(dispatch, service->drain_deadline_ms) < 0)
        cancel_the_rest(service);
}

/* Time is up, but Redis takes what it is told: a great many jobs are not given
 * up half-way, as long as each moment sees some of them settled. */
static void settle_on(struct service *service)
{
    int64_t deadline_ms = coro_after(SETTLE_MOST_MS);
    size_t npending;
    do {
        npending = settle_npending(&service->settle);
        settle_wait_empty(&service->settle, coro_after(SETTLE_STEP_MS));
    } while (settle_npending(&service->settle) > 0 &&
             settle_npending(&service->settle) < npending &&
             coro_now_ms() < deadline_ms);
}

/* Nobody else has these jobs, or Redis has them and others will run them. */
static void tell_unsettled(struct service *service, size_t nleft,
                           const char *why)
{
    if (service_is_at_least_once(service)) {
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "Redis could not be told in time what became of %zu jobs "
                 "(%s): it still has them, and they will be run again",
                 nleft, why);
        return;
    }
    service->result.end = SERVICE_END_FAILED;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
             "%zu jobs could not be given back or set aside in time (%s); each "
             "is in a line above",
             nleft, why);
}

/* Until Redis knows what became of every job, or time is up. */
static void settle_the_rest(struct service *service)
{
    int64_t least_ms = within(service, coro_after(SETTLE_MS));
    int status = settle_wait_empty(&service->settle, least_ms);
    while (status < 0 && coro_now_ms() < service->drain_deadline_ms &&
           !service_is_at_least_once(service))
        status = settle_wait_empty(&service->settle, coro_after(SLICE_MS));
    if (status < 0)
        settle_on(service);
    char why[200];
    snprintf(why, sizeof why, "%s", settle_reason(&service->settle));
    size_t nleft = settle_give_up(&service->settle);
    if (nleft > 0)
        tell_unsettled(service, nleft, why);
}

/* For each step of leaving: within the second, or shortly when that is over. */
static int64_t leave_deadline(const struct service *service, int64_t most_ms)
{
    int64_t least_ms = coro_after(LEAVE_LATE_MS);
    int64_t deadline_ms = within(service, coro_after(most_ms));
    return deadline_ms > least_ms ? deadline_ms : least_ms;
}

/* Jobs that Redis has under our name go back, and the name is given up. */
static void leave_jobs(struct service *service)
{
    int64_t deadline_ms = leave_deadline(service, LEAVE_JOBS_MS);
    lines_rest(&service->lines, deadline_ms);
    bool is_clean =
        !lines_are_busy(&service->lines) && !owner_has_ghosts(&service->owner);
    owner_stop(&service->owner);
    int nback = owner_leave(&service->owner, is_clean, deadline_ms);
    if (nback > 0)
        log_line(LOG_LEVEL_INFO, "redis", NULL, 0,
                 "%d jobs that were taken at the last moment went back", nback);
    if (nback < 0)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "Redis could not be told that this process ends (%s): if it "
                 "has jobs of it, another process will run them within about "
                 "two leases",
                 strerror(-nback));
}

/* What became of the jobs is known by now, so all of them are counted. */
static void leave(struct service *service)
{
    if (service->has_owner)
        leave_jobs(service);
    if (service->has_schedule)
        schedule_stop(&service->schedule, leave_deadline(service, LEAVE_MS));
    if (service->has_heartbeat)
        heartbeat_stop(&service->heartbeat, leave_deadline(service, LEAVE_MS));
}

static void tell_totals(const struct service *service)
{
    const struct counters *counters = &service->dispatch.vitals->counters;
    const struct log_field fields[] = {
        log_int("done", (int64_t)counter_read(&counters->done)),
        log_int("failed", (int64_t)counter_read(&counters->failed)),
        log_int("interrupted", (int64_t)counter_read(&counters->interrupted)),
    };
    uint64_t ndropped = log_dropped();
    log_line(LOG_LEVEL_INFO, NULL, fields, 3, "ended");
    if (ndropped > 0)
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "%llu lines of this log could not be written",
                 (unsigned long long)ndropped);
}

static void stop_worker(struct service *service)
{
    stall_stop(&service->stall);
    int64_t deadline_ms = within(service, coro_after(STOP_MS));
    if (coro_now_ms() >= service->drain_deadline_ms)
        deadline_ms = coro_after(STOP_LATE_MS);
    if (service->result.is_thread_stuck)
        deadline_ms = coro_after(STOP_STUCK_MS);
    if (dispatch_stop(&service->dispatch, deadline_ms) == 0) {
        service->result.is_thread_stuck = false;
        return;
    }
    service->result.is_thread_stuck = true;
    log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
             "the worker thread does not end: leaving without it");
}

/* How long jobs may run on. */
static int64_t drain_ms(const struct service *service)
{
    int64_t most_ms = service->options->shutdown_timeout_ms;
    if (service->is_hurried)
        return 0;
    if (service->is_orphaned && most_ms > ORPHAN_MS)
        return ORPHAN_MS;
    return most_ms;
}

void service_stop(struct service *service)
{
    bool is_running = service->has_dispatch;
    service_enter(service, SERVICE_PHASE_DRAINING);
    service->drain_deadline_ms = coro_after(drain_ms(service));
    tell("Stopping: taking no more jobs");
    if (!is_running)
        return;
    service->dispatch.is_draining = true;
    struct coro_group fetching;
    coro_group_init(&fetching, service->loop);
    coro_group_spawn(&fetching, stop_fetching, service,
                     &(struct coro_spawn_options){.name = "stop fetching",
                                                  .large_stack = true});
    dispatch_drain(&service->dispatch);
    wait_for_jobs(service);
    coro_group_wait(&fetching, CORO_NEVER);
    stop_worker(service);
    settle_the_rest(service);
    tell_unanswered(service);
    leave(service);
    service_enter(service, SERVICE_PHASE_ENDED);
    tell_totals(service);
}
