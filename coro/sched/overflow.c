#include "coro/sched/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/core/guard.h"
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

static void tell(const struct coro_task *task)
{
    char message[MESSAGE_BYTES];
    size_t size = (size_t)(task->stack.top - task->stack.bottom);
    size_t len = append(message, 0, "stack overflow in task '");
    len = append(message, len, task->name);
    len = append(message, len, "' (");
    len = append_number(message, len, task->id);
    len = append(message, len, "): its stack has ");
    len = append_number(message, len, size);
    len = append(message, len, " bytes\n");
    ssize_t written = write(STDERR_FILENO, message, len);
    (void)written;
}

static bool is_in_guard(const struct coro_task *task, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    uintptr_t bottom = (uintptr_t)task->stack.bottom;
    return at < bottom && at >= bottom - coro_page_bytes();
}

/* Puts back what was there before and returns: the access is made again, and
 * the fault goes where it would have gone without us. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    struct coro_task *task = coro_task_current();
    if (task && info->si_code > 0 && is_in_guard(task, info->si_addr))
        tell(task);
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
