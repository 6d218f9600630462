#include "tests/support/family.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool family_look(pid_t pid, struct family_member *ret)
{
    char path[40], text[1024] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    /* The name stands in brackets, and may hold some. */
    const char *end = n > 0 ? strrchr(text, ')') : NULL;
    unsigned long user, system;
    if (!end || sscanf(end + 1,
                       " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
                       "%*d %*d %*d %*d %*d %*d %llu",
                       &ret->state, &ret->parent, &ret->group, &user, &system,
                       &ret->started) != 6)
        return false;
    ret->ticks = user + system;
    return true;
}

static bool has_parent(const struct family_member *member, pid_t parent)
{
    return member->parent == parent;
}

static bool has_group(const struct family_member *member, pid_t group)
{
    return member->group == group;
}

static bool has_ended(const struct family_member *member)
{
    return member->state == 'Z' || member->state == 'X';
}

static size_t find(bool (*is_it)(const struct family_member *member, pid_t of),
                   pid_t of, pid_t *ret_pids, size_t max)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        struct family_member member;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !family_look(pid, &member) || !is_it(&member, of) ||
            has_ended(&member))
            continue;
        if (n < max)
            ret_pids[n] = pid;
        n++;
    }
    closedir(proc);
    return n;
}

size_t family_children(pid_t parent, pid_t *ret_pids, size_t max)
{
    return find(has_parent, parent, ret_pids, max);
}

size_t family_group(pid_t group, pid_t *ret_pids, size_t max)
{
    size_t n = find(has_group, group, ret_pids, max);
    for (size_t i = 1; i < n && i < max; i++) {
        if (ret_pids[i] != group)
            continue;
        ret_pids[i] = ret_pids[0];
        ret_pids[0] = group;
    }
    return n;
}

bool family_is_alive(pid_t pid)
{
    struct family_member member;
    return family_look(pid, &member) && !has_ended(&member);
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
