/*
 * Context switch out of line: an ordinary call that returns on another stack.
 *
 * Slower than the inline form, but with full unwind tables, and the base for
 * machines with shadow stacks. The saved registers lie on the stack itself;
 * their order is in context_ret_<machine>.S.
 */
#ifndef CORO_CORE_CONTEXT_RET_H
#define CORO_CORE_CONTEXT_RET_H

#include <stdint.h>
#include <string.h>

#define CORO_CONTEXT_NAME "out-of-line assembly"

struct coro_context {
    void *sp;
};

/** See context.h; in context_ret_<machine>.S. */
void coro_context_switch(struct coro_context *from, struct coro_context *to);

#if defined(__x86_64__)
/* r15 r14 r13 r12 rbx rbp, then the return address, then a zero one. */
#    define CORO_CONTEXT_FRAME_WORDS  8
#    define CORO_CONTEXT_FRAME_RETURN 6
#elif defined(__aarch64__)
/* x29 x30 x19-x28 d8-d15. */
#    define CORO_CONTEXT_FRAME_WORDS  20
#    define CORO_CONTEXT_FRAME_RETURN 1
#else
#    error "no out-of-line context switch for this machine"
#endif

static inline void coro_context_init(struct coro_context *context, void *bottom,
                                     void *top, void (*entry)(void))
{
    (void)bottom;
    uintptr_t *sp = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) -
                    CORO_CONTEXT_FRAME_WORDS;
    memset(sp, 0, CORO_CONTEXT_FRAME_WORDS * sizeof *sp);
    sp[CORO_CONTEXT_FRAME_RETURN] = (uintptr_t)entry;
    context->sp = sp;
}

static inline _Noreturn void coro_context_leave(struct coro_context *from,
                                                struct coro_context *to)
{
    coro_context_switch(from, to);
    __builtin_unreachable();
}

#endif
