#include "master/cli/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config.h"
#include "worker/log.h"

const char *setup_quote(const char *word, char quoted[SETUP_QUOTED_MAX])
{
    /* Masked as a whole first: the '@' that tells a password may come late. */
    char *copy = strdup(word);
    if (copy)
        config_mask(copy);
    snprintf(quoted, SETUP_QUOTED_MAX, "%s", copy ? copy : "?");
    free(copy);
    return quoted;
}

int setup_no_arguments(const char *command, int argc, char **argv)
{
    if (argc == 0)
        return COMMAND_EXIT_OK;
    char quoted[SETUP_QUOTED_MAX];
    fprintf(
        stderr,
        "corq %s: found '%s', expected only options; see 'corq %s --help'\n",
        command, setup_quote(argv[0], quoted), command);
    return COMMAND_EXIT_USAGE;
}

int setup_registry(const struct options *options,
                   struct registry **ret_registry)
{
    char why[300];
    struct registry *registry = registry_new();
    int status = registry ? 0 : -ENOMEM;
    const struct options_handlers *handlers = &options->handlers;
    for (size_t i = 0; i < handlers->count && status == 0; i++) {
        const struct options_handler *handler = &handlers->items[i];
        status = registry_bind(registry, handler->class_name, handler->spec,
                               why, sizeof why);
    }
    if (status == 0) {
        *ret_registry = registry;
        return COMMAND_EXIT_OK;
    }
    if (status == -EINVAL)
        config_mask(why);
    fprintf(stderr, "corq: --handler: %s\n",
            status == -EINVAL ? why : strerror(-status));
    registry_free(registry);
    return status == -EINVAL ? COMMAND_EXIT_USAGE : COMMAND_EXIT_FAILURE;
}

void setup_child_log(const struct options *options, unsigned number)
{
    static const enum log_level levels[] = {
        [OPTIONS_LOG_LEVEL_DEBUG] = LOG_LEVEL_DEBUG,
        [OPTIONS_LOG_LEVEL_INFO] = LOG_LEVEL_INFO,
        [OPTIONS_LOG_LEVEL_WARN] = LOG_LEVEL_WARN,
        [OPTIONS_LOG_LEVEL_ERROR] = LOG_LEVEL_ERROR,
    };

    bool is_json = options->log_format == OPTIONS_LOG_FORMAT_JSON;
    log_start(&(struct log_options){
        .level = levels[options->log_level],
        .format = is_json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
        .fd = STDERR_FILENO,
        .journal = !is_json && log_is_journal(STDERR_FILENO),
        .child = number,
    });
}

void setup_log(const struct options *options)
{
    setup_child_log(options, 0);
}
