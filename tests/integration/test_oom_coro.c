/*
 * Out of memory, at every allocation in turn: generators, what is deferred,
 * memory that frees itself, and dumps.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/defer.h"
#include "coro/sched/dump.h"
#include "coro/sched/generator.h"
#include "coro/sched/loop.h"
#include "tests/support/oom.h"

static void sweep(int (*scenario)(void *argument))
{
    assert_true(oom_sweep(scenario, NULL, OOM_ONE) > 0);
    assert_true(oom_sweep(scenario, NULL, OOM_REST) > 0);
}

/* --- generators ---------------------------------------------------------- */

static int yield_twice(void *argument, void **ret_value)
{
    (void)ret_value;
    int status = coro_yield(argument, NULL);
    return status < 0 ? status : coro_yield(argument, NULL);
}

static int make_generators(void)
{
    struct coro_gen *gens[40] = {NULL};
    int status = 0;
    for (size_t i = 0; i < 40 && status == 0; i++) {
        const struct coro_gen_options options = {.large_stack = i % 2};
        status = coro_gen_new(yield_twice, NULL, &options, &gens[i]);
        if (status == 0 && coro_gen_next(gens[i], NULL) != 1)
            status = -EPROTO;
    }
    for (size_t i = 0; i < 40; i++)
        coro_gen_free(gens[i]);
    return status;
}

static void *make_in_thread(void *argument)
{
    *(int *)argument = make_generators();
    return NULL;
}

/* A thread's stacks are its own until it ends: so each run has one. */
static int make_in_new_thread(void *argument)
{
    (void)argument;
    pthread_t thread;
    int status = -EPROTO;
    if (pthread_create(&thread, NULL, make_in_thread, &status) == 0)
        pthread_join(thread, NULL);
    return status;
}

static void a_generator_is_made_or_not(void **state)
{
    (void)state;
    sweep(make_in_new_thread);
}

/* --- in a task ----------------------------------------------------------- */

static int run_in_loop(coro_task_fn *function)
{
    int result = 0;
    int status = coro_run(function, NULL, &result);
    return status < 0 ? status : result;
}

static int defer_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < 300; i++) {
        char *piece = malloc(16);
        if (!piece)
            return -ENOMEM;
        int status = coro_defer(free, piece);
        if (status < 0)
            return status;
    }
    return coro_relax();
}

static int run_defer_many(void *argument)
{
    (void)argument;
    return run_in_loop(defer_many);
}

static void what_can_not_be_deferred_is_undone_at_once(void **state)
{
    (void)state;
    sweep(run_defer_many);
}

static int format_many(void *argument)
{
    struct coro_scope scope;
    (void)argument;
    for (int i = 0; i < 50; i++) {
        coro_scope_begin(&scope);
        const char *text = coro_format("%0*d", i * 100 + 1, i);
        const char *copy = text ? coro_strdup(text) : NULL;
        bool is_same = copy && strcmp(text, copy) == 0;
        coro_scope_end(&scope);
        if (!copy)
            return -ENOMEM;
        if (!is_same)
            return -EPROTO;
    }
    return coro_alloc(10) ? 0 : -ENOMEM;
}

static int run_format_many(void *argument)
{
    (void)argument;
    return run_in_loop(format_many);
}

static void memory_is_there_or_not(void **state)
{
    (void)state;
    sweep(run_format_many);
}

/* --- dumps --------------------------------------------------------------- */

static void count_bytes(void *argument, const char *text, size_t len)
{
    (void)text;
    *(size_t *)argument += len;
}

static int wait_for_ever(void *argument)
{
    (void)argument;
    return coro_sleep_until(CORO_NEVER);
}

static int dump_gens(void *argument)
{
    size_t nbytes = 0;
    struct coro_gen *gens[3] = {NULL};
    int status = 0;
    for (size_t i = 0; i < 3 && status == 0; i++) {
        status = coro_gen_new(yield_twice, argument, NULL, &gens[i]);
        if (status == 0)
            coro_gen_next(gens[i], NULL);
    }
    coro_dump(coro_loop_current(), count_bytes, &nbytes);
    for (size_t i = 0; i < 3; i++)
        coro_gen_free(gens[i]);
    return nbytes > 100 ? status : -EPROTO;
}

static void *dump_in_thread(void *argument)
{
    int status = coro_run(dump_gens, NULL, argument);
    if (status < 0)
        *(int *)argument = status;
    return NULL;
}

/* As above: the stacks of generators are a thread's. */
static int dump_in_new_thread(void *argument)
{
    (void)argument;
    pthread_t thread;
    int status = -EPROTO;
    if (pthread_create(&thread, NULL, dump_in_thread, &status) == 0)
        pthread_join(thread, NULL);
    return status;
}

static void a_dump_of_generators_is_given_all_the_same(void **state)
{
    (void)state;
    sweep(dump_in_new_thread);
}

static int dump(void *argument)
{
    size_t nbytes = 0;
    for (int i = 0; i < 5; i++) {
        int status = coro_spawn(coro_loop_current(), wait_for_ever, argument,
                                NULL, NULL);
        if (status < 0)
            return status;
    }
    coro_relax();
    coro_dump(coro_loop_current(), count_bytes, &nbytes);
    return nbytes > 100 ? 0 : -EPROTO;
}

static int run_dump(void *argument)
{
    (void)argument;
    return run_in_loop(dump);
}

static void a_dump_is_given_all_the_same(void **state)
{
    (void)state;
    sweep(run_dump);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generator_is_made_or_not),
        cmocka_unit_test(what_can_not_be_deferred_is_undone_at_once),
        cmocka_unit_test(memory_is_there_or_not),
        cmocka_unit_test(a_dump_is_given_all_the_same),
        cmocka_unit_test(a_dump_of_generators_is_given_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
