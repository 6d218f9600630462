#include "coro/core/stack.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "coro/base/ensure.h"
#include "coro/core/guard.h"
#include "coro/core/sanitize.h"

#define SLAB_BYTES ((size_t)64 << 20)

/* Guards are put in place for so many slots at a time, doubling up to the
 * second figure: a small program pays for few, a large one makes few calls. */
#define GUARD_BATCH_FIRST 16
#define GUARD_BATCH_MOST  512

/* Stacks lie a power of two apart, so their tops would all compete for the
 * same few cache sets. Neighbours begin at different lines of their page. */
#define COLOURS      32
#define COLOUR_BYTES 64

struct coro_stack_slab {
    struct coro_stack_slab *next;
    char *base;
    size_t nmprotected;
    size_t first_canary; /* slots from here on have a canary */
};

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

void coro_stack_pool_init(struct coro_stack_pool *pool, size_t stack_bytes,
                          enum coro_guard best)
{
    size_t page_bytes = coro_page_bytes();
    size_t slot_bytes = round_up(stack_bytes, page_bytes);
    if (slot_bytes < 2 * page_bytes)
        slot_bytes = 2 * page_bytes;
    *pool = (struct coro_stack_pool){
        .slot_bytes = slot_bytes,
        .slab_nslots = slot_bytes < SLAB_BYTES ? SLAB_BYTES / slot_bytes : 1,
        .guard = coro_guard_probe(best),
    };
    /* As if there were a slab that is used up. */
    pool->nused = pool->slab_nslots;
}

void coro_stack_pool_release(struct coro_stack_pool *pool)
{
    while (pool->slabs) {
        struct coro_stack_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        munmap(slab->base, pool->slot_bytes * pool->slab_nslots);
        coro_guard_forget(slab->nmprotected);
        free(slab);
    }
    pool->free = NULL;
}

static int add_slab(struct coro_stack_pool *pool)
{
    struct coro_stack_slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return -ENOMEM;
    size_t slab_bytes = pool->slot_bytes * pool->slab_nslots;
    slab->base =
        mmap(NULL, slab_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->base == MAP_FAILED) {
        free(slab);
        return -ENOMEM;
    }
    /* With huge pages one touched byte would cost a whole stack. A kernel
     * without them refuses, which is as good. */
    madvise(slab->base, slab_bytes, MADV_NOHUGEPAGE);
    slab->first_canary = pool->slab_nslots;
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->nused = 0;
    pool->nguarded = 0;
    return 0;
}

static void guard_more(struct coro_stack_pool *pool)
{
    struct coro_stack_slab *slab = pool->slabs;
    size_t n = pool->nstacks;
    if (n < GUARD_BATCH_FIRST)
        n = GUARD_BATCH_FIRST;
    if (n > GUARD_BATCH_MOST)
        n = GUARD_BATCH_MOST;
    if (n > pool->slab_nslots - pool->nguarded)
        n = pool->slab_nslots - pool->nguarded;
    struct coro_guard_report report =
        coro_guard_install(slab->base + pool->nguarded * pool->slot_bytes,
                           pool->slot_bytes, n, pool->guard);
    pool->guard = report.guard;
    pool->nguarded += n;
    slab->nmprotected += report.nmprotected;
    if (report.ncanaries > 0 &&
        slab->first_canary > pool->nguarded - report.ncanaries)
        slab->first_canary = pool->nguarded - report.ncanaries;
}

int coro_stack_take_new(struct coro_stack_pool *pool,
                        struct coro_stack *ret_stack)
{
    if (pool->nused == pool->slab_nslots) {
        int status = add_slab(pool);
        if (status < 0)
            return status;
    }
    if (pool->nused == pool->nguarded)
        guard_more(pool);
    size_t index = pool->nused++;
    char *slot = pool->slabs->base + index * pool->slot_bytes;
    bool has_canary = index >= pool->slabs->first_canary;
    *ret_stack = (struct coro_stack){
        .top = slot + pool->slot_bytes - index % COLOURS * COLOUR_BYTES,
        .bottom = has_canary ? slot : slot + coro_page_bytes(),
        .has_canary = has_canary,
    };
    pool->nstacks++;
    pool->ncanaries += has_canary;
    coro_sanitize_stack_add(ret_stack->bottom, ret_stack->top);
    return 0;
}

/* So many pages are asked for at once. */
#define PAGES_A_CALL 64

/* The lowest page of [@page, @top) that is there, or @top. */
static char *lowest_resident(char *page, char *top)
{
    size_t page_bytes = coro_page_bytes();
    unsigned char resident[PAGES_A_CALL];
    while (page < top) {
        size_t npages =
            (size_t)(top - page + (ptrdiff_t)page_bytes - 1) / page_bytes;
        if (npages > PAGES_A_CALL)
            npages = PAGES_A_CALL;
        if (mincore(page, npages * page_bytes, resident) < 0)
            return top;
        for (size_t i = 0; i < npages; i++, page += page_bytes)
            if (resident[i] & 1)
                return page;
    }
    return top;
}

size_t coro_stack_touched_bytes(const struct coro_stack *stack)
{
    char *page = lowest_resident(stack->bottom, stack->top);
    return page < stack->top ? (size_t)(stack->top - page) : 0;
}

/* Checkers don't like this: it reads what nobody has written. */
static __attribute__((no_sanitize("address", "thread"))) bool is_zero(
    const char *page, size_t nbytes, size_t *ret_at)
{
    const volatile uint64_t *words = (const void *)page;
    for (size_t i = 0; i < nbytes / sizeof *words; i++) {
        if (words[i] != 0) {
            *ret_at = i * sizeof *words;
            return false;
        }
    }
    return true;
}

size_t coro_stack_high_water(const struct coro_stack *stack)
{
    size_t page_bytes = coro_page_bytes();
    size_t at = 0;
    if (coro_sanitize_hides_stacks())
        return coro_stack_touched_bytes(stack);
    char *page = lowest_resident(stack->bottom, stack->top);
    while (page < stack->top) {
        size_t left = (size_t)(stack->top - page);
        if (!is_zero(page, left < page_bytes ? left : page_bytes, &at))
            return left - at;
        page = lowest_resident(page + page_bytes, stack->top);
    }
    return 0;
}
