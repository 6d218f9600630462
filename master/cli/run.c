#include <stdio.h>

#include "master/cli/command.h"
#include "master/cli/setup.h"
#include "master/process/embedded.h"
#include "master/process/signals.h"
#include "master/process/supervisor.h"
#include "worker/log.h"

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

/* What a child would find out is better said before there is one. */
static int check_handlers(const struct options *options)
{
    struct registry *registry;
    int status = setup_registry(options, &registry);
    if (status == COMMAND_EXIT_OK)
        registry_free(registry);
    return status;
}

static int run(const struct options *options, int argc, char **argv)
{
    int status = setup_no_arguments("run", argc, argv);
    if (status == COMMAND_EXIT_OK)
        status = check_handlers(options);
    if (status != COMMAND_EXIT_OK)
        return status;
    setup_log(options);
    signals_block();
    struct embedded embedded;
    status = COMMAND_EXIT_FAILURE;
    if (start_embedded(options, &embedded) == 0) {
        log_flush();
        status = (int)supervisor_run(&(struct supervisor_options){
            .options = options,
            .embedded = &embedded,
        });
    }
    embedded_stop(&embedded);
    log_thread_end();
    return status;
}

const struct command command_run = {
    .name = "run",
    .usage = "",
    .summary = "take jobs and run them, until told to stop",
    .run = run,
};
