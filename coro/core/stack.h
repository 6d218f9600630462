/*
 * Stacks for coroutines: cheap by the million, with something below each that
 * notices an overflow.
 *
 *     one slab, reserved at once, touched page by page
 *     ┌───────┬───────────────────┬───────┬───────────────────┬──
 *     │ guard │ stack 0        ◀─ │ guard │ stack 1        ◀─ │ …
 *     └───────┴───────────────────┴───────┴───────────────────┴──
 *
 * A stack that is given back is taken again first, as it is: its top page is
 * warm. Guards come in three kinds, best first, tried in this order:
 *
 *   kernel     MADV_GUARD_INSTALL (Linux 6.13): costs no mapping, so there is
 *              no limit to their number
 *   mprotect   two kernel mappings a guard, used up to half of the process's
 *              limit (vm.max_map_count)
 *   canary     a few bytes at the bottom that must stay zero, looked at
 *              whenever the coroutine suspends: sees an overflow afterwards
 *
 * A pool belongs to one thread; nothing here is locked.
 */
#ifndef CORO_CORE_STACK_H
#define CORO_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/ensure.h"
#include "coro/core/sanitize.h"

/* The size of an ordinary stack, guard included. */
#define CORO_STACK_BYTES 65536

/* For code that calls TLS, resolvers and other stack-hungry libraries. */
#define CORO_STACK_BYTES_LARGE 262144

/* Bytes at the bottom of a stack with a canary that are not to be used. */
#define CORO_STACK_CANARY_BYTES 64

enum coro_guard {
    CORO_GUARD_KERNEL,
    CORO_GUARD_MPROTECT,
    CORO_GUARD_CANARY,
};

struct coro_stack {
    char *top;    /* exclusive, a multiple of 64 */
    char *bottom; /* the lowest usable byte */
    bool has_canary;
};

struct coro_stack_slab;

/* Lies at the top of a stack that was given back. */
struct coro_stack_free {
    struct coro_stack_free *next;
    struct coro_stack stack;
};

struct coro_stack_pool {
    struct coro_stack_free *free;  /* given back, last one first */
    struct coro_stack_slab *slabs; /* newest first */
    size_t slot_bytes;             /* one stack and its guard */
    size_t slab_nslots;
    size_t nused;    /* slots of the newest slab handed out so far */
    size_t nguarded; /* slots of the newest slab with their guard in place */
    size_t nstacks;  /* all ever made */
    size_t ncanaries;
    enum coro_guard guard; /* the best kind that still works here */
};

/**
 * Prepares an empty pool.
 *
 * @stack_bytes  size of each stack, guard included; a multiple of the page size
 *               of at least two pages, else it is rounded up.
 * @best         the best kind of guard to use: CORO_GUARD_KERNEL, or a lesser
 *               one to see how that behaves.
 *
 * Context: the thread that will use the pool.
 */
void coro_stack_pool_init(struct coro_stack_pool *pool, size_t stack_bytes,
                          enum coro_guard best);

/** Unmaps all stacks; none of them may be in use. */
void coro_stack_pool_release(struct coro_stack_pool *pool);

/** coro_stack_take() when no stack was given back. */
int coro_stack_take_new(struct coro_stack_pool *pool,
                        struct coro_stack *ret_stack);

/**
 * Takes a stack: the one given back last, else a new one.
 *
 * Returns 0, or -ENOMEM (nothing could be mapped). Ownership: the caller's
 * until coro_stack_give().
 */
static inline int coro_stack_take(struct coro_stack_pool *pool,
                                  struct coro_stack *ret_stack)
{
    struct coro_stack_free *first = pool->free;
    if (!first)
        return coro_stack_take_new(pool, ret_stack);
    pool->free = first->next;
    *ret_stack = first->stack;
    return 0;
}

/** False when the canary at the bottom of @stack was overwritten. */
static inline bool coro_stack_is_sound(const struct coro_stack *stack)
{
    const volatile uint64_t *canary = (const void *)stack->bottom;
    return !stack->has_canary || (canary[0] | canary[1] | canary[7]) == 0;
}

/** Gives @stack back; its contents are lost. */
static inline void coro_stack_give(struct coro_stack_pool *pool,
                                   struct coro_stack stack)
{
    ensure(coro_stack_is_sound(&stack));
    struct coro_stack_free *first = (void *)(stack.top - sizeof *first);
    coro_sanitize_stack_reuse(first, sizeof *first);
    first->stack = stack;
    first->next = pool->free;
    pool->free = first;
}

/** Bytes of @stack that were ever touched, by looking at resident pages. */
size_t coro_stack_touched_bytes(const struct coro_stack *stack);

/**
 * How many bytes of @stack were ever written to: its high-water mark, in the
 * lives of all who used it since it was mapped.
 *
 * No page is touched for it, and none was filled with a pattern beforehand: the
 * kernel says which pages are there, and those were full of zeros when they
 * came. So a frame that only holds zeros at its end is not seen, and neither is
 * a page that was swapped out. Under valgrind it is coro_stack_touched_bytes().
 *
 * Context: any thread, nobody runs on @stack but perhaps the caller.
 */
size_t coro_stack_high_water(const struct coro_stack *stack);

/** "kernel guards", "mprotect", "canaries": for a log line. */
const char *coro_guard_name(enum coro_guard guard);

#endif
