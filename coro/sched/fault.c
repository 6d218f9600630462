#include "coro/sched/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "coro/core/backtrace.h"
#include "coro/core/guard.h"
#include "coro/sched/flow.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

#define HANDLER_STACK_BYTES 65536
#define MESSAGE_BYTES       256

/* How often a thread that faults looks whether another one is through. */
#define TURN_NS 1000000

static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

#define NNUMBERS (sizeof numbers / sizeof *numbers)

static _Thread_local void *handler_stack;
static _Thread_local stack_t stack_before;
static _Thread_local bool is_executor;

static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static atomic_bool is_installed;
static struct sigaction before[NNUMBERS];
static _Atomic(pid_t) faulting; /* the thread that is being looked at, or 0 */

static struct {
    _Atomic(coro_fault_fn *) function; /* set last, and read first */
    void *argument;
} hook;

/* --- what is said of an overflow ------------------------------------------ */

/* Nothing that allocates or locks may be called in the handler. */
static size_t append(char *message, size_t len, const char *text)
{
    while (*text && len < MESSAGE_BYTES)
        message[len++] = *text++;
    return len;
}

static size_t append_number(char *message, size_t len, uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return append(message, len, digits + at);
}

/* The flow that runs: at least one of the two is there. */
static void tell(const struct coro_gen *gen, const struct coro_task *task,
                 size_t stack_bytes)
{
    char message[MESSAGE_BYTES];
    size_t len = append(message, 0, "stack overflow in ");
    if (gen) {
        len = append(message, len, "generator '");
        len = append(message, len, gen->name);
        len = append(message, len, task ? "' of " : "'");
    }
    if (task) {
        len = append(message, len, "task '");
        len = append(message, len, task->name);
        len = append(message, len, "' (");
        len = append_number(message, len, task->id);
        len = append(message, len, ")");
    }
    len = append(message, len, ": its stack has ");
    len = append_number(message, len, stack_bytes);
    len = append(message, len, " bytes\n");
    ssize_t written = write(STDERR_FILENO, message, len);
    (void)written;
}

/* --- what it was ---------------------------------------------------------- */

/* The guard is the page below @stack; who uses canaries has none. */
static bool is_in_guard(const struct coro_stack *stack, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    uintptr_t bottom = (uintptr_t)stack->bottom;
    return at < bottom && at >= bottom - coro_page_bytes();
}

/* The kernel's own codes are positive. abort() sends the signal to its thread,
 * which another thread could do as well, but nobody does. */
static bool is_own(int number, const siginfo_t *info)
{
    if (info->si_code > 0)
        return true;
    return number == SIGABRT && info->si_code == SI_TKILL &&
           info->si_pid == getpid();
}

static void describe_flow(struct coro_fault *fault)
{
    const struct coro_gen *gen = coro_flow_generator();
    const struct coro_task *task = coro_task_current();
    if (!gen && !task)
        return;
    const struct coro_stack *stack = gen ? &gen->stack : &task->stack;
    fault->name = gen ? gen->name : task->name;
    fault->stack_bytes = (size_t)(stack->top - stack->bottom);
    fault->is_overflow = fault->address && is_in_guard(stack, fault->address);
    if (fault->is_overflow)
        tell(gen, task, fault->stack_bytes);
}

static void look_at_fault(int number, const siginfo_t *info,
                          const void *context)
{
    struct coro_fault fault = {
        .number = number,
        .code = info->si_code,
        .address = info->si_code > 0 ? info->si_addr : NULL,
        .is_own = is_own(number, info),
        .is_thread = is_executor,
        .tag = coro_tag(),
        .context = context,
    };
    describe_flow(&fault);
    coro_fault_fn *function =
        atomic_load_explicit(&hook.function, memory_order_acquire);
    if (function)
        function(&fault, hook.argument);
}

size_t coro_fault_backtrace(const struct coro_fault *fault, uintptr_t *frames,
                            size_t capacity)
{
    return coro_backtrace_interrupted(fault->context, frames, capacity);
}

/* --- the handler ---------------------------------------------------------- */

/* The first thread to fault goes first, and is most likely the last. False: it
 * is this one that is being looked at. */
static bool take_turn(void)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    for (;;) {
        pid_t other = 0;
        if (atomic_compare_exchange_strong(&faulting, &other, self))
            return true;
        if (other == self)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = TURN_NS}, NULL);
    }
}

static const struct sigaction *action_before(int number)
{
    size_t i = 0;
    while (numbers[i] != number)
        i++;
    return &before[i];
}

/* Puts back what was there before and returns: the access is made again, and
 * the fault goes where it would have gone without us. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;
    /* Whatever faults in here is blocked, which for the kernel is a reason to
     * end the process; abort() alone lifts that. */
    if (!take_turn()) {
        signal(number, SIG_DFL);
        return;
    }
    look_at_fault(number, info, context);
    sigaction(number, action_before(number), NULL);
    atomic_store(&faulting, 0);
    if (info->si_code <= 0)
        raise(number); /* sent by somebody: it would not come again */
    errno = error;
}

static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < NNUMBERS; i++)
        sigaddset(&action.sa_mask, numbers[i]);
    for (size_t i = 0; i < NNUMBERS; i++)
        sigaction(numbers[i], &action, &before[i]);
    atomic_store(&is_installed, true);
}

/* --- watching ------------------------------------------------------------- */

void coro_fault_unblock(sigset_t *blocked)
{
    for (size_t i = 0; i < NNUMBERS; i++)
        sigdelset(blocked, numbers[i]);
}

int coro_fault_watch(void)
{
    if (handler_stack)
        return 1;
    void *stack = malloc(HANDLER_STACK_BYTES);
    if (!stack)
        return -ENOMEM;
    stack_t alternate = {.ss_sp = stack, .ss_size = HANDLER_STACK_BYTES};
    if (sigaltstack(&alternate, &stack_before) < 0) {
        int error = errno;
        free(stack);
        return -error;
    }
    handler_stack = stack;
    pthread_once(&install_once, install);
    return 0;
}

void coro_fault_unwatch(void)
{
    if (!handler_stack)
        return;
    sigaltstack(&stack_before, NULL);
    free(handler_stack);
    handler_stack = NULL;
}

void coro_fault_watch_executor(void)
{
    is_executor = true;
    if (atomic_load(&is_installed))
        coro_fault_watch();
}

void coro_fault_set_hook(coro_fault_fn *function, void *argument)
{
    atomic_store_explicit(&hook.function, NULL, memory_order_release);
    hook.argument = argument;
    atomic_store_explicit(&hook.function, function, memory_order_release);
}
