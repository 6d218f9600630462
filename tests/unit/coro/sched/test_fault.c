#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "tests/support/fate.h"
#include "tests/support/scale.h"

static int rest(void *argument)
{
    (void)argument;
    return coro_sleep_until(CORO_NEVER);
}

static int relax_and_return(void *argument)
{
    coro_relax();
    return *(int *)argument;
}

/* --- wrong calls --------------------------------------------------------- */

static int run_nested(void *argument)
{
    (void)argument;
    coro_loop_run_forever(coro_loop_current());
    return 0;
}

static void run_loop_within_itself(void)
{
    coro_run(run_nested, NULL, NULL);
}

static int run_another(void *argument)
{
    return coro_run(relax_and_return, argument, NULL);
}

static void run_loop_within_another(void)
{
    int value = 0;
    coro_run(run_another, &value, NULL);
}

static void a_loop_within_a_loop_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(run_loop_within_itself, "from inside");
    fate_assert_aborts(run_loop_within_another, "current_loop");
}

static void do_nothing(struct coro_callback *callback)
{
    (void)callback;
}

static void queue_callback_twice(void)
{
    struct coro_loop *loop;
    struct coro_callback callback = {.run = do_nothing};
    coro_loop_new(NULL, &loop);
    coro_loop_call_soon(loop, &callback);
    coro_loop_call_soon(loop, &callback);
}

static void a_callback_that_is_queued_already_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(queue_callback_twice, "is_queued");
}

/* --- overflows ----------------------------------------------------------- */

/* Descends until the stack is used up, beyond its bottom. */
static __attribute__((noinline)) int descend(const char *bottom)
{
    volatile char block[512];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 1;
    if ((uintptr_t)block > (uintptr_t)bottom)
        block[0] = (char)descend(bottom);
    return block[0] + block[511];
}

static int overflow(void *argument)
{
    struct coro_task *self = coro_task_current();
    (void)argument;
    coro_relax();
    int depth = descend(self->stack.bottom);
    coro_relax();
    return depth;
}

/* The second stack of the pool is overflowed, so that there is one below. */
static void overflow_in_loop(enum coro_guard guard)
{
    struct coro_loop *loop;
    struct coro_loop_options options = {.guard = guard};
    struct coro_spawn_options named = {.name = "glutton"};
    struct coro_task *task;
    coro_loop_new(&options, &loop);
    coro_spawn(loop, rest, NULL, NULL, NULL);
    coro_spawn(loop, overflow, NULL, &named, &task);
    coro_loop_run_until_complete(loop, task, NULL);
}

static void overflow_with_guard(void)
{
    overflow_in_loop(CORO_GUARD_KERNEL);
}

static void overflow_with_mprotect(void)
{
    overflow_in_loop(CORO_GUARD_MPROTECT);
}

static void overflow_with_canary(void)
{
    overflow_in_loop(CORO_GUARD_CANARY);
}

static void a_stack_overflow_hits_the_guard(void **state)
{
    (void)state;
    assert_int_equal(fate_of(overflow_with_guard).signal, SIGSEGV);
    assert_int_equal(fate_of(overflow_with_mprotect).signal, SIGSEGV);
}

static void without_guards_an_overflow_is_found_at_the_next_suspension(
    void **state)
{
    (void)state;
    struct fate fate = fate_of(overflow_with_canary);
    assert_int_equal(fate.signal, SIGABRT);
    assert_non_null(strstr(fate.said, "glutton"));
    assert_non_null(strstr(fate.said, "overflow"));
}

/* --- limits -------------------------------------------------------------- */

static void open_loop_without_descriptors(void)
{
    struct coro_loop *loop;
    struct rlimit limit = {0, 0};
    setrlimit(RLIMIT_NOFILE, &limit);
    int status = coro_loop_new(NULL, &loop);
    /* valgrind has a limit of its own and lets most calls through. */
    _exit(status == -EMFILE || test_is_under_valgrind() ? 0 : 1);
}

static void a_loop_can_not_be_made_without_descriptors(void **state)
{
    (void)state;
    struct fate fate = fate_of(open_loop_without_descriptors);
    assert_int_equal(fate.signal, 0);
    assert_int_equal(fate.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_within_a_loop_is_refused),
        cmocka_unit_test(a_callback_that_is_queued_already_is_refused),
        cmocka_unit_test(a_stack_overflow_hits_the_guard),
        cmocka_unit_test(
            without_guards_an_overflow_is_found_at_the_next_suspension),
        cmocka_unit_test(a_loop_can_not_be_made_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
