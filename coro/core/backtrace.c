#include "coro/core/backtrace.h"

#include <string.h>
#include <ucontext.h>
#include <unwind.h>

struct walk {
    uintptr_t *frames;
    size_t capacity;
    size_t nframes;
    uintptr_t first; /* frames before this one are our own; 0: none are */
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *frame,
                                      void *argument)
{
    struct walk *walk = argument;
    uintptr_t at = _Unwind_GetIP(frame);
    if (walk->first != 0 && at != walk->first)
        return _URC_NO_REASON;
    walk->first = 0;
    if (at == 0 || walk->nframes == walk->capacity)
        return _URC_END_OF_STACK;
    walk->frames[walk->nframes++] = at;
    return _URC_NO_REASON;
}

__attribute__((noinline)) size_t coro_backtrace(uintptr_t *frames,
                                                size_t capacity)
{
    struct walk walk = {frames, capacity, 0,
                        (uintptr_t)__builtin_return_address(0)};
    _Unwind_Backtrace(note_frame, &walk);
    return walk.nframes;
}

#if defined(__x86_64__) || defined(__aarch64__)

/* What the unwinder must know of a suspended flow. The order is known to
 * backtrace_<machine>.S. */
struct registers {
    uintptr_t ip;
    uintptr_t sp;
    uintptr_t fp;
    uintptr_t saved[10]; /* those that a function leaves as they were */
};

/* Calls @function(@argument) from a frame whose caller is the flow that
 * @registers describe. In backtrace_<machine>.S. */
void coro_backtrace_call(const struct registers *registers,
                         void (*function)(void *argument), void *argument);

#    if defined(CORO_CONTEXT_RET) && defined(__x86_64__)

static void read_registers(const struct coro_context *context,
                           struct registers *registers)
{
    const uintptr_t *words = context->sp;
    registers->ip = words[CORO_CONTEXT_FRAME_RETURN];
    registers->sp = (uintptr_t)(words + CORO_CONTEXT_FRAME_RETURN + 1);
    registers->fp = words[5];
    registers->saved[0] = words[4];
    for (size_t i = 1; i < 5; i++)
        registers->saved[i] = words[4 - i];
}

#    elif defined(CORO_CONTEXT_RET)

static void read_registers(const struct coro_context *context,
                           struct registers *registers)
{
    const uintptr_t *words = context->sp;
    registers->ip = words[CORO_CONTEXT_FRAME_RETURN];
    registers->sp = (uintptr_t)(words + CORO_CONTEXT_FRAME_WORDS);
    registers->fp = words[0];
    memcpy(registers->saved, words + 2, sizeof registers->saved);
}

#    elif defined(CORO_CONTEXT_UCONTEXT) && defined(__x86_64__)

static void read_registers(const struct coro_context *context,
                           struct registers *registers)
{
    const greg_t *values = context->machine.uc_mcontext.gregs;
    static const int saved[] = {REG_RBX, REG_R12, REG_R13, REG_R14, REG_R15};
    registers->ip = (uintptr_t)values[REG_RIP];
    registers->sp = (uintptr_t)values[REG_RSP];
    registers->fp = (uintptr_t)values[REG_RBP];
    for (size_t i = 0; i < sizeof saved / sizeof *saved; i++)
        registers->saved[i] = (uintptr_t)values[saved[i]];
}

#    elif defined(CORO_CONTEXT_UCONTEXT)

static void read_registers(const struct coro_context *context,
                           struct registers *registers)
{
    const mcontext_t *machine = &context->machine.uc_mcontext;
    /* swapcontext() goes on by a return, through x30. */
    registers->ip = machine->pc ? machine->pc : machine->regs[30];
    registers->sp = machine->sp;
    registers->fp = machine->regs[29];
    for (size_t i = 0; i < 10; i++)
        registers->saved[i] = machine->regs[19 + i];
}

#    else

/* The switch leaves the other registers to the compiler, so its caller has
 * saved them. */
static void read_registers(const struct coro_context *context,
                           struct registers *registers)
{
    registers->ip = (uintptr_t)context->ip;
    registers->sp = (uintptr_t)context->sp;
#        if defined(__x86_64__)
    registers->fp = (uintptr_t)context->bp;
#        else
    registers->fp = (uintptr_t)context->fp;
#        endif
}

#    endif

static void walk_on(void *argument)
{
    _Unwind_Backtrace(note_frame, argument);
}

/* --- what was interrupted ------------------------------------------------- */

#    if defined(__x86_64__)

static uintptr_t interrupted_ip(const ucontext_t *interrupted)
{
    return (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
}

/* The caller of something that has not saved anything yet. */
static void read_caller(const ucontext_t *interrupted,
                        struct registers *registers)
{
    const greg_t *values = interrupted->uc_mcontext.gregs;
    static const int saved[] = {REG_RBX, REG_R12, REG_R13, REG_R14, REG_R15};
    const uintptr_t *top = (const void *)values[REG_RSP];
    registers->ip = top[0];
    registers->sp = (uintptr_t)(top + 1);
    registers->fp = (uintptr_t)values[REG_RBP];
    for (size_t i = 0; i < sizeof saved / sizeof *saved; i++)
        registers->saved[i] = (uintptr_t)values[saved[i]];
}

#    else

static uintptr_t interrupted_ip(const ucontext_t *interrupted)
{
    return (uintptr_t)interrupted->uc_mcontext.pc;
}

static void read_caller(const ucontext_t *interrupted,
                        struct registers *registers)
{
    const mcontext_t *machine = &interrupted->uc_mcontext;
    registers->ip = machine->regs[30];
    registers->sp = machine->sp;
    registers->fp = machine->regs[29];
    for (size_t i = 0; i < 10; i++)
        registers->saved[i] = machine->regs[19 + i];
}

#    endif

size_t coro_backtrace_interrupted(const void *context, uintptr_t *frames,
                                  size_t capacity)
{
    uintptr_t ip = interrupted_ip(context);
    struct walk walk = {frames, capacity, 0, ip};
    if (ip != 0)
        _Unwind_Backtrace(note_frame, &walk);
    if (walk.nframes > 1 || _Unwind_FindEnclosingFunction((void *)(ip + 1)))
        return walk.nframes;
    struct registers registers = {0};
    read_caller(context, &registers);
    walk.first = registers.ip;
    coro_backtrace_call(&registers, walk_on, &walk);
    return walk.nframes;
}

size_t coro_backtrace_of(const struct coro_context *context, uintptr_t *frames,
                         size_t capacity)
{
    struct registers registers = {0};
    read_registers(context, &registers);
    struct walk walk = {frames, capacity, 0, registers.ip};
    coro_backtrace_call(&registers, walk_on, &walk);
    return walk.nframes;
}

#else

size_t coro_backtrace_interrupted(const void *context, uintptr_t *frames,
                                  size_t capacity)
{
    (void)context;
    return coro_backtrace(frames, capacity);
}

size_t coro_backtrace_of(const struct coro_context *context, uintptr_t *frames,
                         size_t capacity)
{
    (void)context;
    (void)frames;
    (void)capacity;
    return 0;
}

#endif
