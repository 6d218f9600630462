/*
 * A child of the supervisor: the service, with what it has inherited.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "coro/base/parse.h"
#include "master/cli/command.h"
#include "master/cli/setup.h"
#include "master/process/shared.h"
#include "master/process/signals.h"
#include "master/process/spawn.h"
#include "master/service.h"
#include "worker/log.h"

#define PLACES_MAX 100000

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

/* The name is that of a link otherwise. When the supervisor is gone we are told
 * so by the kernel, too. */
static void settle_in(void)
{
    prctl(PR_SET_NAME, "corq");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    fcntl(SPAWN_LINK_FD, F_SETFD, FD_CLOEXEC);
}

static int refuse(void)
{
    fprintf(stderr, "corq " SPAWN_COMMAND ": only 'corq run' starts this\n");
    return COMMAND_EXIT_USAGE;
}

/* Which of how many this is, in words for the log; one is not worth any. */
static unsigned number_of(const char *title)
{
    char *end;
    unsigned long number = strtoul(title, &end, 10);
    return end[0] == '/' && strcmp(end, "/1") != 0 ? (unsigned)number : 0;
}

static int parse(const struct shared *shared, struct options *options)
{
    struct options_error error;
    int nwords;
    char **words = shared_words(shared, &nwords);
    if (!words)
        return -ENOMEM;
    int status =
        options_parse(options, COMMAND_FLAG_RUN, nwords, words, &error);
    free(words);
    return status;
}

static int serve(const struct options *options, const struct shared *shared,
                 size_t place, unsigned number)
{
    struct registry *registry;
    int status = setup_registry(options, &registry);
    if (status != COMMAND_EXIT_OK)
        return status;
    setup_child_log(options, number);
    signals_block();
    struct service_result result = service_run(&(struct service_options){
        .options = options,
        .registry = registry,
        .shared = shared,
        .place = place,
        .link_fd = SPAWN_LINK_FD,
        .is_one_of_many = number > 1,
    });
    if (result.is_thread_stuck) {
        log_flush();
        _exit(exit_code(result.end));
    }
    log_thread_end();
    registry_free(registry);
    return exit_code(result.end);
}

int child_run(int argc, char **argv)
{
    struct shared shared;
    struct options options;
    uint64_t place;
    if (argc != 2 ||
        coro_parse_u64(argv[1], strlen(argv[1]), 0, PLACES_MAX, &place) < 0 ||
        shared_attach(&shared, SPAWN_SHARED_FD) < 0)
        return refuse();
    settle_in();
    if (place >= shared_nplaces(&shared) || parse(&shared, &options) != 0) {
        shared_release(&shared);
        return COMMAND_EXIT_FAILURE;
    }
    int status = serve(&options, &shared, (size_t)place, number_of(argv[0]));
    options_release(&options);
    shared_release(&shared);
    return status;
}
