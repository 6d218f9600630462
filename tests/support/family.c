#include "tests/support/family.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Parent and state of @pid; false when there is no such process. */
static bool look(long pid, long *ret_parent, char *ret_state)
{
    char path[40], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    /* The name stands in brackets, and may hold some. */
    const char *end = n > 0 ? strrchr(text, ')') : NULL;
    return end && sscanf(end + 1, " %c %ld", ret_state, ret_parent) == 2;
}

size_t family_children(pid_t parent, pid_t *ret_pids, size_t max)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        long pid = strtol(entry->d_name, NULL, 10), of = 0;
        char state = 0;
        if (pid <= 0 || !look(pid, &of, &state) || of != parent ||
            state == 'Z' || state == 'X')
            continue;
        if (n < max)
            ret_pids[n] = (pid_t)pid;
        n++;
    }
    closedir(proc);
    return n;
}

bool family_is_alive(pid_t pid)
{
    long parent;
    char state;
    return look(pid, &parent, &state) && state != 'Z' && state != 'X';
}

void family_command(pid_t pid, char *text, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        n = 0;
    text[n] = '\0';
    for (ssize_t i = 0; i + 1 < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
}

bool family_has(void *argument)
{
    const struct family_size *wanted = argument;
    return family_children(wanted->parent, NULL, 0) == wanted->n;
}
