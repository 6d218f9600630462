/*
 * Stack overflows that are told apart: when a task or a generator runs into the
 * guard page of its stack, the process still dies by SIGSEGV, but says first
 * which one it was and how large its stack is.
 *
 * The handler runs on a stack of its own and only if the signal came from the
 * watched thread's own access to a guard page; every other fault is left to
 * what was there before.
 */
#ifndef CORO_SCHED_OVERFLOW_H
#define CORO_SCHED_OVERFLOW_H

/**
 * Watches the calling thread, from now until coro_overflow_unwatch(). Handlers
 * for SIGSEGV and SIGBUS are installed once in a process.
 *
 * Returns 0 or a negative errno. Under AddressSanitizer and ThreadSanitizer,
 * which report faults themselves, it does nothing.
 */
int coro_overflow_watch(void);

/** Ends the watch, before the thread ends. Without a watch: nothing. */
void coro_overflow_unwatch(void);

#endif
