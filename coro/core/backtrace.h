/*
 * Backtraces: which functions are being called, here or in a suspended flow of
 * control.
 *
 * They are read from the unwind tables that the compiler writes in any case, by
 * the compiler's own unwinder: no frame pointers are needed, and nothing costs
 * anything before it is asked for. Of a suspended flow the unwinder is shown a
 * frame that claims to have been called from where that flow stands: its stack
 * is read and never written, so one page stays one page.
 *
 * Limits: x86-64 and AArch64 only (elsewhere a suspended flow has no frames);
 * code without unwind tables ends a backtrace early, at a frame that is right.
 */
#ifndef CORO_CORE_BACKTRACE_H
#define CORO_CORE_BACKTRACE_H

#include <stddef.h>
#include <stdint.h>

#include "coro/core/context.h"

/**
 * The functions that are being called here, innermost first, from the caller of
 * this on.
 *
 * @frames, @capacity  where to put addresses: of the instruction that will run
 *                     next in each.
 *
 * Returns how many there are. Context: any thread; needs a deep stack.
 */
size_t coro_backtrace(uintptr_t *frames, size_t capacity);

/**
 * As coro_backtrace(), for what a signal has interrupted in this thread: from
 * the interrupted function on, without the handler's own frames. Who called
 * what is no code, through a pointer that is wrong, is found as well.
 *
 * @context  the third argument of the signal handler.
 *
 * Context: within that signal handler.
 */
size_t coro_backtrace_interrupted(const void *context, uintptr_t *frames,
                                  size_t capacity);

/**
 * As coro_backtrace(), for the flow that is suspended in @context. It must not
 * run meanwhile. Context: as coro_backtrace().
 */
size_t coro_backtrace_of(const struct coro_context *context, uintptr_t *frames,
                         size_t capacity);

#endif
