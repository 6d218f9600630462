/*
 * Vitals: what a process notes about itself and its jobs in memory that
 * outlives it, so that whoever has started it can tell how it fares, and how it
 * died, and of what.
 *
 *     worker thread ── started, ended ──▶ marks ◀──── supervisor, when the
 *     dying thread ─── which job, why ──▶ crash ◀──── process is no more
 *     master thread ── tick, phase ─────▶ the rest ◀─ supervisor, at any time
 *
 * It lies in a mapping that is shared with the supervisor. Everything in it is
 * plain memory: no pointers, since each side has it at an address of its own.
 * A process without a supervisor (in a test) has it on the heap.
 */
#ifndef WORKER_VITALS_H
#define WORKER_VITALS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/counters.h"

#define VITALS_IDENTITY_BYTES 112
#define VITALS_TASK_BYTES     48
#define VITALS_CALLS_BYTES    1024
#define VITALS_PAYLOAD_BYTES  256

/* A job that was started and has not ended: one mark for each coroutine of the
 * pool. Its writer is the worker thread: the number last when it begins, and
 * first when it ends. */
struct vitals_mark {
    _Atomic(uint64_t) number; /* of the job in its process; 0: no job */
    _Atomic(uint64_t)
        attempt;             /* under which it is in flight; 0: in no flight */
    _Atomic(uint32_t) queue; /* by place among the process's queues */
};

/* Why a process ends itself, or is ended by a signal that it raised. */
enum vitals_cause {
    VITALS_CAUSE_NONE,   /* nothing was noted */
    VITALS_CAUSE_SIGNAL, /* a thread of it did what it must not */
    VITALS_CAUSE_STALL,  /* a job held the worker for too long */
    VITALS_CAUSE_EXIT,   /* a job called exit() */
};

/* Written once, by the thread that dies, in a signal handler or just before
 * the end; `cause` last, with release. */
struct vitals_crash {
    _Atomic(uint32_t) cause; /* enum vitals_cause */
    int32_t signal;
    int32_t code;         /* siginfo_t.si_code; EXIT: the status */
    uint64_t address;     /* siginfo_t.si_addr, or 0 */
    uint64_t job;         /* whose code it was, by number; 0: nobody's */
    uint32_t is_overflow; /* the address is in the guard of the task's stack */
    uint32_t is_thread;   /* in a thread of the executor */
    uint32_t stack_bytes; /* what the task's stack has */
    int64_t stalled_ms;   /* STALL: for how long */
    uint64_t payload_len; /* of the job; a part of which may be below */
    char payload[VITALS_PAYLOAD_BYTES]; /* its beginning; not ended by a zero */
    char task[VITALS_TASK_BYTES];       /* its name, a string */
    char calls[VITALS_CALLS_BYTES]; /* a backtrace, a string; may be empty */
};

enum vitals_phase {
    VITALS_PHASE_STARTING,
    VITALS_PHASE_READY,
    VITALS_PHASE_QUIET,
    VITALS_PHASE_STOPPING,
    VITALS_PHASE_ENDED, /* all is settled; only the exit is left */
};

struct vitals {
    alignas(64) _Atomic(uint32_t) phase; /* enum vitals_phase */
    _Atomic(int64_t) tick_ms;            /* coro_now_ms(), kept up by the master
                                            thread: its loop turns */
    _Atomic(uint64_t) nstalls;           /* how often a job held the worker */
    char identity[VITALS_IDENTITY_BYTES]; /* before the phase READY */
    struct counters counters;
    struct vitals_crash crash;
    uint64_t nmarks;
    struct vitals_mark marks[];
};

/** How many bytes it takes with @nmarks marks. */
static inline size_t vitals_bytes(size_t nmarks)
{
    return sizeof(struct vitals) + nmarks * sizeof(struct vitals_mark);
}

/**
 * A page of zeros with room for @nmarks marks, or NULL when there is no memory.
 * Ownership: free(). For a process without a supervisor.
 */
struct vitals *vitals_new(size_t nmarks);

/* Text enough for what vitals_describe_crash() has to say. */
#define VITALS_WHAT_BYTES 120

/** "SIGSEGV", or "signal 35" for one without a name of its own. */
const char *vitals_signal_name(int number, char text[16]);

/**
 * Of what the process died, in words: "SIGSEGV at address 0x0". Any thread.
 */
void vitals_describe_crash(const struct vitals_crash *crash,
                           char what[VITALS_WHAT_BYTES]);

/**
 * How many jobs were started and have not ended; @nmarks is what whoever made
 * it knows, as its own number may have been overwritten. Any thread.
 */
size_t vitals_count_started(const struct vitals *vitals, size_t nmarks);

#endif
