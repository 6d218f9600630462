/*
 * Inside of the service: service.c builds and starts it, service_stop.c ends
 * it. Internal to these files.
 */
#ifndef MASTER_SERVICE_INTERNAL_H
#define MASTER_SERVICE_INTERNAL_H

#include "coro/sched/group.h"
#include "master/process/identity.h"
#include "master/process/signals.h"
#include "master/queue/dispatch.h"
#include "master/queue/fetch.h"
#include "master/queue/settle.h"
#include "master/service.h"

enum service_phase {
    SERVICE_PHASE_STARTING,
    SERVICE_PHASE_RUNNING,
    SERVICE_PHASE_QUIET,
    SERVICE_PHASE_DRAINING,
    SERVICE_PHASE_CANCELLING,
    SERVICE_PHASE_ENDED,
};

struct service {
    const struct options *options;
    const struct registry *registry;
    bool (*has_lost_redis)(void *argument);
    void *argument;
    enum service_phase phase;
    struct service_result result;
    char identity[IDENTITY_MAX];
    char url[300];     /* of Redis, for people */
    char primary[300]; /* that sentinels have named, as logged */

    struct coro_loop *loop;
    struct coro_group tasks;
    struct coro_source log; /* writes the log out once a turn */
    struct signals signals;
    struct coro_redis *commands;
    struct coro_redis *blocking;
    struct job_queue *queues;
    struct settle settle;
    struct dispatch dispatch;
    struct fetch fetch;
    bool has_dispatch;
    bool has_fetch;

    struct coro_future first_contact; /* with Redis: a status */
    struct coro_future stop_asked;
    struct trouble blocking_trouble;
    /* For which Redis was away, as logged. */
    char last_reason[CORO_REDIS_REASON_MAX];
    int64_t drain_deadline_ms; /* until when jobs may run on */
    bool is_hurried;           /* asked to stop more than once */
    bool starts_quiet;         /* asked to be quiet while starting */
    bool was_blocking_up;      /* the second connection, when last told of */
};

/** Brings a service that runs to its end, as --shutdown-timeout says. */
void service_stop(struct service *service);

#endif
