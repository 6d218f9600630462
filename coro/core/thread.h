/*
 * What another thread of this process is doing, without asking it: what the
 * kernel tells about it in /proc. That disturbs nobody.
 *
 *     struct coro_thread_look before, now;
 *     coro_thread_look(thread, &before);
 *     …                                        some milliseconds
 *     coro_thread_look(thread, &now);
 *     if (coro_thread_bears_signal(&before, &now))
 *         …                                    see sample.h
 */
#ifndef CORO_CORE_THREAD_H
#define CORO_CORE_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CORO_THREAD_ARGUMENTS 6

/* A thread of this process, for others to look at. */
struct coro_thread {
    pid_t id;
    clockid_t clock; /* of its CPU time */
};

struct coro_thread_look {
    char state;       /* as ps shows it: 'R' runs or could, 'S' sleeps … */
    uint64_t nsleeps; /* how often it has gone to sleep by itself */

    /* What it sleeps in; -1: it does not, or it is not known. */
    long system_call; /* by number; see coro_thread_call_name() */
    uint64_t arguments[CORO_THREAD_ARGUMENTS];
    uintptr_t at; /* the address from which it was called */
};

/** The calling thread. Context: any thread. */
void coro_thread_self(struct coro_thread *ret_thread);

/**
 * How much CPU time @thread has used, in nanoseconds; -1 when it has ended.
 * Context: any thread.
 */
int64_t coro_thread_cpu_ns(const struct coro_thread *thread);

/**
 * Looks at @thread. Returns 0, or a negative errno when it has ended, or /proc
 * does not tell. Context: any thread; does not suspend.
 */
int coro_thread_look(const struct coro_thread *thread,
                     struct coro_thread_look *ret_look);

/**
 * True when a signal whose handler returns, and was installed with SA_RESTART,
 * would go unnoticed by what the thread does: it computes, or it is in a system
 * call that the kernel then takes up again as if nothing had been. Most of
 * those that wait for a time do not: nanosleep(), poll(), a read from a socket
 * with a time-out.
 *
 * @before, @now  two looks at it, one after the other. Only of a thread that
 *                has not gone to sleep meanwhile it is known what it does, and
 *                can be expected that it still does it.
 *
 * Context: any thread; looks at the descriptor that is being read.
 */
bool coro_thread_bears_signal(const struct coro_thread_look *before,
                              const struct coro_thread_look *now);

/** The name of a system call that may take long, or NULL. Any thread. */
const char *coro_thread_call_name(long system_call);

#endif
