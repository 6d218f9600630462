/*
 * Clocks and statistics for benchmarks.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* So many times is each small thing measured; the smallest figure counts. */
#define MEASURE_ROUNDS 7

/** CPU time of the calling thread in nanoseconds. */
int64_t measure_thread_ns(void);

/** CPU time of process @pid in seconds, to a clock tick; -1: no such one. */
double measure_process_seconds(pid_t pid);

/**
 * A field of /proc/@pid/status in bytes: "VmRSS", "VmPTE". @pid 0: ourselves.
 * Returns 0 when it is not there.
 */
double measure_status_bytes(pid_t pid, const char *field);

/** A field of /proc/meminfo in bytes. */
double measure_meminfo_bytes(const char *field);

/** The middle one of @n values, which are sorted by it. */
double measure_median(double *values, size_t n);

/** The value that @percent of @n values, which are sorted by it, reach. */
double measure_percentile(double *values, size_t n, double percent);

/** The smallest result of @rounds calls of @measure(@argument). */
double measure_least(int rounds, double (*measure)(void *argument),
                     void *argument);

/** Ends the loop over @value's computation being thrown away. */
#define measure_keep(value) __asm__ volatile("" : : "g"(value) : "memory")

/* Four real frames, none inlined, none become a jump: @prefix_1() calls the
 * next one, and so on down to @below(). Each returns before the next round. */
#define MEASURE_FRAME(name, below)                  \
    static __attribute__((noinline)) int name(void) \
    {                                               \
        int status = below();                       \
        measure_keep(status);                       \
        return status < 0 ? status : status + 1;    \
    }

#define MEASURE_FRAMES(prefix, below)     \
    MEASURE_FRAME(prefix##_4, below)      \
    MEASURE_FRAME(prefix##_3, prefix##_4) \
    MEASURE_FRAME(prefix##_2, prefix##_3) \
    MEASURE_FRAME(prefix##_1, prefix##_2)

#endif
