#include "coro/sched/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/core/guard.h"
#include "coro/sched/flow.h"
#include "coro/sched/schedule.h"

#define HANDLER_STACK_BYTES 65536
#define MESSAGE_BYTES       256

static _Thread_local void *handler_stack;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static struct sigaction before_segv;
static struct sigaction before_bus;

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
static void tell(const struct coro_gen *gen, const struct coro_task *task)
{
    char message[MESSAGE_BYTES];
    const struct coro_stack *stack = gen ? &gen->stack : &task->stack;
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
    len = append_number(message, len, (size_t)(stack->top - stack->bottom));
    len = append(message, len, " bytes\n");
    ssize_t written = write(STDERR_FILENO, message, len);
    (void)written;
}

/* The guard is the page below @stack; who uses canaries has none. */
static bool is_in_guard(const struct coro_stack *stack, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    uintptr_t bottom = (uintptr_t)stack->bottom;
    return at < bottom && at >= bottom - coro_page_bytes();
}

static void look_at_fault(const void *address)
{
    const struct coro_gen *gen = coro_flow_generator();
    const struct coro_task *task = coro_task_current();
    if (!gen && !task)
        return;
    if (is_in_guard(gen ? &gen->stack : &task->stack, address))
        tell(gen, task);
}

/* Puts back what was there before and returns: the access is made again, and
 * the fault goes where it would have gone without us. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0)
        look_at_fault(info->si_addr);
    sigaction(number, number == SIGSEGV ? &before_segv : &before_bus, NULL);
    if (info->si_code <= 0)
        raise(number); /* sent by somebody: it would not come again */
}

static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
}

int coro_overflow_watch(void)
{
    if (handler_stack || coro_sanitize_reports_faults())
        return 0;
    void *stack = malloc(HANDLER_STACK_BYTES);
    if (!stack)
        return -ENOMEM;
    stack_t alternate = {.ss_sp = stack, .ss_size = HANDLER_STACK_BYTES};
    if (sigaltstack(&alternate, NULL) < 0) {
        int error = errno;
        free(stack);
        return -error;
    }
    handler_stack = stack;
    pthread_once(&install_once, install);
    return 0;
}

void coro_overflow_unwatch(void)
{
    if (!handler_stack)
        return;
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    free(handler_stack);
    handler_stack = NULL;
}
