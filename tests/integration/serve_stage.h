/*
 * The service with a handler that no shipped one is like, in a child process,
 * as the program would run it.
 */
#ifndef TESTS_INTEGRATION_SERVE_STAGE_H
#define TESTS_INTEGRATION_SERVE_STAGE_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "master/cli/setup.h"
#include "master/process/signals.h"
#include "master/service.h"
#include "tests/support/wait.h"
#include "worker/handler.h"
#include "worker/log.h"

#define SERVE_WORDS_MOST 31

#define SERVE_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What `corq run` does with @words, which end with a NULL, and with @kind for
 * jobs without a class. False: the words are not understood. */
static inline bool serve(const char *const *words,
                         const struct handler_kind *kind,
                         struct service_result *ret_result)
{
    char *argv[SERVE_WORDS_MOST + 1] = {NULL};
    int argc = 0;
    for (; words[argc] && argc < SERVE_WORDS_MOST; argc++)
        argv[argc] = strdup(words[argc]);
    struct options options;
    struct options_error error;
    if (options_parse(&options, COMMAND_FLAG_RUN, argc, argv, &error) != 0)
        return false;
    struct registry *registry = registry_new();
    registry_bind_kind(registry, NULL, kind);
    setup_log(&options);
    signals_block();
    *ret_result = service_run(
        &(struct service_options){.options = &options, .registry = registry});
    log_flush();
    return true;
}

/* As fork(); the child ends with its parent. */
static inline pid_t serve_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(97);
    return 0;
}

#endif
