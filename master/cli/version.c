/*
 * `corq version`: what is running, for a bug report.
 */
#include <stdio.h>

#include "coro/core/context.h"
#include "master/cli/command.h"
#include "master/cli/setup.h"

#ifdef __clang__
#    define COMPILER "clang"
#else
#    define COMPILER "gcc"
#endif

static int run(const struct options *options, int argc, char **argv)
{
    (void)options;
    int status = setup_no_arguments("version", argc, argv);
    if (status != COMMAND_EXIT_OK)
        return status;
    printf("corq %s\n", CORQ_VERSION);
    printf("compiler: " COMPILER " %s\n", __VERSION__);
    printf("context switch: %s\n", coro_context_name());
    return COMMAND_EXIT_OK;
}

const struct command command_version = {
    .name = "version",
    .usage = "",
    .summary = "say which version this is and how it was built",
    .run = run,
};
