#include "master/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "coro/base/clock.h"
#include "master/config.h"
#include "master/process/notify.h"
#include "master/queue/fetch_mode.h"
#include "master/queue/probe.h"
#include "master/service_internal.h"
#include "worker/log.h"

#define PROBE_MS 3000
#define QUIET_MS 10000

/* Standard streams, two loops, signals, two connections, a look-up or two. */
#define DESCRIPTORS_LEAST 24

/* --- signals -------------------------------------------------------------- */

static void ask_to_stop(struct service *service, const char *name)
{
    if (!coro_future_is_done(&service->stop_asked)) {
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s received", name);
        coro_future_set(&service->stop_asked, 0, NULL);
        coro_future_set(&service->first_contact, -ECANCELED, NULL);
        return;
    }
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
             "%s received again: not waiting for jobs any longer", name);
    service->is_hurried = true;
    service->drain_deadline_ms = coro_now_ms();
    if (service->has_dispatch)
        dispatch_hurry(&service->dispatch);
}

/* A task, because ending the pop that blocks takes a word with Redis. */
static int quiet_main(void *argument)
{
    struct service *service = argument;
    return fetch_quiet(&service->fetch, coro_after(QUIET_MS));
}

static void go_quiet(struct service *service)
{
    service->starts_quiet = service->phase == SERVICE_PHASE_STARTING;
    if (service->phase != SERVICE_PHASE_RUNNING)
        return;
    service->phase = SERVICE_PHASE_QUIET;
    service->fetch.is_quiet = true;
    coro_group_spawn(
        &service->tasks, quiet_main, service,
        &(struct coro_spawn_options){.name = "quiet", .large_stack = true});
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
             "quiet: taking no more jobs, running ones go on");
    notify("STATUS=Quiet: taking no more jobs");
}

static void dump_task(struct coro_task *task, void *argument)
{
    int64_t now_ms = *(int64_t *)argument;
    const struct log_field fields[] = {
        log_int("task", (int64_t)coro_task_id(task)),
        log_seconds("age", (now_ms - coro_task_since_ms(task)) * 1000),
    };
    log_line(LOG_LEVEL_INFO, "master", fields, 2, "task '%s' waits",
             coro_task_name(task));
}

static void dump(struct service *service)
{
    int64_t now_ms = coro_now_ms();
    coro_loop_each_task(service->loop, dump_task, &now_ms);
    if (!service->has_dispatch || service->phase == SERVICE_PHASE_ENDED)
        return;
    log_line(LOG_LEVEL_INFO, "master", NULL, 0,
             "%zu jobs with the worker, %zu being settled, credit for %zu",
             service->dispatch.nin_flight, service->settle.npending,
             dispatch_credit(&service->dispatch));
    runner_request(service->dispatch.runner, MESSAGE_DUMP);
}

static void on_signal(void *argument, int number)
{
    struct service *service = argument;
    switch (number) {
    case SIGTERM:
        ask_to_stop(service, "SIGTERM");
        break;
    case SIGINT:
        ask_to_stop(service, "SIGINT");
        break;
    case SIGTSTP:
        go_quiet(service);
        break;
    case SIGUSR2:
    case SIGTTIN:
        dump(service);
        break;
    case SIGHUP:
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "SIGHUP: there is no configuration file to read again");
        break;
    default:
        break;
    }
}

/* --- the connections ------------------------------------------------------ */

static bool is_reason(const struct trouble *trouble, const char *reason)
{
    return trouble_is_on(trouble) &&
           strncmp(trouble->reason, reason, sizeof trouble->reason - 1) == 0;
}

/* We gave the connection up because of an answer. Whoever got that has told of
 * it, and will tell when it works again: nothing more is to be said here. */
static bool is_told(const struct service *service, const char *reason)
{
    return is_reason(&service->fetch.trouble, reason) ||
           is_reason(&service->settle.trouble, reason);
}

/* The private Redis has ended by itself: nobody would start it again. */
static void give_up(struct service *service)
{
    if (coro_future_is_done(&service->stop_asked))
        return;
    service->result.end = SERVICE_END_FAILED;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0,
             "the private Redis has ended by itself; its log, redis.log, is "
             "with its data");
    coro_future_set(&service->stop_asked, 0, NULL);
    coro_future_set(&service->first_contact, -ECANCELED, NULL);
}

/* Tells that Redis is away, unless that was said already or is the end. */
static void tell_away(struct service *service,
                      const struct coro_redis_event *event)
{
    bool is_the_end =
        event->refused_us && service->phase == SERVICE_PHASE_STARTING;
    if (is_the_end || coro_future_is_done(&service->stop_asked) ||
        strcmp(service->last_reason, event->reason) == 0 ||
        is_told(service, event->reason))
        return;
    snprintf(service->last_reason, sizeof service->last_reason, "%s",
             event->reason);
    log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
             "%s: %s; trying again until it answers", service->url,
             event->reason);
}

/* Says where we are now. Of servers that sentinels know, the one is named. */
static void tell_connected(struct service *service, const char *version)
{
    bool is_found = service->options->redis.sentinels != NULL;
    if (is_found)
        coro_redis_describe_server(service->commands, service->primary,
                                   sizeof service->primary);
    log_line(LOG_LEVEL_INFO, "redis", NULL, 0, "connected to %s%s%s%s%s",
             service->url, is_found ? ", primary " : "", service->primary,
             version[0] ? ", " : "", version);
}

static bool has_moved(const struct service *service)
{
    char primary[sizeof service->primary];
    return service->options->redis.sentinels &&
           strcmp(coro_redis_describe_server(service->commands, primary,
                                             sizeof primary),
                  service->primary) != 0;
}

/* One line when Redis goes away, one when the reason changes, one when it is
 * back; whatever number of attempts lies between. */
static void on_commands(void *argument, const struct coro_redis_event *event)
{
    struct service *service = argument;
    if (event->state == CORO_REDIS_UP) {
        if ((service->last_reason[0] || has_moved(service)) &&
            service->phase != SERVICE_PHASE_STARTING)
            tell_connected(service, "");
        service->last_reason[0] = '\0';
        coro_future_set(&service->first_contact, 0, NULL);
        return;
    }
    tell_away(service, event);
    if (service->has_lost_redis && service->has_lost_redis(service->argument))
        give_up(service);
    if (event->refused_us)
        coro_future_set(&service->first_contact, -EACCES, NULL);
    else if (service->options->wait_redis_ms == 0)
        coro_future_set(&service->first_contact, -ECONNREFUSED, NULL);
}

/* The second connection goes and comes with the first; only that it can't be
 * had although the first one is there is worth a line. */
static void on_blocking(void *argument, const struct coro_redis_event *event)
{
    struct service *service = argument;
    bool was_up = service->was_blocking_up;
    service->was_blocking_up = event->state == CORO_REDIS_UP;
    if (event->state == CORO_REDIS_UP) {
        trouble_over(&service->blocking_trouble);
        return;
    }
    if (!was_up && coro_redis_is_up(service->commands))
        trouble_note(&service->blocking_trouble, event->reason);
}

static int connect_redis(struct service *service)
{
    struct coro_redis_options options = {
        .address = &service->options->redis,
        .client_name = service->identity,
        .on_event = on_commands,
        .argument = service,
    };
    int status = coro_redis_start(service->loop, &options, &service->commands);
    if (status < 0)
        return status;
    options.after = service->commands;
    options.on_event = on_blocking;
    trouble_init(&service->blocking_trouble,
                 "no second connection, asking twice a second instead");
    return coro_redis_start(service->loop, &options, &service->blocking);
}

/* --- starting ------------------------------------------------------------- */

static void fail(struct service *service, enum service_end end,
                 const char *what, const char *why)
{
    service->result.end = end;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "%s: %s", what, why);
}

/* An errno in words; what can be helped by a larger limit names it. */
static void fail_by(struct service *service, const char *what, int status)
{
    char why[160];
    struct rlimit limit;
    if (status == -EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snprintf(why, sizeof why,
                 "%s (found a limit of %llu, expected at least %d: ulimit -n)",
                 strerror(EMFILE), (unsigned long long)limit.rlim_cur,
                 DESCRIPTORS_LEAST);
    else
        snprintf(why, sizeof why, "%s", strerror(-status));
    fail(service, SERVICE_END_FAILED, what, why);
}

/* Waits for the first answer of Redis. Returns false when there is no use in
 * going on. */
static bool make_contact(struct service *service)
{
    int64_t wait_ms = service->options->wait_redis_ms;
    int64_t deadline_ms = wait_ms == 0 || wait_ms == CORO_NEVER
                              ? CORO_NEVER
                              : coro_after(wait_ms);
    int status = coro_future_wait(&service->first_contact, deadline_ms);
    if (status == 0)
        status = coro_future_status(&service->first_contact);
    if (status == 0)
        return true;
    if (coro_future_is_done(&service->stop_asked))
        return false;
    const char *why = coro_redis_reason(service->commands);
    if (status == -EACCES)
        fail(service, SERVICE_END_REFUSED, "Redis refuses us", why);
    else
        fail(service, SERVICE_END_UNREACHABLE,
             "no Redis within the time of --wait-redis", why);
    return false;
}

static bool look_at_server(struct service *service)
{
    struct probe probe;
    int status = probe_server(service->commands, coro_after(PROBE_MS), &probe);
    if (status < 0)
        return true; /* it went away again: nothing is known against it */
    if (probe.is_cluster) {
        fail(service, SERVICE_END_REFUSED, "Redis Cluster is not supported",
             "give the address of a server that is not part of a cluster");
        return false;
    }
    tell_connected(service, probe.version);
    probe_warn(&probe);
    return true;
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
        };
    return 0;
}

static int start_work(struct service *service)
{
    int status =
        settle_start(&service->settle, &service->tasks, service->commands,
                     service->identity, dispatch_settled, &service->dispatch);
    if (status < 0)
        return status;
    status = dispatch_start(&service->dispatch, service->loop,
                            service->options->concurrency, service->registry,
                            &service->settle);
    if (status < 0)
        return status;
    service->has_dispatch = true;
    status = make_queues(service);
    if (status < 0)
        return status;
    status =
        fetch_init(&service->fetch,
                   &(struct fetch_options){
                       .queues = service->queues,
                       .nqueues = service->options->queues.count,
                       .mode = &fetch_at_most_once,
                       .commands = service->commands,
                       .blocking = service->blocking,
                       .dispatch = &service->dispatch,
                       .max_payload_bytes = service->options->max_payload_bytes,
                   });
    if (status < 0)
        return status;
    service->has_fetch = true;
    return fetch_start(&service->fetch, &service->tasks);
}

static void tell_ready(struct service *service)
{
    char queues[200];
    struct config_writer writer = {queues, sizeof queues};
    for (size_t i = 0; i < service->options->queues.count; i++) {
        config_put(&writer, "%s", i ? ", " : "");
        config_put_masked(&writer, service->options->queues.items[i].key);
    }
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
             "ready: up to %zu jobs at once from %s (%s, %s)",
             (size_t)service->options->concurrency, queues,
             service->fetch.mode->name, service->identity);
    notify("READY=1\nSTATUS=Running");
}

/* --- from beginning to end ------------------------------------------------ */

static void run_until_asked(struct service *service)
{
    if (!make_contact(service) || !look_at_server(service))
        return;
    int status = start_work(service);
    if (status < 0) {
        fail_by(service, "can't start the worker", status);
    } else {
        service->phase = SERVICE_PHASE_RUNNING;
        tell_ready(service);
        if (service->starts_quiet)
            go_quiet(service);
        coro_future_wait(&service->stop_asked, CORO_NEVER);
    }
    service_stop(service);
}

static int service_main(void *argument)
{
    struct service *service = argument;
    int status =
        signals_start(&service->signals, &service->tasks, on_signal, service);
    if (status == 0)
        status = connect_redis(service);
    if (status == -EOPNOTSUPP)
        fail(service, SERVICE_END_REFUSED, "rediss:// can't be used",
             coro_redis_tls_missing());
    else if (status < 0)
        fail_by(service, "can't start", status);
    else
        run_until_asked(service);
    coro_group_close(&service->tasks);
    signals_stop(&service->signals);
    coro_redis_stop(service->blocking);
    coro_redis_stop(service->commands);
    return 0;
}

static void end_turn(struct coro_source *source)
{
    (void)source;
    log_flush();
}

static int run_loop(struct service *service)
{
    int status = coro_loop_new(NULL, &service->loop);
    if (status < 0)
        return status;
    coro_group_init(&service->tasks, service->loop);
    coro_future_init(&service->first_contact);
    coro_future_init(&service->stop_asked);
    service->log.flush = end_turn;
    coro_loop_add_source(service->loop, &service->log);
    struct coro_task *task;
    status = coro_spawn(
        service->loop, service_main, service,
        &(struct coro_spawn_options){.name = "service", .large_stack = true},
        &task);
    if (status == 0) {
        coro_loop_run_until_complete(service->loop, task, NULL);
        coro_task_unref(task);
    }
    /* A thread that is stuck in a handler may still wake this loop. */
    if (!service->result.is_thread_stuck) {
        coro_loop_free(service->loop);
        if (service->has_fetch)
            fetch_release(&service->fetch);
        free(service->queues);
    }
    return status;
}

struct service_result service_run(const struct service_options *options)
{
    struct service_result result = {.end = SERVICE_END_FAILED};
    struct service *service =
        aligned_alloc(64, (sizeof *service + 63) / 64 * 64);
    if (!service) {
        log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "no memory to start");
        return result;
    }
    *service = (struct service){
        .options = options->options,
        .registry = options->registry,
        .has_lost_redis = options->has_lost_redis,
        .argument = options->argument,
        .signals = {.fd = -1},
    };
    coro_redis_address_describe(&options->options->redis, service->url,
                                sizeof service->url);
    int status = identity_make(service->identity);
    if (status == 0)
        status = run_loop(service);
    if (status < 0)
        fail_by(service, "can't start", status);
    result = service->result;
    if (!result.is_thread_stuck)
        free(service);
    return result;
}
