#include "master/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond what is inherited, so that nothing is in the way of that. */
#define LEAST_FD 10

extern char **environ;

/* For the service manager's eyes: the supervisor speaks for all. */
static const char *const withheld[] = {
    "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};

int spawn_raise(int fd)
{
    if (fd < 0)
        return fd;
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_FD);
    int status = raised < 0 ? -errno : raised;
    close(fd);
    return status;
}

int spawn_open_program(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : spawn_raise(fd);
}

static bool is_withheld(const char *variable)
{
    for (size_t i = 0; i < sizeof withheld / sizeof *withheld; i++)
        if (strncmp(variable, withheld[i], strlen(withheld[i])) == 0)
            return true;
    return false;
}

/* The environment for a child; the texts are ours. NULL: no memory. */
static char **make_environment(void)
{
    size_t n = 0, count = 0;
    while (environ[count])
        count++;
    char **variables = calloc(count + 1, sizeof *variables);
    for (size_t i = 0; variables && i < count; i++)
        if (!is_withheld(environ[i]))
            variables[n++] = environ[i];
    return variables;
}

static int spawn(const struct spawn_options *options, char **environment,
                 const posix_spawn_file_actions_t *actions, pid_t *ret_pid)
{
    char path[40], title[48], place[24];
    snprintf(path, sizeof path, "/proc/self/fd/%d", options->program_fd);
    snprintf(title, sizeof title, "%zu/%zu", options->number,
             options->nchildren);
    snprintf(place, sizeof place, "%zu", options->place);
    static char program[] = "corq", command[] = SPAWN_COMMAND;
    char *argv[] = {program, command, title, place, NULL};
    return -posix_spawn(ret_pid, path, actions, NULL, argv, environment);
}

int spawn_child(const struct spawn_options *options, pid_t *ret_pid)
{
    char **environment = make_environment();
    if (!environment)
        return -ENOMEM;
    posix_spawn_file_actions_t actions;
    int status = -posix_spawn_file_actions_init(&actions);
    if (status == 0) {
        status = -posix_spawn_file_actions_adddup2(&actions, options->shared_fd,
                                                   SPAWN_SHARED_FD);
        if (status == 0)
            status = -posix_spawn_file_actions_adddup2(
                &actions, options->link_fd, SPAWN_LINK_FD);
        if (status == 0)
            status = spawn(options, environment, &actions, ret_pid);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return status;
}
