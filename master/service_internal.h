/*
 * Inside of the service: service.c runs it from beginning to end,
 * service_redis.c watches its connections, service_link.c has to do with the
 * supervisor, service_work.c puts together what it works with, service_stop.c
 * ends it. Internal to these files.
 */
#ifndef MASTER_SERVICE_INTERNAL_H
#define MASTER_SERVICE_INTERNAL_H

#include "coro/sched/event.h"
#include "coro/sched/group.h"
#include "master/process/identity.h"
#include "master/process/link.h"
#include "master/process/signals.h"
#include "master/queue/dispatch.h"
#include "master/queue/fetch.h"
#include "master/queue/heartbeat.h"
#include "master/queue/lines.h"
#include "master/queue/owner.h"
#include "master/queue/schedule.h"
#include "master/queue/settle.h"
#include "master/queue/sweep.h"
#include "master/service.h"
#include "master/stall.h"

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
    const struct shared *shared; /* NULL: there is no supervisor */
    struct vitals *vitals;       /* the same */
    int link_fd;                 /* to the supervisor; -1 */
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
    struct coro_redis *blocking; /* at-most-once */
    struct job_queue *queues;
    struct owner owner; /* at-least-once */
    struct lines lines; /* the same */
    struct settle settle;
    struct dispatch dispatch;
    struct fetch fetch;
    struct schedule schedule;
    struct sweep sweep;
    struct heartbeat heartbeat;
    struct stall stall; /* zeroed until it is started */
    bool has_owner;
    bool has_lines;
    bool has_settle;
    bool has_dispatch;
    bool has_fetch;
    bool has_schedule;
    bool has_sweep;
    bool has_heartbeat;

    unsigned nrecovering; /* dead children that are seen to before jobs are */
    struct coro_event working;

    struct coro_future first_contact; /* with Redis: a status */
    struct coro_future stop_asked;
    struct trouble blocking_trouble;
    /* For which Redis was away, as logged. */
    char last_reason[CORO_REDIS_REASON_MAX];
    int64_t drain_deadline_ms; /* until when jobs may run on */
    bool is_hurried;           /* asked to stop more than once */
    bool was_signalled;        /* asked to stop by a signal to this process */
    bool is_orphaned;          /* the supervisor is gone */
    bool is_one_of_many;       /* see service.h */
    bool starts_quiet;         /* asked to be quiet while starting */
    bool was_blocking_up;      /* the second connection, when last told of */
};

/** Goes into @phase, and shows it to the supervisor. */
void service_enter(struct service *service, enum service_phase phase);

/** Ends the service in order; again does no harm. */
void service_ask_to_stop(struct service *service);

/** Ends the service without waiting for jobs. */
void service_hurry(struct service *service);

/** Takes no more jobs, from now on. */
void service_go_quiet(struct service *service);

/** Logs what every task and job does. */
void service_dump(struct service *service);

/** Listens to the supervisor, if there is one. 0 or a negative errno. */
int service_link_start(struct service *service);

/** Closes the link, after the loop. */
void service_link_stop(struct service *service);

/** Tells the supervisor that jobs are taken. */
void service_link_ready(struct service *service);

/** A signal that ends us may have come because the supervisor is gone. */
void service_link_check(struct service *service);

/** Takes no jobs until service_let_go(), now or when it begins to. */
void service_hold(struct service *service);

/** Takes back one service_hold(). */
void service_let_go(struct service *service);

/**
 * Sees to what a child has left that has died, after service_hold(), which it
 * takes back. Suspends, until jobs are taken here, too. 0 or an errno.
 */
int service_recover(struct service *service, const struct link_message *what,
                    const struct vitals *vitals);

/**
 * Looks once more, a while later, at what was left in the name of @identity.
 * Suspends. 0 or an errno.
 */
int service_recover_later(struct service *service, const char *identity);

/** Makes the connection for commands. Returns 0 or a negative errno. */
int service_connect(struct service *service);

/** Logs which server that is now, and its @version unless that is empty. */
void service_tell_connected(struct service *service, const char *version);

/** Makes the one for blocking pops, for at-most-once. */
int service_connect_blocking(struct service *service);

/** Ends what service_start_work() and the above have started for Redis. */
void service_disconnect(struct service *service);

/** Starts all that takes, runs and settles jobs. 0 or a negative errno. */
int service_start_work(struct service *service);

/** Frees that, after the loop. */
void service_release_work(struct service *service);

/** True with --delivery at-least-once. */
bool service_is_at_least_once(const struct service *service);

/** A signal has come, from the kernel or through Redis. */
void service_on_signal(void *argument, int number);

/** Brings a service that runs to its end, as --shutdown-timeout says. */
void service_stop(struct service *service);

#endif
