#include "coro/core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STATUS_BYTES 4096
#define CALL_BYTES   256

void coro_thread_self(struct coro_thread *ret_thread)
{
    ret_thread->id = (pid_t)syscall(SYS_gettid);
    /* Fails for a thread that there is not. */
    pthread_getcpuclockid(pthread_self(), &ret_thread->clock);
}

int64_t coro_thread_cpu_ns(const struct coro_thread *thread)
{
    struct timespec used;
    if (clock_gettime(thread->clock, &used) < 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* --- what the kernel tells ------------------------------------------------ */

/* Reads the file @name about @thread as a string. Returns 0 or -errno. */
static int read_about(const struct coro_thread *thread, const char *name,
                      char *text, size_t capacity)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/%s", (long)thread->id,
             name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, capacity - 1);
    int error = errno;
    close(fd);
    if (n < 0)
        return -error;
    text[n] = '\0';
    return 0;
}

/* What stands behind @label in a text of one line for each label, or NULL. */
static const char *find_value(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    if (!at)
        return NULL;
    at += strlen(label);
    return at + strspn(at, " \t");
}

/* "running", or the number, six arguments, the stack pointer and the address,
 * or, in a sleep that is no system call, -1 and the last two. */
static void parse_call(const char *text, struct coro_thread_look *look)
{
    uint64_t words[CORO_THREAD_ARGUMENTS + 2];
    size_t nwords = 0;
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || number < 0)
        return;
    while (nwords < sizeof words / sizeof *words && *end == ' ')
        words[nwords++] = strtoull(end, &end, 16);
    if (nwords < sizeof words / sizeof *words)
        return;
    look->system_call = number;
    memcpy(look->arguments, words, sizeof look->arguments);
    look->at = (uintptr_t)words[CORO_THREAD_ARGUMENTS + 1];
}

/* The call is looked at first: if the thread has not gone to sleep between two
 * looks, then it was in that call all the time. */
int coro_thread_look(const struct coro_thread *thread,
                     struct coro_thread_look *ret_look)
{
    char call[CALL_BYTES], status[STATUS_BYTES];
    struct coro_thread_look look = {.system_call = -1};
    if (read_about(thread, "syscall", call, sizeof call) == 0)
        parse_call(call, &look);
    int error = read_about(thread, "status", status, sizeof status);
    if (error < 0)
        return error;
    const char *state = find_value(status, "\nState:");
    const char *nsleeps = find_value(status, "\nvoluntary_ctxt_switches:");
    if (!state || !nsleeps)
        return -ENOTSUP;
    look.state = *state;
    look.nsleeps = strtoull(nsleeps, NULL, 10);
    *ret_look = look;
    return 0;
}

/* --- what bears a signal -------------------------------------------------- */

/* Waiting for a pipe, or for a socket that has no time-out for @option. Other
 * files are read at once, or by rules of their own. */
static bool is_patient(uint64_t fd, int option)
{
    struct stat status;
    struct timeval timeout;
    socklen_t len = sizeof timeout;
    if (fstat((int)fd, &status) < 0)
        return false;
    if (S_ISFIFO(status.st_mode))
        return true;
    return S_ISSOCK(status.st_mode) &&
           getsockopt((int)fd, SOL_SOCKET, option, &timeout, &len) == 0 &&
           timeout.tv_sec == 0 && timeout.tv_usec == 0;
}

/* Only what has not done anything yet when it is interrupted: a part of what is
 * to be written, or to be waited for in full, would be reported instead. */
static bool is_restarted(const struct coro_thread_look *look)
{
    const uint64_t *arguments = look->arguments;
    switch (look->system_call) {
    case SYS_read:
    case SYS_readv:
    case SYS_accept:
    case SYS_accept4:
        return is_patient(arguments[0], SO_RCVTIMEO);
    case SYS_recvfrom:
        return !(arguments[3] & MSG_WAITALL) &&
               is_patient(arguments[0], SO_RCVTIMEO);
    case SYS_recvmsg:
        return !(arguments[2] & MSG_WAITALL) &&
               is_patient(arguments[0], SO_RCVTIMEO);
    case SYS_wait4:
    case SYS_waitid:
        return true;
    default:
        return false;
    }
}

bool coro_thread_bears_signal(const struct coro_thread_look *before,
                              const struct coro_thread_look *now)
{
    if (before->state != now->state || before->nsleeps != now->nsleeps)
        return false;
    return now->state == 'R' || (now->state == 'S' && is_restarted(now));
}
