#include "coro/core/guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "coro/core/sanitize.h"

/* Numbers of newer kernels than the headers may know; the same everywhere. */
#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_pidfd_open
#    define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#    define SYS_process_madvise 440
#endif

/* process_madvise() takes at most this many ranges a call. */
#define RANGES_A_CALL 512

/* What the rest of the program may need of kernel mappings. */
#define MAPPINGS_RESERVED 4096
#define MAPPINGS_DEFAULT  65530
#define MAPPINGS_A_GUARD  2

static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static enum coro_guard probed_guard = CORO_GUARD_MPROTECT;
static atomic_long mprotect_left;
static atomic_bool has_pidfd = true;

size_t coro_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Asks the kernel to read from @page; emulators that accept any advice without
 * acting on it are found out by this. */
static bool page_faults(const void *page)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, page, sizeof(uint64_t));
    close(fd);
    return written < 0;
}

static bool kernel_guard_works(void)
{
    size_t page_bytes = coro_page_bytes();
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool works =
        madvise(page, page_bytes, MADV_GUARD_INSTALL) == 0 && page_faults(page);
    munmap(page, page_bytes);
    return works;
}

static long mapping_limit(void)
{
    long limit = MAPPINGS_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (!file)
        return limit;
    if (fscanf(file, "%ld", &limit) != 1)
        limit = MAPPINGS_DEFAULT;
    fclose(file);
    return limit;
}

static void probe(void)
{
    if (kernel_guard_works())
        probed_guard = CORO_GUARD_KERNEL;
    if (coro_sanitize_tells_of_syscalls())
        atomic_store(&has_pidfd, false);
    long spare = (mapping_limit() - MAPPINGS_RESERVED) / 2;
    atomic_store(&mprotect_left, spare > 0 ? spare / MAPPINGS_A_GUARD : 0);
}

enum coro_guard coro_guard_probe(enum coro_guard best)
{
    pthread_once(&probe_once, probe);
    return best > probed_guard ? best : probed_guard;
}

/* Returns how many of the slots are guarded afterwards, from the first on. */
static size_t install_in_batches(char *base, size_t slot_bytes, size_t nslots)
{
    struct iovec ranges[RANGES_A_CALL];
    size_t page_bytes = coro_page_bytes();
    if (!atomic_load(&has_pidfd))
        return 0;
    long pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) {
        if (errno == ENOSYS)
            atomic_store(&has_pidfd, false);
        return 0;
    }
    size_t ndone = 0;
    while (ndone < nslots) {
        size_t n = nslots - ndone;
        if (n > RANGES_A_CALL)
            n = RANGES_A_CALL;
        for (size_t i = 0; i < n; i++) {
            ranges[i].iov_base = base + (ndone + i) * slot_bytes;
            ranges[i].iov_len = page_bytes;
        }
        long advised = syscall(SYS_process_madvise, pidfd, ranges, n,
                               MADV_GUARD_INSTALL, 0);
        if (advised < (long)page_bytes)
            break;
        ndone += (size_t)advised / page_bytes;
    }
    /* As it was opened: thread checkers then see both, or neither. */
    syscall(SYS_close, pidfd);
    return ndone;
}

static size_t install_by_kernel(char *base, size_t slot_bytes, size_t nslots)
{
    size_t page_bytes = coro_page_bytes();
    size_t ndone = install_in_batches(base, slot_bytes, nslots);
    while (ndone < nslots && madvise(base + ndone * slot_bytes, page_bytes,
                                     MADV_GUARD_INSTALL) == 0)
        ndone++;
    return ndone;
}

static bool mprotect_one(char *page)
{
    if (atomic_fetch_sub(&mprotect_left, 1) <= 0) {
        atomic_fetch_add(&mprotect_left, 1);
        return false;
    }
    if (mprotect(page, coro_page_bytes(), PROT_NONE) == 0)
        return true;
    atomic_fetch_add(&mprotect_left, 1);
    return false;
}

static size_t install_by_mprotect(char *base, size_t slot_bytes, size_t nslots)
{
    size_t ndone = 0;
    while (ndone < nslots && mprotect_one(base + ndone * slot_bytes))
        ndone++;
    return ndone;
}

struct coro_guard_report coro_guard_install(char *base, size_t slot_bytes,
                                            size_t nslots,
                                            enum coro_guard guard)
{
    struct coro_guard_report report = {.guard = guard};
    size_t ndone = 0;
    if (report.guard == CORO_GUARD_KERNEL) {
        ndone = install_by_kernel(base, slot_bytes, nslots);
        if (ndone < nslots)
            report.guard = CORO_GUARD_MPROTECT;
    }
    if (report.guard == CORO_GUARD_MPROTECT) {
        report.nmprotected = install_by_mprotect(base + ndone * slot_bytes,
                                                 slot_bytes, nslots - ndone);
        ndone += report.nmprotected;
        if (ndone < nslots)
            report.guard = CORO_GUARD_CANARY;
    }
    report.ncanaries = nslots - ndone;
    return report;
}

void coro_guard_forget(size_t nguards)
{
    atomic_fetch_add(&mprotect_left, (long)nguards);
}

const char *coro_guard_name(enum coro_guard guard)
{
    static const char *const names[] = {
        [CORO_GUARD_KERNEL] = "kernel guards",
        [CORO_GUARD_MPROTECT] = "mprotect",
        [CORO_GUARD_CANARY] = "canaries",
    };
    return names[guard];
}
