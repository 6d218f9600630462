/*
 * Faults: a signal that a thread has brought upon itself by what it did, told
 * to whoever wants to know whose work that was, before it ends the process as
 * ever.
 *
 *     SIGSEGV SIGBUS SIGILL SIGFPE SIGABRT
 *        │
 *        ▼   on a stack of its own, in each thread that is watched
 *     a stack overflow? ──▶ one line on standard error
 *     the hook, if there is one
 *        │
 *        ▼   what was there before is put back
 *     the same again: a core dump, a checker's report
 *
 * A task or a generator that runs into the guard page of its stack is told
 * apart, with its name and how large its stack is; of other faults nothing is
 * said here. A fault within the hook ends the process at once.
 */
#ifndef CORO_SCHED_FAULT_H
#define CORO_SCHED_FAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coro_fault {
    int number;          /* of the signal */
    int code;            /* siginfo_t.si_code */
    const void *address; /* siginfo_t.si_addr; NULL if the kernel gave none */

    /* What this thread did raised it: an instruction that faulted, or abort().
     * False: somebody has sent it, by kill(), and what runs here is innocent. */
    bool is_own;
    bool is_overflow;    /* the address is in the guard of the stack */
    bool is_thread;      /* this is a thread of the executor */
    uint64_t tag;        /* whose work it was, see tag.h; 0: nobody's */
    const char *name;    /* of the generator or else the task; NULL: neither */
    size_t stack_bytes;  /* of that one; 0: neither */
    const void *context; /* the third argument of the signal handler */
};

/* Called in a signal handler, in the thread that faulted; by one thread at a
 * time. If it returns, the fault goes its way. */
typedef void coro_fault_fn(const struct coro_fault *fault, void *argument);

/**
 * Watches the calling thread, from now until coro_fault_unwatch(). Handlers are
 * installed once in a process; what then happens in a thread that is not
 * watched is told too, but not an overflow of the stack that it is on.
 *
 * Returns 0, 1 when it was watched already, or a negative errno.
 */
int coro_fault_watch(void);

/** Ends the watch, before the thread ends. Without a watch: nothing. */
void coro_fault_unwatch(void);

/**
 * Takes the signals of faults out of @blocked: for a thread that blocks what
 * others are to handle. A fault whose signal is blocked ends the process
 * without a word. Context: any thread.
 */
void coro_fault_unblock(sigset_t *blocked);

/**
 * For threads of the executor: notes that this is one, and watches it if any
 * thread was ever watched. A watch that fails only says less.
 */
void coro_fault_watch_executor(void);

/**
 * Has @hook(…, @argument) called for each fault of the process; NULL: nobody.
 * There is one. Context: any thread, while no other one does this.
 */
void coro_fault_set_hook(coro_fault_fn *hook, void *argument);

/**
 * The functions that were being called, innermost first, from the one that
 * faulted on; as coro_backtrace(). Where the stack was overwritten it may fault
 * itself. Context: within the hook.
 */
size_t coro_fault_backtrace(const struct coro_fault *fault, uintptr_t *frames,
                            size_t capacity);

#endif
