/*
 * Context switch by POSIX ucontext: slow (each switch saves the signal mask by
 * a system call), but there on every machine that glibc knows.
 */
#ifndef CORO_CORE_CONTEXT_UCONTEXT_H
#define CORO_CORE_CONTEXT_UCONTEXT_H

#include <stddef.h>
#include <ucontext.h>

#define CORO_CONTEXT_NAME "ucontext"

struct coro_context {
    ucontext_t machine;
};

static inline void coro_context_init(struct coro_context *context, void *bottom,
                                     void *top, void (*entry)(void))
{
    getcontext(&context->machine);
    context->machine.uc_stack.ss_sp = bottom;
    context->machine.uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    context->machine.uc_link = NULL;
    makecontext(&context->machine, entry, 0);
}

static inline void coro_context_switch(struct coro_context *from,
                                       struct coro_context *to)
{
    swapcontext(&from->machine, &to->machine);
}

static inline _Noreturn void coro_context_leave(struct coro_context *from,
                                                struct coro_context *to)
{
    coro_context_switch(from, to);
    __builtin_unreachable();
}

#endif
