#include "master/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "coro/base/clock.h"
#include "coro/core/symbol.h"
#include "coro/sched/schedule.h"
#include "master/config.h"
#include "master/queue/fetch_mode.h"
#include "master/queue/probe.h"
#include "master/service_internal.h"
#include "worker/log.h"
#include "worker/task_log.h"

#define PROBE_MS 3000
#define QUIET_MS 10000

/* Standard streams, two loops, signals, two connections, a look-up or two. */
#define DESCRIPTORS_LEAST 24

/* --- being told ----------------------------------------------------------- */

void service_enter(struct service *service, enum service_phase phase)
{
    static const enum vitals_phase shown[] = {
        [SERVICE_PHASE_STARTING] = VITALS_PHASE_STARTING,
        [SERVICE_PHASE_RUNNING] = VITALS_PHASE_READY,
        [SERVICE_PHASE_QUIET] = VITALS_PHASE_QUIET,
        [SERVICE_PHASE_DRAINING] = VITALS_PHASE_STOPPING,
        [SERVICE_PHASE_CANCELLING] = VITALS_PHASE_STOPPING,
        [SERVICE_PHASE_ENDED] = VITALS_PHASE_ENDED,
    };

    service->phase = phase;
    if (service->vitals)
        atomic_store(&service->vitals->phase, shown[phase]);
}

void service_ask_to_stop(struct service *service)
{
    coro_future_set(&service->stop_asked, 0, NULL);
    coro_future_set(&service->first_contact, -ECANCELED, NULL);
}

void service_hurry(struct service *service)
{
    service->is_hurried = true;
    service->drain_deadline_ms = coro_now_ms();
    service_ask_to_stop(service);
    if (service->has_dispatch)
        dispatch_hurry(&service->dispatch);
}

static void on_stop_signal(struct service *service, const char *name)
{
    /* Ctrl-C reaches the supervisor as well, which has perhaps told us already:
     * only a signal after a signal is a second one. */
    bool is_again = service->was_signalled;
    service->was_signalled = true;
    service_link_check(service);
    if (service->is_orphaned)
        return; /* it is the kernel that tells so, and no second signal */
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s received%s", name,
             is_again ? " again: not waiting for jobs any longer" : "");
    if (is_again)
        service_hurry(service);
    else
        service_ask_to_stop(service);
}

/* A task, because ending the pop that blocks takes a word with Redis. */
static int quiet_main(void *argument)
{
    struct service *service = argument;
    return fetch_quiet(&service->fetch, coro_after(QUIET_MS));
}

void service_go_quiet(struct service *service)
{
    service->starts_quiet = service->phase == SERVICE_PHASE_STARTING;
    if (service->phase != SERVICE_PHASE_RUNNING)
        return;
    service_enter(service, SERVICE_PHASE_QUIET);
    service->fetch.is_quiet = true;
    coro_group_spawn(
        &service->tasks, quiet_main, service,
        &(struct coro_spawn_options){.name = "quiet", .large_stack = true});
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
             "quiet: taking no more jobs, running ones go on");
}

static void dump_task(struct coro_task *task, void *argument)
{
    task_log("master", task, argument);
}

void service_dump(struct service *service)
{
    struct coro_symbols symbols;
    coro_symbols_open(&symbols);
    coro_loop_each_task(service->loop, dump_task, &symbols);
    coro_symbols_close(&symbols);
    if (!service->has_dispatch || service->phase == SERVICE_PHASE_ENDED)
        return;
    log_line(LOG_LEVEL_INFO, "master", NULL, 0,
             "%zu jobs with the worker, %zu being settled, credit for %zu",
             service->dispatch.nin_flight, settle_npending(&service->settle),
             dispatch_credit(&service->dispatch));
    runner_request(service->dispatch.runner, MESSAGE_DUMP);
}

void service_on_signal(void *argument, int number)
{
    struct service *service = argument;
    switch (number) {
    case SIGTERM:
        on_stop_signal(service, "SIGTERM");
        break;
    case SIGINT:
        on_stop_signal(service, "SIGINT");
        break;
    case SIGTSTP:
        service_go_quiet(service);
        break;
    case SIGUSR2:
    case SIGTTIN:
        service_dump(service);
        break;
    case SIGHUP:
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "SIGHUP: there is no configuration file to read again");
        break;
    default:
        break;
    }
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
    if (probe.is_too_old) {
        fail(service, SERVICE_END_REFUSED, "the server is too old",
             "found a Redis before 5.0, expected 5.0 or newer, best 6.2");
        return false;
    }
    if (probe.is_cluster) {
        fail(service, SERVICE_END_REFUSED, "Redis Cluster is not supported",
             "give the address of a server that is not part of a cluster");
        return false;
    }
    service_tell_connected(service, probe.version);
    if (!service->is_one_of_many)
        probe_warn(&probe);
    return true;
}

/* What we may not take from is better known now than found out for ever. */
static bool may_take(struct service *service)
{
    const struct options_queues *queues = &service->options->queues;
    const char *process =
        service_is_at_least_once(service) ? service->identity : NULL;
    for (size_t i = 0; i < queues->count; i++) {
        char why[200], shown[100], what[160];
        int status =
            probe_queue(service->commands, process, queues->items[i].key,
                        coro_after(PROBE_MS), why, sizeof why);
        if (status != -EACCES)
            continue;
        struct config_writer writer = {shown, sizeof shown};
        config_put_masked(&writer, queues->items[i].key);
        snprintf(what, sizeof what, "Redis does not let us take jobs from '%s'",
                 shown);
        fail(service, SERVICE_END_REFUSED, what, why);
        return false;
    }
    return true;
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
    service_link_ready(service);
}

/* --- from beginning to end ------------------------------------------------ */

static void run_until_asked(struct service *service)
{
    if (!make_contact(service) || !look_at_server(service) ||
        !may_take(service))
        return;
    int status = service_start_work(service);
    if (status < 0) {
        fail_by(service, "can't start the worker", status);
    } else {
        service_enter(service, SERVICE_PHASE_RUNNING);
        coro_event_set(&service->working);
        tell_ready(service);
        if (service->starts_quiet)
            service_go_quiet(service);
        coro_future_park(&service->stop_asked, CORO_NEVER, "the order to stop");
    }
    service_stop(service);
}

static int service_main(void *argument)
{
    struct service *service = argument;
    int status = signals_start(&service->signals, &service->tasks,
                               service_on_signal, service);
    if (status == 0)
        status = service_link_start(service);
    if (status == 0)
        status = service_connect(service);
    if (status == -EOPNOTSUPP)
        fail(service, SERVICE_END_REFUSED, "rediss:// can't be used",
             coro_redis_tls_missing());
    else if (status < 0)
        fail_by(service, "can't start", status);
    else
        run_until_asked(service);
    coro_group_close(&service->tasks);
    signals_stop(&service->signals);
    service_disconnect(service);
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
    coro_event_init(&service->working);
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
        service_release_work(service);
    }
    return status;
}

/* Whoever sees to what we leave has to know in whose name we had it. */
static void show_identity(struct service *service, size_t place)
{
    if (!service->shared)
        return;
    service->vitals = shared_vitals(service->shared, place);
    snprintf(service->vitals->identity, sizeof service->vitals->identity, "%s",
             service->identity);
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
        .shared = options->shared,
        .link_fd = options->shared ? options->link_fd : -1,
        .is_one_of_many = options->is_one_of_many,
        .signals = {.fd = -1},
    };
    coro_redis_address_describe(&options->options->redis, service->url,
                                sizeof service->url);
    int status = identity_make(service->identity);
    show_identity(service, options->place);
    if (status == 0)
        status = run_loop(service);
    if (status < 0)
        fail_by(service, "can't start", status);
    service_link_stop(service);
    result = service->result;
    if (!result.is_thread_stuck)
        free(service);
    return result;
}
