#include "tests/support/group.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* What of /proc/PID/stat is of use. */
struct stat_fields {
    char state;
    int group;
    unsigned long ticks; /* of CPU time */
};

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool read_stat(const char *pid, struct stat_fields *ret)
{
    char path[300], text[1024];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (!read_text(path, text, sizeof text))
        return false;
    const char *rest = strrchr(text, ')'); /* its name may hold anything */
    unsigned long user, system;
    if (!rest ||
        sscanf(rest, ") %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &ret->state, &ret->group, &user, &system) != 4)
        return false;
    ret->ticks = user + system;
    return true;
}

size_t group_pids(pid_t group, pid_t pids[GROUP_MAX])
{
    size_t n = 0;
    DIR *directory = opendir("/proc");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat_fields fields;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            !read_stat(entry->d_name, &fields) || fields.group != group ||
            fields.state == 'Z' || n == GROUP_MAX)
            continue;
        pids[n++] = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pids[n - 1] == group) {
            pids[n - 1] = pids[0];
            pids[0] = group;
        }
    }
    closedir(directory);
    return n;
}

double group_cpu_seconds(pid_t group)
{
    pid_t pids[GROUP_MAX];
    unsigned long ticks = 0;
    size_t n = group_pids(group, pids);
    for (size_t i = 0; i < n; i++) {
        char name[24];
        struct stat_fields fields;
        snprintf(name, sizeof name, "%d", (int)pids[i]);
        if (read_stat(name, &fields))
            ticks += fields.ticks;
    }
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static size_t status_bytes(pid_t pid, const char *field)
{
    char path[40], text[4096], label[40];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!read_text(path, text, sizeof text))
        return 0;
    snprintf(label, sizeof label, "\n%s:", field);
    const char *at = strstr(text, label);
    return at ? (size_t)strtoull(at + strlen(label), NULL, 10) * 1024 : 0;
}

size_t group_status_bytes(pid_t group, const char *field)
{
    pid_t pids[GROUP_MAX];
    size_t n = group_pids(group, pids), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += status_bytes(pids[i], field);
    return sum;
}

static size_t count_files(pid_t pid)
{
    char path[40];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return n;
}

size_t group_most_files(pid_t group)
{
    pid_t pids[GROUP_MAX];
    size_t n = group_pids(group, pids), most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t nfiles = count_files(pids[i]);
        most = nfiles > most ? nfiles : most;
    }
    return most;
}

void group_limit_files(pid_t group, size_t most)
{
    pid_t pids[GROUP_MAX];
    size_t n = group_pids(group, pids);
    for (size_t i = 0; i < n; i++) {
        struct rlimit limit;
        assert_int_equal(prlimit(pids[i], RLIMIT_NOFILE, NULL, &limit), 0);
        limit.rlim_cur = most;
        assert_int_equal(prlimit(pids[i], RLIMIT_NOFILE, &limit, NULL), 0);
    }
}
