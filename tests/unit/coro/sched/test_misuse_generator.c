/*
 * Calls that must not be made of generators and of what is deferred, and stacks
 * that are too small: each ends the process with a line that says what was
 * wrong.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/core/sanitize.h"
#include "coro/sched/defer.h"
#include "coro/sched/fault.h"
#include "coro/sched/generator.h"
#include "coro/sched/loop.h"
#include "coro/sched/runner.h"
#include "tests/support/fate.h"

/* What the child works with; each test has one of its own. */
static struct {
    struct coro_gen *gen;
    struct coro_scope scope;
} scene;

static void in_a_loop(coro_task_fn *function)
{
    coro_run(function, NULL, NULL);
}

static int sleep_in_generator(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    return coro_sleep(1);
}

static void wait_in_lone_generator(void)
{
    if (coro_gen_new(sleep_in_generator, NULL, NULL, &scene.gen) == 0)
        coro_gen_next(scene.gen, NULL);
}

static void waiting_in_a_generator_without_a_task_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(wait_in_lone_generator, "needs to be called by a task");
}

static int yield_once(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    return coro_yield(NULL, NULL);
}

static int free_myself(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    coro_gen_free(scene.gen);
    return 0;
}

static void free_generator_twice(void)
{
    coro_gen_new(yield_once, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
    coro_gen_free(scene.gen);
    coro_gen_free(scene.gen);
}

static void use_freed_generator(void)
{
    coro_gen_new(yield_once, NULL, NULL, &scene.gen);
    coro_gen_free(scene.gen);
    coro_gen_next(scene.gen, NULL);
}

static void free_running_generator(void)
{
    coro_gen_new(free_myself, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
}

static void freeing_a_generator_twice_or_while_it_runs_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(free_generator_twice, "this generator was freed");
    fate_assert_aborts(use_freed_generator, "this generator was freed");
    fate_assert_aborts(free_running_generator,
                       "a generator that runs can't be freed");
}

/* --- generators elsewhere ------------------------------------------------ */

static void *resume_generator(void *argument)
{
    coro_gen_next(scene.gen, NULL);
    return argument;
}

static void resume_from_thread(void)
{
    coro_gen_new(yield_once, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, resume_generator, NULL) == 0)
        pthread_join(thread, NULL);
}

static void resuming_another_thread_s_generator_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(resume_from_thread, "the thread that made it");
}

static void yield_outside(void)
{
    coro_yield(NULL, NULL);
}

static int yield_in_task(void *argument)
{
    return coro_yield(argument, NULL);
}

static int yield_from_task_inside(void *argument, void **ret_value)
{
    (void)ret_value;
    return coro_run(yield_in_task, argument, NULL);
}

static void yield_in_inner_task(void)
{
    coro_gen_new(yield_from_task_inside, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
}

static void yield_now(struct coro_callback *callback)
{
    (void)callback;
    coro_yield(NULL, NULL);
}

static int call_yielder(void *argument)
{
    struct coro_callback callback = {.run = yield_now};
    (void)argument;
    coro_loop_call_soon(coro_loop_current(), &callback);
    return coro_sleep(1000);
}

static int yield_from_callback_inside(void *argument, void **ret_value)
{
    (void)ret_value;
    return coro_run(call_yielder, argument, NULL);
}

static void yield_in_inner_callback(void)
{
    coro_gen_new(yield_from_callback_inside, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
}

static void yield_deferred(void *argument)
{
    coro_yield(argument, NULL);
}

static int defer_yield(void *argument, void **ret_value)
{
    (void)ret_value;
    return coro_defer(yield_deferred, argument);
}

static void yield_after_the_end(void)
{
    coro_gen_new(defer_yield, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
}

static void wait_deferred(void *argument)
{
    (void)argument;
    coro_sleep(1);
}

static int defer_wait(void *argument, void **ret_value)
{
    (void)ret_value;
    int status = coro_defer(wait_deferred, argument);
    return status < 0 ? status : coro_yield(NULL, NULL);
}

static int end_generator(void *argument)
{
    (void)argument;
    coro_gen_new(defer_wait, NULL, NULL, &scene.gen);
    coro_gen_next(scene.gen, NULL);
    return coro_gen_close(scene.gen);
}

static void wait_after_the_end(void)
{
    in_a_loop(end_generator);
}

static void waiting_in_what_a_generator_deferred_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(wait_after_the_end, "what was deferred can't suspend");
}

static void yielding_outside_of_generators_is_refused(void **state)
{
    (void)state;
    const char *needs_generator = "needs to be called by a generator";
    fate_assert_aborts(yield_outside, needs_generator);
    fate_assert_aborts(yield_in_inner_task, needs_generator);
    fate_assert_aborts(yield_in_inner_callback, "can't yield for it");
    fate_assert_aborts(yield_after_the_end,
                       "a generator that has ended can't yield");
}

/* --- deferring ----------------------------------------------------------- */

static void do_nothing(void *argument)
{
    (void)argument;
}

static void defer_outside(void)
{
    int status = coro_defer(do_nothing, NULL);
    (void)status;
}

static void allocate_outside(void)
{
    coro_alloc(10);
}

static void deferring_outside_is_refused(void **state)
{
    (void)state;
    const char *why = "only a task or a generator can defer and allocate";
    fate_assert_aborts(defer_outside, why);
    fate_assert_aborts(allocate_outside, why);
}

static int begin_scope(void *argument)
{
    (void)argument;
    coro_scope_begin(&scene.scope);
    return coro_sleep(1000);
}

static int end_its_scope(void *argument)
{
    coro_spawn(coro_loop_current(), begin_scope, argument, NULL, NULL);
    coro_relax();
    coro_scope_end(&scene.scope);
    return 0;
}

static void end_foreign_scope(void)
{
    in_a_loop(end_its_scope);
}

static void ending_another_task_s_scope_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(end_foreign_scope, "a scope ends in the task");
}

/* --- overflows ----------------------------------------------------------- */

/* Goes on until it runs into what lies below the stack. */
static __attribute__((noinline)) int descend(int depth)
{
    volatile char block[512];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 1;
    if (depth > 0)
        block[0] = (char)descend(depth - 1);
    return block[0] + block[511];
}

static int overflow(void *argument)
{
    (void)argument;
    return descend(1000);
}

static int overflow_generator(void *argument, void **ret_value)
{
    (void)ret_value;
    return overflow(argument);
}

static int resume_glutton(void *argument)
{
    const struct coro_gen_options options = {.name = "glutton"};
    (void)argument;
    coro_gen_new(overflow_generator, NULL, &options, &scene.gen);
    return coro_gen_next(scene.gen, NULL);
}

static void overflow_task(void)
{
    coro_fault_watch();
    in_a_loop(overflow);
}

static void overflow_program(void)
{
    coro_main(overflow, NULL);
}

static void overflow_lone_generator(void)
{
    coro_fault_watch();
    resume_glutton(NULL);
}

static void overflow_generator_in_task(void)
{
    coro_fault_watch();
    in_a_loop(resume_glutton);
}

/* A checker that reports faults tells of them in its own words. */
static void assert_overflow(void (*function)(void), const char *who)
{
    struct fate fate = fate_of(function);
    if (coro_sanitize_reports_faults()) {
        assert_true(fate.signal != 0 || fate.status != 0);
        return;
    }
    assert_int_equal(fate.signal, SIGSEGV);
    if (!strstr(fate.said, who))
        fail_msg("it said \"%s\", without \"%s\"", fate.said, who);
    assert_non_null(strstr(fate.said, ": its stack has 61440 bytes"));
}

static void an_overflow_names_who_it_was_and_how_large_its_stack_is(
    void **state)
{
    (void)state;
    assert_overflow(overflow_task, "stack overflow in task 'main' (1): ");
    assert_overflow(overflow_program, "stack overflow in task 'main' (1): ");
    assert_overflow(overflow_lone_generator,
                    "stack overflow in generator 'glutton': ");
    assert_overflow(overflow_generator_in_task,
                    "stack overflow in generator 'glutton' of task 'main' "
                    "(1): ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_in_a_generator_without_a_task_is_refused),
        cmocka_unit_test(freeing_a_generator_twice_or_while_it_runs_is_refused),
        cmocka_unit_test(resuming_another_thread_s_generator_is_refused),
        cmocka_unit_test(waiting_in_what_a_generator_deferred_is_refused),
        cmocka_unit_test(yielding_outside_of_generators_is_refused),
        cmocka_unit_test(deferring_outside_is_refused),
        cmocka_unit_test(ending_another_task_s_scope_is_refused),
        cmocka_unit_test(
            an_overflow_names_who_it_was_and_how_large_its_stack_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
