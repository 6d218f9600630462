/*
 * The names of system calls in which a thread may spend a long time.
 */
#include <stddef.h>
#include <sys/syscall.h>

#include "coro/core/thread.h"

struct named_call {
    long number;
    const char *name;
};

#define CALL(name)        \
    {                     \
        SYS_##name, #name \
    }

static const struct named_call calls[] = {
    CALL(accept),
    CALL(accept4),
    CALL(clock_nanosleep),
    CALL(connect),
    CALL(copy_file_range),
    CALL(epoll_pwait),
    CALL(execve),
    CALL(fallocate),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(flock),
    CALL(fsync),
    CALL(ftruncate),
    CALL(futex),
    CALL(getdents64),
    CALL(getrandom),
    CALL(io_getevents),
    CALL(ioctl),
    CALL(madvise),
    CALL(mmap),
    CALL(mprotect),
    CALL(msgrcv),
    CALL(msgsnd),
    CALL(msync),
    CALL(munmap),
    CALL(nanosleep),
    CALL(newfstatat),
    CALL(openat),
    CALL(ppoll),
    CALL(pread64),
    CALL(preadv),
    CALL(pselect6),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(read),
    CALL(readv),
    CALL(recvfrom),
    CALL(recvmmsg),
    CALL(recvmsg),
    CALL(renameat2),
    CALL(rt_sigsuspend),
    CALL(rt_sigtimedwait),
    CALL(semop),
    CALL(semtimedop),
    CALL(sendfile),
    CALL(sendmmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(splice),
    CALL(sync),
    CALL(tee),
    CALL(unlinkat),
    CALL(wait4),
    CALL(waitid),
    CALL(write),
    CALL(writev),
/* Older ones, which newer machines do without. */
#if defined(__x86_64__)
    CALL(access),
    CALL(epoll_wait),
    CALL(fork),
    CALL(lstat),
    CALL(mkdir),
    CALL(open),
    CALL(pause),
    CALL(poll),
    CALL(rename),
    CALL(rmdir),
    CALL(select),
    CALL(stat),
    CALL(unlink),
    CALL(vfork),
#endif
};

const char *coro_thread_call_name(long system_call)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == system_call)
            return calls[i].name;
    return NULL;
}
