/*
 * The handler `fault`: a job says what it is to do wrong, to try out what
 * becomes of it and of its process.
 *
 *     segv, ill, fpe, abort   raises that signal
 *     overflow                uses up its stack
 *     thread                  reads at address 0 in a thread of the executor
 *     spin S                  computes for S seconds, and lets nobody else run
 *     block S                 sleeps for S seconds with its thread
 *     leak N                  takes N MiB of memory and keeps it
 *     exit                    ends the process, with status 1
 *     leave                   calls exit(0), as if there were nothing left to do
 *     anything else           is done at once
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/base/parse.h"
#include "coro/sched/executor.h"
#include "worker/handlers/handlers.h"

#define MIB ((size_t)1 << 20)

/* Seen by name in a backtrace, and left alone by checkers of behaviour. */
#define CULPRIT __attribute__((noinline, no_sanitize("undefined")))

struct misdeed {
    const char *name;
    /* @amount is what stands behind the name, or 0. */
    enum job_outcome (*commit)(const struct handler_call *call, double amount);
};

static CULPRIT int fault_segv(void *argument)
{
    volatile char *nowhere = argument;
    __asm__ volatile("" : "+r"(nowhere));
    return *nowhere;
}

static enum job_outcome commit_segv(const struct handler_call *call,
                                    double amount)
{
    (void)call;
    (void)amount;
    return fault_segv(NULL) ? JOB_OUTCOME_DONE : JOB_OUTCOME_FAILED;
}

static enum job_outcome commit_in_thread(const struct handler_call *call,
                                         double amount)
{
    (void)amount;
    int result;
    int status = coro_run_in_thread(fault_segv, NULL, CORO_NEVER, &result);
    if (status == -ECANCELED)
        return JOB_OUTCOME_INTERRUPTED;
    return job_fail(call->job, "Failed", "no thread was to be had");
}

static CULPRIT enum job_outcome fault_ill(const struct handler_call *call,
                                          double amount)
{
    (void)call;
    (void)amount;
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#else
    __asm__ volatile(".inst 0");
#endif
    return JOB_OUTCOME_DONE;
}

static CULPRIT enum job_outcome fault_fpe(const struct handler_call *call,
                                          double amount)
{
    (void)amount;
#if defined(__x86_64__)
    int quotient = 1, rest = 0, zero = 0;
    __asm__ volatile("idivl %2" : "+a"(quotient), "+d"(rest) : "r"(zero));
    /* An emulator leaves out what nobody asks for. */
    volatile int kept = quotient + rest;
    (void)kept;
#endif
    return job_fail(call->job, "Failed",
                    "this machine divides by zero without a word");
}

static CULPRIT enum job_outcome fault_abort(const struct handler_call *call,
                                            double amount)
{
    (void)call;
    (void)amount;
    abort();
}

static CULPRIT int descend(int depth)
{
    volatile char block[512];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 1;
    if (depth > 0)
        block[0] = (char)descend(depth - 1);
    return block[0] + block[sizeof block - 1];
}

static CULPRIT enum job_outcome fault_overflow(const struct handler_call *call,
                                               double amount)
{
    (void)call;
    (void)amount;
    return descend(1 << 24) ? JOB_OUTCOME_DONE : JOB_OUTCOME_FAILED;
}

static CULPRIT enum job_outcome spin(const struct handler_call *call,
                                     double seconds)
{
    (void)call;
    int64_t end_ns = coro_now_ns() + (int64_t)(seconds * 1e9);
    while (coro_now_ns() < end_ns)
        ;
    return JOB_OUTCOME_DONE;
}

static CULPRIT enum job_outcome block(const struct handler_call *call,
                                      double seconds)
{
    (void)call;
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) < 0)
        ;
    return JOB_OUTCOME_DONE;
}

/* Kept in a list, so that nobody takes it for lost. */
static enum job_outcome leak(const struct handler_call *call, double nmib)
{
    static _Atomic(void *) last;
    for (double i = 0; i < nmib; i++) {
        void **page = malloc(MIB);
        if (!page)
            return job_fail(call->job, "NoMemory", "no more memory to leak");
        memset(page, 1, MIB);
        *page = atomic_load(&last);
        atomic_store(&last, page);
    }
    return JOB_OUTCOME_DONE;
}

static enum job_outcome end_process(const struct handler_call *call,
                                    double amount)
{
    (void)call;
    (void)amount;
    _exit(1);
}

static enum job_outcome leave(const struct handler_call *call, double amount)
{
    (void)call;
    (void)amount;
    exit(0);
}

static const struct misdeed misdeeds[] = {
    {"segv", commit_segv},
    {"thread", commit_in_thread},
    {"ill", fault_ill},
    {"fpe", fault_fpe},
    {"abort", fault_abort},
    {"spin", spin},
    {"overflow", fault_overflow},
    {"block", block},
    {"leak", leak},
    {"exit", end_process},
    {"leave", leave},
};

/* NULL unless the text begins with the name of one. */
static const struct misdeed *find_misdeed(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof misdeeds / sizeof *misdeeds; i++)
        if (strlen(misdeeds[i].name) == len &&
            memcmp(misdeeds[i].name, text, len) == 0)
            return &misdeeds[i];
    return NULL;
}

static enum job_outcome run(const struct handler_call *call)
{
    size_t len;
    const char *text = handler_text(call, &len);
    if (!text)
        return JOB_OUTCOME_DONE;
    const char *space = memchr(text, ' ', len);
    size_t name_len = space ? (size_t)(space - text) : len;
    const struct misdeed *misdeed = find_misdeed(text, name_len);
    double amount = 0;
    if (space && coro_parse_seconds(space + 1, len - name_len - 1, &amount) < 0)
        misdeed = NULL;
    return misdeed ? misdeed->commit(call, amount) : JOB_OUTCOME_DONE;
}

const struct handler_kind handler_fault = {
    .name = "fault",
    .summary = "the payload says how to fail badly, to try crashes out",
    .run = run,
};
