/*
 * Guard pages: which kinds this kernel has, and putting them in place.
 * Internal to coro/core; see stack.h for the kinds.
 */
#ifndef CORO_CORE_GUARD_H
#define CORO_CORE_GUARD_H

#include <stddef.h>

#include "coro/core/stack.h"

/** The system's page size in bytes. Context: any thread. */
size_t coro_page_bytes(void);

/**
 * The best kind of guard that works here, no better than @best. The first call
 * probes the kernel. Context: any thread.
 */
enum coro_guard coro_guard_probe(enum coro_guard best);

/* What coro_guard_install() did, from the first slot on. */
struct coro_guard_report {
    enum coro_guard guard; /* the kind used for the last slot */
    size_t nmprotected;    /* of the budget, see coro_guard_forget() */
    size_t ncanaries;      /* slots at the end without a page guard */
};

/**
 * Guards the first page of each of @nslots slots of @slot_bytes that begin at
 * @base, beginning with kind @guard and going on with the next lesser one where
 * that fails. @guard is one that coro_guard_probe() gave: here success is
 * believed, and an emulator's means nothing. Context: any thread.
 */
struct coro_guard_report coro_guard_install(char *base, size_t slot_bytes,
                                            size_t nslots,
                                            enum coro_guard guard);

/** Gives back what the budget of mprotect guards lent to @nguards of them. */
void coro_guard_forget(size_t nguards);

#endif
