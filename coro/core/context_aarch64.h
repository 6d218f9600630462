/*
 * Context switch for AArch64, procedure call standard, as inline assembly.
 *
 *   saved by hand     pc (the landing pad), sp, x29
 *   left to gcc       x0-x28, x30, v0-v31, flags: named as clobbered
 *   not saved         fpcr
 *
 * x18 is the compiler's to use on Linux, and the platform's elsewhere: there it
 * is left alone.
 *
 * The jump goes through x16: with branch target identification it may then
 * land on "bti c" (a function's first instruction) as well as on "bti j".
 * x30 is cleared before it, so that the first frame has return address 0.
 */
#ifndef CORO_CORE_CONTEXT_AARCH64_H
#define CORO_CORE_CONTEXT_AARCH64_H

#include <stdint.h>

#define CORO_CONTEXT_NAME "aarch64 assembly"

struct coro_context {
    void *ip;
    void *sp;
    void *fp;
};

#if defined(__linux__) && !defined(__ANDROID__)
#    define CORO_CONTEXT_CLOBBER_X18 , "x18"
#else
#    define CORO_CONTEXT_CLOBBER_X18
#endif

static inline void coro_context_init(struct coro_context *context, void *bottom,
                                     void *top, void (*entry)(void))
{
    (void)bottom;
    context->ip = __extension__(void *) entry;
    context->sp = (void *)((uintptr_t)top & ~(uintptr_t)15);
    context->fp = 0;
}

static inline __attribute__((always_inline)) void coro_context_switch(
    struct coro_context *from, struct coro_context *to)
{
    register struct coro_context *x0 __asm__("x0") = from;
    register struct coro_context *x1 __asm__("x1") = to;
    __asm__ volatile("adr x16, 1f\n\t"
                     "mov x17, sp\n\t"
                     "stp x16, x17, [x0]\n\t"
                     "str x29, [x0, #16]\n\t"
                     "ldp x16, x17, [x1]\n\t"
                     "ldr x29, [x1, #16]\n\t"
                     "mov sp, x17\n\t"
                     "mov x30, xzr\n\t"
                     "br x16\n"
                     "1:\n\t"
                     "hint #36\n\t" /* bti j */
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                       "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x19",
                       "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
                       "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
                       "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
                       "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
                       "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                       "v31", "memory", "cc" CORO_CONTEXT_CLOBBER_X18);
}

static inline _Noreturn __attribute__((always_inline)) void coro_context_leave(
    struct coro_context *from, struct coro_context *to)
{
    (void)from;
    register struct coro_context *x1 __asm__("x1") = to;
    __asm__ volatile("ldp x16, x17, [x1]\n\t"
                     "ldr x29, [x1, #16]\n\t"
                     "mov sp, x17\n\t"
                     "mov x30, xzr\n\t"
                     "br x16\n\t"
                     :
                     : "r"(x1)
                     : "memory");
    __builtin_unreachable();
}

#endif
