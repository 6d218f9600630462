#include "coro/core/sample.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coro/core/backtrace.h"

#define SIGNAL SIGURG

/*
 * Who may touch the request and the sample:
 *
 *     FREE ──▶ PREPARING ──▶ ASKED ──▶ BEING_TAKEN ──▶ TAKEN ──▶ FREE
 *               who asks       │        the thread      who asks
 *                              ▼               │ withdrawn
 *                            FREE              ▼
 *                                          ABANDONED ──▶ FREE
 */
enum phase {
    PHASE_FREE,
    PHASE_PREPARING,
    PHASE_ASKED,
    PHASE_BEING_TAKEN,
    PHASE_TAKEN,
    PHASE_ABANDONED,
};

static struct {
    _Atomic(enum phase) phase;
    _Atomic(pid_t) thread; /* that is asked, for whoever gets the signal */
    struct coro_sample_request request;
    struct coro_sample sample;
} slot;

static pthread_once_t install_once = PTHREAD_ONCE_INIT;

static bool move_on(enum phase from, enum phase to)
{
    return atomic_compare_exchange_strong(&slot.phase, &from, to);
}

/* --- in the handler ------------------------------------------------------- */

static size_t look(const void *context)
{
    const struct coro_sample_request *request = &slot.request;
    if (request->is_wanted && !request->is_wanted(request))
        return 0;
    size_t nframes = coro_backtrace_interrupted(context, slot.sample.frames,
                                                CORO_SAMPLE_FRAMES);
    if (nframes > 0)
        return nframes;
    /* Checkers deliver signals later, from a place of their own. */
    return coro_backtrace(slot.sample.frames, CORO_SAMPLE_FRAMES);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    int error = errno;
    if (atomic_load(&slot.thread) == (pid_t)syscall(SYS_gettid) &&
        move_on(PHASE_ASKED, PHASE_BEING_TAKEN)) {
        slot.sample.nframes = look(context);
        if (!move_on(PHASE_BEING_TAKEN, PHASE_TAKEN))
            atomic_store(&slot.phase, PHASE_FREE);
    }
    errno = error;
}

/* The unwinder sets things up when it is first used, which is better not done
 * in a handler. */
static void install(void)
{
    uintptr_t frame;
    coro_backtrace(&frame, 1);
    struct sigaction action = {.sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    action.sa_sigaction = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGNAL, &action, NULL);
}

/* --- the thread that is sampled ------------------------------------------- */

static void block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGNAL);
    pthread_sigmask(how, &set, NULL);
}

int coro_sample_allow(void)
{
    stack_t stack;
    if (sigaltstack(NULL, &stack) < 0 || (stack.ss_flags & SS_DISABLE))
        return -ENOTSUP;
    pthread_once(&install_once, install);
    block(SIG_UNBLOCK);
    return 0;
}

void coro_sample_forbid(void)
{
    block(SIG_BLOCK);
}

/* --- who asks ------------------------------------------------------------- */

int coro_sample_ask(const struct coro_sample_request *request)
{
    if (!move_on(PHASE_FREE, PHASE_PREPARING))
        return -EBUSY;
    slot.request = *request;
    atomic_store(&slot.thread, request->thread);
    atomic_store(&slot.phase, PHASE_ASKED);
    if (syscall(SYS_tgkill, getpid(), request->thread, SIGNAL) == 0)
        return 0;
    int error = errno;
    coro_sample_withdraw();
    return -error;
}

bool coro_sample_take(struct coro_sample *ret_sample)
{
    if (atomic_load(&slot.phase) != PHASE_TAKEN)
        return false;
    *ret_sample = slot.sample;
    atomic_store(&slot.phase, PHASE_FREE);
    return true;
}

/* The thread may be in the handler, or just out of it. */
void coro_sample_withdraw(void)
{
    if (!move_on(PHASE_ASKED, PHASE_FREE) &&
        !move_on(PHASE_BEING_TAKEN, PHASE_ABANDONED))
        atomic_store(&slot.phase, PHASE_FREE);
}
