/*
 * Context switch for x86-64, System V calling convention, as inline assembly.
 *
 *   saved by hand     rip (the landing pad), rsp, rbp
 *   left to gcc       rax rbx rcx rdx rsi rdi r8-r15, vector and mask
 *                     registers, flags: all named as clobbered
 *   not saved         mxcsr, x87 control word
 *
 * rbp is saved by hand because a function with a frame pointer may not name it
 * as clobbered. The landing pad begins with endbr64, so that indirect branch
 * tracking lets the jump through. Nothing is pushed: the red zone of the
 * suspended function stays as it is.
 */
#ifndef CORO_CORE_CONTEXT_X86_64_H
#define CORO_CORE_CONTEXT_X86_64_H

#include <stdint.h>

#define CORO_CONTEXT_NAME "x86-64 assembly"

struct coro_context {
    void *ip;
    void *sp;
    void *bp;
};

#ifdef __AVX512F__
#    define CORO_CONTEXT_CLOBBER_WIDE                                      \
        , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",   \
            "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", \
            "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#    define CORO_CONTEXT_CLOBBER_WIDE
#endif

static inline void coro_context_init(struct coro_context *context, void *bottom,
                                     void *top, void (*entry)(void))
{
    (void)bottom;
    /* As after a call: the return address (0: the last frame) lies at the top,
     * and the stack is aligned to 16 bytes just above it. */
    uintptr_t *sp = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) - 1;
    *sp = 0;
    context->ip = __extension__(void *) entry;
    context->sp = sp;
    context->bp = 0;
}

static inline __attribute__((always_inline)) void coro_context_switch(
    struct coro_context *from, struct coro_context *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, 0(%[from])\n\t"
                     "movq %%rsp, 8(%[from])\n\t"
                     "movq %%rbp, 16(%[from])\n\t"
                     "movq 0(%[to]), %%rax\n\t"
                     "movq 8(%[to]), %%rsp\n\t"
                     "movq 16(%[to]), %%rbp\n\t"
                     "jmp *%%rax\n"
                     "1:\n\t"
                     "endbr64\n\t"
                     : [from] "+D"(from), [to] "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",
                       "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       "memory", "cc" CORO_CONTEXT_CLOBBER_WIDE);
}

static inline _Noreturn __attribute__((always_inline)) void coro_context_leave(
    struct coro_context *from, struct coro_context *to)
{
    (void)from;
    __asm__ volatile("movq 8(%[to]), %%rsp\n\t"
                     "movq 16(%[to]), %%rbp\n\t"
                     "jmp *0(%[to])\n\t"
                     :
                     : [to] "S"(to)
                     : "memory");
    __builtin_unreachable();
}

#endif
