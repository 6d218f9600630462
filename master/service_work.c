/*
 * What the service works with, put together: queues, the owner's lease, the
 * worker thread, settling and fetching; differently for each promise of
 * delivery.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "master/queue/fetch_mode.h"
#include "master/service_internal.h"

bool service_is_at_least_once(const struct service *service)
{
    return service->options->delivery == OPTIONS_DELIVERY_AT_LEAST_ONCE;
}

static int make_queues(struct service *service)
{
    const struct options_queues *given = &service->options->queues;
    service->queues = calloc(given->count, sizeof *service->queues);
    if (!service->queues)
        return -ENOMEM;
    for (size_t i = 0; i < given->count; i++)
        service->queues[i] = (struct job_queue){
            .key = given->items[i].key,
            .key_len = strlen(given->items[i].key),
            .weight = given->items[i].weight,
            .place = (uint32_t)i,
        };
    return 0;
}

/* The lease was taken, anew: whoever takes jobs has to look at that first. */
static void on_held(void *argument)
{
    struct service *service = argument;
    if (service->has_lines)
        lines_nudge(&service->lines);
    if (service->has_dispatch)
        dispatch_nudge(&service->dispatch);
}

static pid_t supervisor_of(const struct service *service)
{
    return service->shared ? shared_supervisor(service->shared) : 0;
}

static int start_owner(struct service *service)
{
    int status = owner_init(&service->owner,
                            &(struct owner_options){
                                .redis = service->commands,
                                .process = service->identity,
                                .lease_ms = service->options->lease_ms,
                                .queues = service->queues,
                                .nqueues = service->options->queues.count,
                                .on_held = on_held,
                                .argument = service,
                                .supervisor = supervisor_of(service),
                            });
    if (status < 0)
        return status;
    service->has_owner = true;
    return owner_start(&service->owner, service->loop);
}

/* The pop's time-out is a third of the lease at the most: a pop of a dead
 * connection then ends before anybody forgets that its inbox may be filled. */
static int start_lines(struct service *service)
{
    int64_t timeout_s = service->options->lease_ms / 3000;
    if (timeout_s > FETCH_WAIT_S)
        timeout_s = FETCH_WAIT_S;
    service->has_lines = true;
    return lines_start(&service->lines,
                       &(struct lines_options){
                           .loop = service->loop,
                           .owner = &service->owner,
                           .commands = service->commands,
                           .address = &service->options->redis,
                           .client_name = service->identity,
                           .timeout_s = timeout_s > 0 ? (int)timeout_s : 1,
                       });
}

/* What is between this process and its jobs in Redis. */
static int start_hold(struct service *service)
{
    if (!service_is_at_least_once(service))
        return service_connect_blocking(service);
    int status = start_owner(service);
    return status < 0 ? status : start_lines(service);
}

static struct retry_policy policy_of(const struct options *options)
{
    static const enum retry_curve curves[] = {
        [OPTIONS_RETRY_DELAY_DEFAULT] = RETRY_CURVE_DEFAULT,
        [OPTIONS_RETRY_DELAY_FIXED] = RETRY_CURVE_FIXED,
        [OPTIONS_RETRY_DELAY_EXP] = RETRY_CURVE_EXPONENTIAL,
    };

    return (struct retry_policy){
        .most = (int64_t)options->retry,
        .curve = curves[options->retry_delay.kind],
        .first_ms = options->retry_delay.first_ms,
        .most_ms = options->retry_delay.most_ms,
    };
}

static int start_settle(struct service *service)
{
    bool is_least = service_is_at_least_once(service);
    service->has_settle = true;
    return settle_start(
        &service->settle,
        &(struct settle_options){
            .mode = is_least ? &settle_at_least_once : &settle_at_most_once,
            .group = &service->tasks,
            .redis = service->commands,
            .process = service->identity,
            .owner = is_least ? &service->owner : NULL,
            .retry = policy_of(service->options),
            .on_settled = dispatch_settled,
            .argument = &service->dispatch,
        });
}

static int start_dispatch(struct service *service)
{
    int status =
        dispatch_start(&service->dispatch, service->loop,
                       &(struct dispatch_options){
                           .concurrency = service->options->concurrency,
                           .registry = service->registry,
                           .settle = &service->settle,
                           .vitals = service->vitals,
                       });
    service->has_dispatch = status == 0;
    service->dispatch.nholds = service->nrecovering;
    return status;
}

static int start_stall(struct service *service)
{
    return stall_start(&service->stall,
                       &(struct stall_options){
                           .group = &service->tasks,
                           .dispatch = &service->dispatch,
                           .warn_ms = service->options->stall_warn_ms,
                           .abort_ms = service->options->stall_abort_ms,
                       });
}

static int start_fetch(struct service *service)
{
    bool is_least = service_is_at_least_once(service);
    int status = fetch_init(
        &service->fetch,
        &(struct fetch_options){
            .queues = service->queues,
            .nqueues = service->options->queues.count,
            .mode = is_least ? &fetch_at_least_once : &fetch_at_most_once,
            .commands = service->commands,
            .blocking = service->blocking,
            .owner = is_least ? &service->owner : NULL,
            .lines = is_least ? &service->lines : NULL,
            .dispatch = &service->dispatch,
            .max_payload_bytes = service->options->max_payload_bytes,
        });
    if (status < 0)
        return status;
    service->has_fetch = true;
    return fetch_start(&service->fetch, &service->tasks);
}

/* What is done for the whole fleet, by one process at a time. */
static int start_common(struct service *service)
{
    service->has_schedule = true;
    int status = schedule_start(&service->schedule,
                                &(struct schedule_options){
                                    .group = &service->tasks,
                                    .redis = service->commands,
                                    .address = &service->options->redis,
                                    .client_name = service->identity,
                                    .process = service->identity,
                                });
    if (status < 0)
        return status;
    service->has_sweep = true;
    return sweep_start(&service->sweep,
                       &(struct sweep_options){
                           .group = &service->tasks,
                           .redis = service->commands,
                           .process = service->identity,
                           .schedule = &service->schedule,
                           .lease_ms = service->options->lease_ms,
                           .is_one_of_many = service->is_one_of_many,
                       });
}

static bool is_quiet(void *argument)
{
    struct service *service = argument;
    return service->phase > SERVICE_PHASE_RUNNING;
}

static int start_heartbeat(struct service *service)
{
    int status =
        heartbeat_start(&service->heartbeat,
                        &(struct heartbeat_options){
                            .group = &service->tasks,
                            .redis = service->commands,
                            .identity = service->identity,
                            .queues = service->queues,
                            .nqueues = service->options->queues.count,
                            .concurrency = service->options->concurrency,
                            .counters = &service->dispatch.vitals->counters,
                            .in_flight = &service->dispatch.in_flight,
                            .is_quiet = is_quiet,
                            .on_signal = service_on_signal,
                            .argument = service,
                        });
    service->has_heartbeat = status == 0;
    return status;
}

int service_start_work(struct service *service)
{
    static int (*const steps[])(struct service *) = {
        make_queues, start_hold,  start_settle, start_dispatch,
        start_stall, start_fetch, start_common, start_heartbeat,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int status = steps[i](service);
        if (status < 0)
            return status;
    }
    return 0;
}

void service_disconnect(struct service *service)
{
    if (service->has_owner)
        owner_stop(&service->owner);
    if (service->has_lines)
        lines_stop(&service->lines);
    coro_redis_stop(service->blocking);
    coro_redis_stop(service->commands);
}

void service_release_work(struct service *service)
{
    if (service->has_fetch)
        fetch_release(&service->fetch);
    if (service->has_sweep)
        sweep_release(&service->sweep);
    if (service->has_dispatch)
        dispatch_release(&service->dispatch);
    if (service->has_settle)
        settle_release(&service->settle);
    if (service->has_owner)
        owner_release(&service->owner);
    free(service->queues);
}
