/*
 * The service's connections: what their coming and going means, and what is to
 * be told of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "master/service_internal.h"
#include "worker/log.h"

static bool is_reason(const struct trouble *trouble, const char *reason)
{
    return trouble_is_on(trouble) &&
           strncmp(trouble->reason, reason, sizeof trouble->reason - 1) == 0;
}

/* We gave the connection up because of an answer. Whoever got that has told of
 * it, and will tell when it works again: nothing more is to be said here. */
static bool is_told(const struct service *service, const char *reason)
{
    const struct trouble *const tellers[] = {
        &service->fetch.trouble,        &service->settle.acks.trouble,
        &service->settle.moves.trouble, &service->owner.trouble,
        &service->lines.trouble,        &service->schedule.trouble,

    };
    for (size_t i = 0; i < sizeof tellers / sizeof *tellers; i++)
        if (is_reason(tellers[i], reason))
            return true;
    return false;
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
void service_tell_connected(struct service *service, const char *version)
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
            service_tell_connected(service, "");
        service->last_reason[0] = '\0';
        coro_future_set(&service->first_contact, 0, NULL);
        if (service->has_owner)
            owner_nudge(&service->owner);
        return;
    }
    tell_away(service, event);
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

int service_connect(struct service *service)
{
    return coro_redis_start(service->loop,
                            &(struct coro_redis_options){
                                .address = &service->options->redis,
                                .client_name = service->identity,
                                .on_event = on_commands,
                                .argument = service,
                            },
                            &service->commands);
}

int service_connect_blocking(struct service *service)
{
    trouble_init(&service->blocking_trouble,
                 "no second connection, asking twice a second instead");
    return coro_redis_start(service->loop,
                            &(struct coro_redis_options){
                                .address = &service->options->redis,
                                .client_name = service->identity,
                                .after = service->commands,
                                .on_event = on_blocking,
                                .argument = service,
                            },
                            &service->blocking);
}
