#include "worker/blame.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/sched/fault.h"
#include "coro/sched/tag.h"

/* More calls than these do not fit into the vitals. */
#define CALLS 48

/* What is noted last asks libraries, which may have been interrupted with a
 * lock held. After so long the process ends with what there is. */
#define HANG_S 2

static void limit_time(void)
{
    sigset_t alarms;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(HANG_S);
}

/* As much of @text as fits; a string. */
static void copy_name(char *to, size_t capacity, const char *text)
{
    size_t len = 0;
    for (; text && text[len] && len < capacity - 1; len++)
        to[len] = text[len];
    to[len] = '\0';
}

static void note_cause(struct vitals_crash *crash,
                       const struct coro_fault *fault)
{
    crash->signal = fault->number;
    crash->code = fault->code;
    crash->address = (uintptr_t)fault->address;
    crash->job = fault->tag;
    crash->is_overflow = fault->is_overflow;
    crash->is_thread = fault->is_thread;
    crash->stack_bytes = (uint32_t)fault->stack_bytes;
    copy_name(crash->task, sizeof crash->task, fault->name);
    atomic_store_explicit(&crash->cause, VITALS_CAUSE_SIGNAL,
                          memory_order_release);
}

static void note_payload(struct vitals_crash *crash, const struct job *job)
{
    if (!job)
        return;
    size_t len = job->payload_len;
    crash->payload_len = len;
    memcpy(crash->payload, job->payload,
           len < sizeof crash->payload ? len : sizeof crash->payload);
}

static void note_calls(struct vitals_crash *crash,
                       const struct coro_symbols *symbols,
                       const struct coro_fault *fault)
{
    uintptr_t frames[CALLS];
    size_t nframes = coro_fault_backtrace(fault, frames, CALLS);
    coro_symbols_calls(symbols, frames, nframes, crash->calls,
                       sizeof crash->calls);
}

static void on_fault(const struct coro_fault *fault, void *argument)
{
    struct blame *blame = argument;
    struct vitals_crash *crash = &blame->vitals->crash;
    if (!fault->is_own || getpid() != blame->pid ||
        atomic_load(&crash->cause) != VITALS_CAUSE_NONE)
        return;
    limit_time();
    note_cause(crash, fault);
    if (fault->tag != 0)
        note_payload(crash, pool_find(blame->pool, fault->tag));
    note_calls(crash, &blame->symbols, fault);
    alarm(0);
}

/* --- exit() ---------------------------------------------------------------- */

/* What is registered can't be taken back: this tells whether it is of use. */
static _Atomic(struct blame *) started;
static pthread_once_t register_once = PTHREAD_ONCE_INIT;

/* In the thread that calls exit(), and on the stack of what does so. */
static void on_end(int status, void *argument)
{
    struct blame *blame = atomic_load(&started);
    uint64_t number = coro_tag();
    (void)argument;
    if (!blame || number == 0 || getpid() != blame->pid)
        return;
    struct vitals_crash *crash = &blame->vitals->crash;
    if (atomic_load(&crash->cause) != VITALS_CAUSE_NONE)
        return;
    crash->job = number;
    crash->code = status;
    note_payload(crash, pool_find(blame->pool, number));
    atomic_store_explicit(&crash->cause, VITALS_CAUSE_EXIT,
                          memory_order_release);
}

static void register_on_end(void)
{
    on_exit(on_end, NULL);
}

/* --- a stall --------------------------------------------------------------- */

/* The cause last: who reads it finds the rest there. */
void blame_stall(struct vitals *vitals, const struct job *job, uint64_t number,
                 int64_t stalled_ms, const char *calls)
{
    struct vitals_crash *crash = &vitals->crash;
    if (atomic_load(&crash->cause) != VITALS_CAUSE_NONE)
        return;
    crash->job = number;
    crash->stalled_ms = stalled_ms;
    copy_name(crash->calls, sizeof crash->calls, calls);
    note_payload(crash, job);
    atomic_store_explicit(&crash->cause, VITALS_CAUSE_STALL,
                          memory_order_release);
}

void blame_start(struct blame *blame, struct vitals *vitals,
                 const struct pool *pool)
{
    blame->pid = getpid();
    blame->vitals = vitals;
    blame->pool = pool;
    coro_symbols_open(&blame->symbols);
    coro_fault_set_hook(on_fault, blame);
    pthread_once(&register_once, register_on_end);
    atomic_store(&started, blame);
}

void blame_stop(struct blame *blame)
{
    coro_fault_set_hook(NULL, NULL);
    atomic_store(&started, NULL);
    coro_symbols_close(&blame->symbols);
}
