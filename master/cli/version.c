/*
 * `corq version`: what is running, for a bug report.
 */
#include <stdio.h>

#include "coro/core/context.h"
#include "master/cli/command.h"

#ifdef __clang__
#    define COMPILER "clang"
#else
#    define COMPILER "gcc"
#endif

static int run(const struct options *options, int argc, char **argv)
{
    (void)options;
    if (argc > 0) {
        fprintf(stderr, "corq version: unexpected argument '%s'\n", argv[0]);
        return COMMAND_EXIT_USAGE;
    }
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
