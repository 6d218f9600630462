/*
 * What the memory and thread checkers have to be told about our stacks.
 *
 * AddressSanitizer keeps a shadow of the running stack, ThreadSanitizer a
 * history per flow of control, valgrind a table of stacks. Each of them must
 * hear of a switch or of a stack's birth and reuse; in a plain build all of
 * this is nothing.
 *
 * Use, around each switch from one flow of control to another:
 *
 *     coro_sanitize_leave(&from->notes, &to->notes, from_ends);
 *     coro_context_switch(&from->context, &to->context);
 *     coro_sanitize_arrive(&from->notes, &loop->notes);
 *
 * and coro_sanitize_arrive() first thing on a new stack.
 */
#ifndef CORO_CORE_SANITIZE_H
#define CORO_CORE_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#    define CORO_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define CORO_ASAN 1
#    endif
#endif

#if defined(__SANITIZE_THREAD__)
#    define CORO_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define CORO_TSAN 1
#    endif
#endif

#ifdef CORO_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#ifdef CORO_TSAN
#    include <sanitizer/tsan_interface.h>
#endif
#ifdef CORO_VALGRIND
#    include <valgrind/valgrind.h>
#endif

/* One per flow of control: a task, or a thread's own stack. */
struct coro_sanitize {
#ifdef CORO_ASAN
    void *fake_stack;
    const void *bottom;
    size_t size_bytes;
#endif
#ifdef CORO_TSAN
    void *fiber;
    bool owns_fiber;
#endif
    char nothing[0];
};

/** True where a checker catches faults, and tells more of them than we can. */
static inline bool coro_sanitize_reports_faults(void)
{
#if defined(CORO_ASAN) || defined(CORO_TSAN)
    return true;
#else
    return false;
#endif
}

/** True where a checker would tell of every read from an unused stack. */
static inline bool coro_sanitize_hides_stacks(void)
{
#ifdef CORO_VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

/**
 * True where a checker writes to the standard error about each system call that
 * is newer than itself.
 */
static inline bool coro_sanitize_tells_of_syscalls(void)
{
#ifdef CORO_VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

/** Notes for a new flow of control on the stack [@bottom, @bottom + @size). */
static inline void coro_sanitize_begin(struct coro_sanitize *notes,
                                       void *bottom, size_t size_bytes)
{
#ifdef CORO_ASAN
    /* What an earlier user of this stack left poisoned. */
    __asan_unpoison_memory_region(bottom, size_bytes);
    notes->fake_stack = NULL;
    notes->bottom = bottom;
    notes->size_bytes = size_bytes;
#endif
#ifdef CORO_TSAN
    notes->fiber = __tsan_create_fiber(0);
    notes->owns_fiber = true;
#endif
    (void)notes;
    (void)bottom;
    (void)size_bytes;
}

/** Notes for the thread's own stack, which is running. */
static inline void coro_sanitize_begin_thread(struct coro_sanitize *notes)
{
#ifdef CORO_ASAN
    notes->fake_stack = NULL;
    notes->bottom = NULL;
    notes->size_bytes = 0;
#endif
#ifdef CORO_TSAN
    notes->fiber = __tsan_get_current_fiber();
    notes->owns_fiber = false;
#endif
    (void)notes;
}

/** The bytes at @start, on a stack that nobody runs on, are written again. */
static inline void coro_sanitize_stack_reuse(void *start, size_t size_bytes)
{
#ifdef CORO_ASAN
    __asan_unpoison_memory_region(start, size_bytes);
#endif
    (void)start;
    (void)size_bytes;
}

/** Before the switch; @ends: @from will never be gone back to. */
static inline __attribute__((always_inline)) void coro_sanitize_leave(
    struct coro_sanitize *from, struct coro_sanitize *to, bool ends)
{
#ifdef CORO_ASAN
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->bottom,
                                   to->size_bytes);
#endif
#ifdef CORO_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from;
    (void)to;
    (void)ends;
}

/** After the switch, by the one that runs now. */
static inline __attribute__((always_inline)) void coro_sanitize_arrive(
    struct coro_sanitize *self, struct coro_sanitize *thread)
{
#ifdef CORO_ASAN
    const void *bottom;
    size_t size_bytes;
    __sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &size_bytes);
    /* The thread's own stack is learnt from the first switch away from it. */
    if (!thread->bottom) {
        thread->bottom = bottom;
        thread->size_bytes = size_bytes;
    }
#endif
    (void)self;
    (void)thread;
}

/** A flow of control that has ended, or never began, is forgotten. */
static inline void coro_sanitize_end(struct coro_sanitize *notes)
{
#ifdef CORO_TSAN
    if (notes->owns_fiber && notes->fiber)
        __tsan_destroy_fiber(notes->fiber);
    notes->fiber = NULL;
#endif
    (void)notes;
}

/** Tells valgrind of a new stack. */
static inline void coro_sanitize_stack_add(void *bottom, void *top)
{
#ifdef CORO_VALGRIND
    (void)VALGRIND_STACK_REGISTER(bottom, (char *)top - 1);
#endif
    (void)bottom;
    (void)top;
}

#endif
