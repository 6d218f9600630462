/*
 * Faults in a child process, whose hook notes in shared memory what it is told.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/core/symbol.h"
#include "coro/sched/executor.h"
#include "coro/sched/fault.h"
#include "coro/sched/loop.h"
#include "coro/sched/tag.h"
#include "tests/support/fate.h"

#define NFRAMES 64

/* What the last fault was, as the hook was told. */
struct report {
    atomic_int ncalls;
    atomic_int ninside; /* threads that are in the hook */
    atomic_int nready;  /* threads that are about to fault */
    bool has_overlapped;
    struct coro_fault fault;
    char name[32];
    char calls[4096];
};

static struct report *report;
static struct coro_symbols symbols;

static void note_calls(const struct coro_fault *fault)
{
    uintptr_t frames[NFRAMES];
    size_t nframes = coro_fault_backtrace(fault, frames, NFRAMES);
    coro_symbols_calls(&symbols, frames, nframes, report->calls,
                       sizeof report->calls);
}

static void note(const struct coro_fault *fault, void *argument)
{
    (void)argument;
    if (atomic_fetch_add(&report->ninside, 1) > 0)
        report->has_overlapped = true;
    atomic_fetch_add(&report->ncalls, 1);
    report->fault = *fault;
    snprintf(report->name, sizeof report->name, "%s",
             fault->name ? fault->name : "");
    note_calls(fault);
    atomic_fetch_sub(&report->ninside, 1);
}

static int set_up(void **state)
{
    (void)state;
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    coro_symbols_open(&symbols);
    return report == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    coro_symbols_close(&symbols);
    return munmap(report, sizeof *report);
}

/* --- culprits ------------------------------------------------------------- */

/* Frames that are there: none is inlined, none becomes a jump. */
#define CULPRIT __attribute__((noinline, no_sanitize("undefined")))
#define KEEP    __asm__ volatile("" : : : "memory")

static CULPRIT int read_null(void *argument)
{
    volatile char *nowhere = NULL;
    (void)argument;
    __asm__ volatile("" : "+r"(nowhere));
    return *nowhere;
}

/* A file's page beyond its end. */
static CULPRIT int read_beyond_file(void *argument)
{
    FILE *file = tmpfile();
    (void)argument;
    volatile char *page =
        mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
    return page[1];
}

static CULPRIT int run_nonsense(void *argument)
{
    (void)argument;
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#else
    __asm__ volatile(".inst 0");
#endif
    return 0;
}

#if defined(__x86_64__)
static CULPRIT int divide_by_zero(void *argument)
{
    int quotient = 1, rest = 0, zero = 0;
    (void)argument;
    __asm__ volatile("idivl %2" : "+a"(quotient), "+d"(rest) : "r"(zero));
    return quotient + rest;
}
#endif

static CULPRIT int give_up(void *argument)
{
    (void)argument;
    abort();
}

static CULPRIT int descend(int depth)
{
    volatile char block[512];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 1;
    if (depth > 0)
        block[0] = (char)descend(depth - 1);
    return block[0] + block[511];
}

static int use_up_stack(void *argument)
{
    (void)argument;
    return descend(1000);
}

static CULPRIT int call_null(void *argument)
{
    int (*volatile nobody)(void *) = NULL;
    int result = nobody(argument);
    KEEP;
    return result;
}

static CULPRIT int call_data(void *argument)
{
    static int data[4];
    int (*volatile wrong)(void *) = (int (*)(void *))(uintptr_t)(void *)data;
    int result = wrong(argument);
    KEEP;
    return result;
}

static int kill_process(void *argument)
{
    return kill(getpid(), *(int *)argument);
}

/* --- where they do it ----------------------------------------------------- */

static coro_task_fn *culprit;
static void *culprit_argument;

static int be_guilty(void *argument)
{
    (void)argument;
    coro_tag_set(7);
    int result = culprit(culprit_argument);
    KEEP;
    return result;
}

static void fault_in_task(void)
{
    struct coro_loop *loop;
    struct coro_task *task;
    struct coro_spawn_options named = {.name = "culprit"};
    coro_fault_set_hook(note, NULL);
    coro_fault_watch();
    coro_loop_new(NULL, &loop);
    coro_spawn(loop, be_guilty, NULL, &named, &task);
    coro_loop_run_until_complete(loop, task, NULL);
}

static int use_thread(void *argument)
{
    (void)argument;
    coro_tag_set(7);
    return coro_run_in_thread(culprit, NULL, CORO_NEVER, NULL);
}

static void fault_in_thread(void)
{
    coro_fault_set_hook(note, NULL);
    coro_fault_watch();
    coro_run(use_thread, NULL, NULL);
}

static void fault_on_callback(struct coro_callback *callback)
{
    (void)callback;
    culprit(NULL);
    KEEP;
}

static int queue_callback(void *argument)
{
    coro_tag_set(7);
    coro_loop_call_soon(coro_loop_current(), argument);
    return coro_relax();
}

static void fault_in_loop(void)
{
    static struct coro_callback callback = {.run = fault_on_callback};
    coro_fault_set_hook(note, NULL);
    coro_fault_watch();
    coro_run(queue_callback, &callback, NULL);
}

/* --- what is told --------------------------------------------------------- */

static void assert_calls(const char *name)
{
    if (!strstr(report->calls, name))
        fail_msg("\"%s\" is not among the calls:\n%s", name, report->calls);
}

static void assert_told_once(coro_task_fn *function, void (*run)(void),
                             int number)
{
    memset(report, 0, sizeof *report);
    culprit = function;
    struct fate fate = fate_of(run);
    fate_assert_signal(&fate, number);
    assert_int_equal(report->ncalls, 1);
    assert_int_equal(report->fault.number, number);
}

static void assert_own_in_task(coro_task_fn *function, int number,
                               const char *name)
{
    assert_told_once(function, fault_in_task, number);
    assert_true(report->fault.is_own);
    assert_false(report->fault.is_thread);
    assert_false(report->fault.is_overflow);
    assert_int_equal(report->fault.tag, 7);
    assert_string_equal(report->name, "culprit");
    assert_int_equal(report->fault.stack_bytes, 61440);
    assert_calls(name);
    assert_calls("be_guilty");
    assert_null(strstr(report->calls, "on_fault"));
    assert_null(strstr(report->calls, "note"));
}

static void each_signal_names_the_task_that_raised_it(void **state)
{
    (void)state;
    assert_own_in_task(read_null, SIGSEGV, "read_null");
    assert_true(report->fault.code > 0);
    assert_ptr_equal(report->fault.address, NULL);
    assert_own_in_task(read_beyond_file, SIGBUS, "read_beyond_file");
    assert_ptr_not_equal(report->fault.address, NULL);
    assert_own_in_task(run_nonsense, SIGILL, "run_nonsense");
#if defined(__x86_64__)
    assert_own_in_task(divide_by_zero, SIGFPE, "divide_by_zero");
#endif
    assert_own_in_task(give_up, SIGABRT, "give_up");
}

static void a_call_of_what_is_no_code_names_the_caller(void **state)
{
    (void)state;
    assert_own_in_task(call_null, SIGSEGV, "call_null");
    assert_own_in_task(call_data, SIGSEGV, "call_data");
}

static void a_thread_of_the_executor_is_told_with_whose_work_it_does(
    void **state)
{
    (void)state;
    assert_told_once(read_null, fault_in_thread, SIGSEGV);
    assert_true(report->fault.is_own);
    assert_true(report->fault.is_thread);
    assert_int_equal(report->fault.tag, 7);
    assert_string_equal(report->name, "");
    assert_calls("read_null");
    assert_told_once(give_up, fault_in_thread, SIGABRT);
    assert_true(report->fault.is_own);
    assert_true(report->fault.is_thread);
    assert_int_equal(report->fault.tag, 7);
    assert_calls("give_up");
}

static CULPRIT int use_up_thread_stack(void *argument)
{
    (void)argument;
    return descend(1 << 24);
}

static void a_thread_that_uses_up_its_stack_is_told_too(void **state)
{
    (void)state;
    assert_told_once(use_up_thread_stack, fault_in_thread, SIGSEGV);
    assert_true(report->fault.is_thread);
    assert_int_equal(report->fault.tag, 7);
    assert_calls("descend");
}

static void the_loop_s_own_code_is_nobody_s_work(void **state)
{
    (void)state;
    assert_told_once(read_null, fault_in_loop, SIGSEGV);
    assert_true(report->fault.is_own);
    assert_int_equal(report->fault.tag, 0);
    assert_string_equal(report->name, "");
    assert_int_equal(report->fault.stack_bytes, 0);
    assert_calls("fault_on_callback");
}

static void an_overflow_is_told_with_whose_stack_it_was(void **state)
{
    (void)state;
    assert_told_once(use_up_stack, fault_in_task, SIGSEGV);
    assert_true(report->fault.is_own);
    assert_true(report->fault.is_overflow);
    assert_int_equal(report->fault.tag, 7);
    assert_string_equal(report->name, "culprit");
    assert_int_equal(report->fault.stack_bytes, 61440);
    assert_calls("descend");
}

static void what_was_sent_is_nobody_s_own(void **state)
{
    static int sent[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    (void)state;
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        culprit_argument = &sent[i];
        assert_told_once(kill_process, fault_in_task, sent[i]);
        assert_false(report->fault.is_own);
        assert_ptr_equal(report->fault.address, NULL);
    }
    culprit_argument = NULL;
}

/* --- what comes then ------------------------------------------------------ */

static void leave(int number)
{
    _exit(100 + number);
}

static void fault_with_others_handling(void)
{
    signal(SIGBUS, leave);
    signal(SIGABRT, leave);
    fault_in_task();
}

static void assert_handed_on(coro_task_fn *function, int number)
{
    memset(report, 0, sizeof *report);
    culprit = function;
    struct fate fate = fate_of(fault_with_others_handling);
    assert_int_equal(fate.signal, 0);
    assert_int_equal(fate.status, 100 + number);
    assert_int_equal(report->ncalls, 1);
}

static void a_fault_goes_on_to_who_handled_it_before(void **state)
{
    (void)state;
    assert_handed_on(read_beyond_file, SIGBUS);
    assert_handed_on(give_up, SIGABRT);
    int number = SIGBUS;
    culprit_argument = &number;
    assert_handed_on(kill_process, SIGBUS);
    culprit_argument = NULL;
}

static void fault_again(const struct coro_fault *fault, void *function)
{
    note(fault, NULL);
    ((coro_task_fn *)function)(NULL);
}

static coro_task_fn *second_culprit;

static int fault_twice(void *argument)
{
    coro_fault_set_hook(fault_again, (void *)second_culprit);
    return read_null(argument);
}

static void assert_ends_by_second(coro_task_fn *second, int number)
{
    memset(report, 0, sizeof *report);
    culprit = fault_twice;
    second_culprit = second;
    struct fate fate = fate_of(fault_in_task);
    fate_assert_signal(&fate, number);
    assert_int_equal(report->ncalls, 1);
}

static void a_fault_in_the_hook_ends_the_process(void **state)
{
    (void)state;
    assert_ends_by_second(read_null, SIGSEGV);
    assert_ends_by_second(run_nonsense, SIGILL);
    assert_ends_by_second(give_up, SIGABRT);
}

static void fault_without_hook(void)
{
    coro_fault_watch();
    coro_run(be_guilty, NULL, NULL);
}

static void without_a_hook_a_fault_is_silent(void **state)
{
    (void)state;
    culprit = read_null;
    struct fate fate = fate_of(fault_without_hook);
    fate_assert_signal(&fate, SIGSEGV);
    assert_null(strstr(fate.said, "overflow"));
    assert_null(strstr(fate.said, "task"));
}

/* --- two at once ---------------------------------------------------------- */

#define NTHREADS 2

static int fault_with_the_others(void *argument)
{
    atomic_fetch_add(&report->nready, 1);
    while (atomic_load(&report->nready) < NTHREADS)
        sched_yield();
    return read_null(argument);
}

static int use_own_thread(void *argument)
{
    return coro_run_in_thread(fault_with_the_others, argument, CORO_NEVER,
                              NULL);
}

static int use_threads(void *argument)
{
    struct coro_task *task = NULL;
    for (int i = 0; i < NTHREADS; i++)
        coro_spawn(coro_loop_current(), use_own_thread, argument, NULL, &task);
    return coro_task_wait(task, CORO_NEVER, NULL);
}

static void fault_in_threads(void)
{
    coro_fault_set_hook(note, NULL);
    coro_fault_watch();
    coro_run(use_threads, NULL, NULL);
}

static void threads_that_fault_at_once_are_told_one_by_one(void **state)
{
    (void)state;
    memset(report, 0, sizeof *report);
    struct fate fate = fate_of(fault_in_threads);
    fate_assert_signal(&fate, SIGSEGV);
    assert_true(report->ncalls >= 1);
    assert_false(report->has_overlapped);
    assert_calls("read_null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_names_the_task_that_raised_it),
        cmocka_unit_test(a_call_of_what_is_no_code_names_the_caller),
        cmocka_unit_test(
            a_thread_of_the_executor_is_told_with_whose_work_it_does),
        cmocka_unit_test(a_thread_that_uses_up_its_stack_is_told_too),
        cmocka_unit_test(the_loop_s_own_code_is_nobody_s_work),
        cmocka_unit_test(an_overflow_is_told_with_whose_stack_it_was),
        cmocka_unit_test(what_was_sent_is_nobody_s_own),
        cmocka_unit_test(a_fault_goes_on_to_who_handled_it_before),
        cmocka_unit_test(a_fault_in_the_hook_ends_the_process),
        cmocka_unit_test(without_a_hook_a_fault_is_silent),
        cmocka_unit_test(threads_that_fault_at_once_are_told_one_by_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
