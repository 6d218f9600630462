/*
 * Samples: which functions another thread is calling right now. It is asked by
 * a signal, in whose handler it looks at its own stack; whoever asks goes on
 * meanwhile, and comes back for the answer.
 *
 *     coro_sample_allow();                      the thread in question
 *
 *     struct coro_sample_request request = {.thread = thread.id};
 *     status = coro_sample_ask(&request);       another one
 *     …
 *     if (!coro_sample_take(&sample))           again and again; when tired:
 *         coro_sample_withdraw();
 *
 * The signal is SIGURG, because whoever should get one by mistake ignores it.
 * A thread that sleeps may be woken by it: see coro_thread_bears_signal(). The
 * process has one sample at a time.
 *
 * The handler calls the compiler's unwinder, which takes no locks with glibc
 * 2.35 or newer; before, one that is held for moments while shared libraries
 * are loaded or listed.
 */
#ifndef CORO_CORE_SAMPLE_H
#define CORO_CORE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CORO_SAMPLE_FRAMES 48

struct coro_sample {
    uintptr_t frames[CORO_SAMPLE_FRAMES]; /* as coro_backtrace() gives them */
    size_t nframes;                       /* 0: it was not wanted any more */
};

struct coro_sample_request {
    pid_t thread;

    /* Called in the handler, with a copy of all this, before anything else;
     * false: nothing is looked at. NULL: it is wanted in any case. What it
     * uses must be there as long as the thread is. */
    bool (*is_wanted)(const struct coro_sample_request *request);
    const void *argument;
    uint64_t notes[2];
};

/**
 * Lets others sample the calling thread, and those that it starts.
 *
 * Returns 0, or -ENOTSUP when it has no alternate stack for signal handlers:
 * that of a coroutine is too small. Context: any thread, outside of coroutines.
 */
int coro_sample_allow(void);

/** Ends that for the calling thread. */
void coro_sample_forbid(void);

/**
 * Asks for a sample. Returns 0, -EBUSY when another one is under way, or -ESRCH
 * when the thread has ended. Context: any thread but the one that is asked.
 */
int coro_sample_ask(const struct coro_sample_request *request);

/**
 * Takes the answer; false: it is not there yet. Context: who has asked, once
 * for each time.
 */
bool coro_sample_take(struct coro_sample *ret_sample);

/** Does without the answer. Context: who has asked and not taken it. */
void coro_sample_withdraw(void);

#endif
