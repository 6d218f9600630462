#include "tests/support/group.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/family.h"

static size_t pids_of(pid_t group, pid_t pids[GROUP_MAX])
{
    size_t n = family_group(group, pids, GROUP_MAX);
    assert_true(n <= GROUP_MAX);
    return n;
}

double group_cpu_seconds(pid_t group)
{
    pid_t pids[GROUP_MAX];
    unsigned long ticks = 0;
    size_t n = pids_of(group, pids);
    for (size_t i = 0; i < n; i++) {
        struct family_member member;
        if (family_look(pids[i], &member))
            ticks += member.ticks;
    }
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static size_t status_bytes(pid_t pid, const char *field)
{
    char path[40], text[4096], label[40];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    snprintf(label, sizeof label, "\n%s:", field);
    const char *at = strstr(text, label);
    return at ? (size_t)strtoull(at + strlen(label), NULL, 10) * 1024 : 0;
}

size_t group_status_bytes(pid_t group, const char *field)
{
    pid_t pids[GROUP_MAX];
    size_t n = pids_of(group, pids), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += status_bytes(pids[i], field);
    return sum;
}

void group_limit_files(pid_t group, size_t most)
{
    pid_t pids[GROUP_MAX];
    size_t n = pids_of(group, pids);
    for (size_t i = 0; i < n; i++) {
        struct rlimit limit;
        assert_int_equal(prlimit(pids[i], RLIMIT_NOFILE, NULL, &limit), 0);
        limit.rlim_cur = most;
        assert_int_equal(prlimit(pids[i], RLIMIT_NOFILE, &limit, NULL), 0);
    }
}
