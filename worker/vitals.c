#include "worker/vitals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vitals *vitals_new(size_t nmarks)
{
    size_t align = alignof(struct vitals);
    size_t bytes = (vitals_bytes(nmarks) + align - 1) / align * align;
    struct vitals *vitals = aligned_alloc(align, bytes);
    if (!vitals)
        return NULL;
    memset(vitals, 0, bytes);
    vitals->nmarks = nmarks;
    return vitals;
}

/* Those that end processes. The C library has such a table only since 2.32. */
static const char *const names[] = {
    [SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",   [SIGQUIT] = "SIGQUIT",
    [SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT",
    [SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",   [SIGKILL] = "SIGKILL",
    [SIGUSR1] = "SIGUSR1", [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2",
    [SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM", [SIGTERM] = "SIGTERM",
    [SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ", [SIGSYS] = "SIGSYS",
};

const char *vitals_signal_name(int number, char text[16])
{
    size_t count = sizeof names / sizeof *names;
    if (number > 0 && (size_t)number < count && names[number])
        return names[number];
    snprintf(text, 16, "signal %d", number);
    return text;
}

/* The last byte of a dying process's page may be anything. */
static int text_len(const char *text, size_t bytes)
{
    size_t len = 0;
    while (len < bytes && text[len])
        len++;
    return (int)len;
}

void vitals_describe_crash(const struct vitals_crash *crash,
                           char what[VITALS_WHAT_BYTES])
{
    char number[16];
    const char *name = vitals_signal_name(crash->signal, number);
    if (atomic_load(&crash->cause) == VITALS_CAUSE_STALL)
        snprintf(what, VITALS_WHAT_BYTES, "held the worker for %.1f s",
                 (double)crash->stalled_ms / 1000);
    else if (atomic_load(&crash->cause) == VITALS_CAUSE_EXIT)
        snprintf(what, VITALS_WHAT_BYTES, "exit(%d)", crash->code);
    else if (crash->is_overflow)
        snprintf(what, VITALS_WHAT_BYTES,
                 "%s, stack overflow in '%.*s', which has %u bytes", name,
                 text_len(crash->task, sizeof crash->task), crash->task,
                 crash->stack_bytes);
    else if (crash->signal == SIGABRT)
        snprintf(what, VITALS_WHAT_BYTES, "%s", name);
    else
        snprintf(what, VITALS_WHAT_BYTES, "%s at address 0x%llx", name,
                 (unsigned long long)crash->address);
}

size_t vitals_count_started(const struct vitals *vitals, size_t nmarks)
{
    size_t n = 0;
    for (size_t i = 0; i < nmarks; i++)
        n += atomic_load_explicit(&vitals->marks[i].number,
                                  memory_order_relaxed) != 0;
    return n;
}
