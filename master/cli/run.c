#include <stdio.h>
#include <unistd.h>

#include "master/cli/command.h"
#include "master/cli/setup.h"
#include "master/process/embedded.h"
#include "master/process/signals.h"
#include "master/service.h"
#include "worker/log.h"

static int exit_code(enum service_end end)
{
    switch (end) {
    case SERVICE_END_OK:
        return COMMAND_EXIT_OK;
    case SERVICE_END_UNREACHABLE:
        return COMMAND_EXIT_UNREACHABLE;
    case SERVICE_END_REFUSED:
        return COMMAND_EXIT_CONFIGURATION;
    case SERVICE_END_FAILED:
        break;
    }
    return COMMAND_EXIT_FAILURE;
}

static int start_embedded(const struct options *options,
                          struct embedded *embedded)
{
    *embedded = (struct embedded){.pid = 0, .lock_fd = -1};
    if (!options->embedded_redis.on)
        return 0;
    char why[300];
    int status = embedded_start(embedded, &options->redis,
                                options->embedded_redis.text, why, sizeof why);
    if (status < 0)
        log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "%s", why);
    else if (embedded->pid > 0)
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "started a private Redis, data in %s", embedded->dir);
    else if (embedded->found == EMBEDDED_FOUND_REDIS)
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "a Redis answers already: no private one is started");
    else
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "something listens there already that does not answer as "
                 "Redis does: no private one is started");
    return status;
}

/* Whether the private Redis, if there was one, has ended by itself. */
static bool has_lost_redis(void *argument)
{
    struct embedded *embedded = argument;
    return embedded->lock_fd >= 0 && embedded_has_ended(embedded);
}

static int run(const struct options *options, int argc, char **argv)
{
    int status = setup_no_arguments("run", argc, argv);
    if (status != COMMAND_EXIT_OK)
        return status;
    struct registry *registry;
    status = setup_registry(options, &registry);
    if (status != COMMAND_EXIT_OK)
        return status;
    setup_log(options);
    signals_block();
    struct embedded embedded;
    struct service_result result = {.end = SERVICE_END_FAILED};
    if (start_embedded(options, &embedded) == 0) {
        log_flush();
        result = service_run(&(struct service_options){
            .options = options,
            .registry = registry,
            .has_lost_redis = has_lost_redis,
            .argument = &embedded,
        });
    }
    embedded_stop(&embedded);
    if (result.is_thread_stuck) {
        log_flush();
        _exit(exit_code(result.end));
    }
    log_thread_end();
    registry_free(registry);
    return exit_code(result.end);
}

const struct command command_run = {
    .name = "run",
    .usage = "",
    .summary = "take jobs and run them, until told to stop",
    .run = run,
};
