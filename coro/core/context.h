/*
 * The context switch: leaving one stack and going on on another.
 *
 * There is one interface and four ways to do it, chosen when building:
 *
 *   context_x86_64.h, context_aarch64.h   inline assembly; the default
 *   context_ret.h + context_ret_*.S       out of line, with unwind tables
 *   context_ucontext.h                    any other machine
 *
 * The inline form names every register as clobbered and lets the compiler save
 * what is live, which is usually next to nothing. It should be inlined into
 * exactly one function per scheduler: the processor's return predictor then
 * stays balanced.
 *
 * The compiler is told that memory changes across a switch, but not that the
 * program's own static variables do where it can see all their uses at once: so
 * this is not for whole-program optimisation (-flto).
 *
 * Not saved: the floating-point control words (rounding, exception masks). A
 * coroutine that changes them must change them back before it suspends.
 */
#ifndef CORO_CORE_CONTEXT_H
#define CORO_CORE_CONTEXT_H

#if defined(CORO_CONTEXT_UCONTEXT)
#    include "coro/core/context_ucontext.h"
#elif defined(CORO_CONTEXT_RET)
#    include "coro/core/context_ret.h"
#elif defined(__x86_64__)
#    include "coro/core/context_x86_64.h"
#elif defined(__aarch64__)
#    include "coro/core/context_aarch64.h"
#elif defined(CORO_CONTEXT_ASM)
#    error "no assembly context switch for this machine: use CONTEXT=ucontext"
#else
#    include "coro/core/context_ucontext.h"
#endif

/*
 * Each of those headers defines
 *
 *   struct coro_context
 *       where a suspended flow of control goes on; no pointers to free.
 *
 *   void coro_context_init(struct coro_context *context, void *bottom,
 *                          void *top, void (*entry)(void));
 *       makes @context begin @entry on the stack [@bottom, @top) at the first
 *       switch to it. @entry must never return; a backtrace ends there, see
 *       coro_context_is_first().
 *
 *   void coro_context_switch(struct coro_context *from,
 *                            struct coro_context *to);
 *       saves the running flow of control in @from and goes on in @to; returns
 *       when something switches to @from.
 *
 *   void coro_context_leave(struct coro_context *from,
 *                           struct coro_context *to);
 *       goes on in @to and never comes back: what is left is not saved, and
 *       the function that this stands in need not save registers for it. @from
 *       is the running one, which nobody may switch to any more.
 *
 * Context: any thread, but a context belongs to the thread that began it.
 */

/**
 * Says that nobody called the function that this stands in, so that debuggers
 * end a backtrace there. First in an entry function. Costs no instruction.
 */
static inline __attribute__((always_inline)) void coro_context_is_first(void)
{
#if defined(__GCC_HAVE_DWARF2_CFI_ASM) && defined(__x86_64__)
    __asm__ volatile(".cfi_undefined rip");
#elif defined(__GCC_HAVE_DWARF2_CFI_ASM) && defined(__aarch64__)
    __asm__ volatile(".cfi_undefined x30");
#endif
}

/** The way contexts are switched in this build: "x86-64 assembly", …  */
const char *coro_context_name(void);

#endif
