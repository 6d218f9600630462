/*
 * Generators inside one another, inside tasks, in several threads, and many of
 * them.
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

#include "coro/sched/generator.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"
#include "tests/support/scale.h"

static struct coro_gen *make(coro_gen_fn *function, void *argument)
{
    struct coro_gen *gen = NULL;
    return coro_gen_new(function, argument, NULL, &gen) < 0 ? NULL : gen;
}

static int yield_upwards(void *argument, void **ret_value)
{
    (void)ret_value;
    for (uintptr_t i = 1;; i++) {
        int status = coro_yield((void *)(i * (uintptr_t)argument), NULL);
        if (status < 0)
            return status;
    }
}

static uintptr_t next_number(struct coro_gen *gen)
{
    void *value = NULL;
    return coro_gen_next(gen, &value) == 1 ? (uintptr_t)value : 0;
}

/* --- one inside the other ------------------------------------------------ */

/* Yields the sums of what two others yield. */
static int yield_sums(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    struct coro_gen *ones = make(yield_upwards, (void *)1);
    struct coro_gen *tens = make(yield_upwards, (void *)10);
    int status;
    do
        status =
            coro_yield((void *)(next_number(ones) + next_number(tens)), NULL);
    while (status == 0);
    coro_gen_free(ones);
    coro_gen_free(tens);
    return status;
}

static void one_can_resume_others(void **state)
{
    (void)state;
    struct coro_gen *gen = make(yield_sums, NULL);
    for (uintptr_t i = 1; i <= 10; i++)
        assert_int_equal(next_number(gen), 11 * i);
    assert_int_equal(coro_gen_close(gen), 0);
    coro_gen_free(gen);
}

struct pair {
    struct coro_gen *outer;
    int status;
};

static int resume_outer(void *argument, void **ret_value)
{
    struct pair *pair = argument;
    (void)ret_value;
    pair->status = coro_gen_next(pair->outer, NULL);
    return 0;
}

static int resume_inner(void *argument, void **ret_value)
{
    struct coro_gen *inner = make(resume_outer, argument);
    (void)ret_value;
    coro_gen_next(inner, NULL);
    coro_gen_free(inner);
    return 0;
}

static void one_that_has_resumed_another_is_running(void **state)
{
    (void)state;
    struct pair pair = {0};
    pair.outer = make(resume_inner, &pair);
    assert_int_equal(coro_gen_next(pair.outer, NULL), 0);
    assert_int_equal(pair.status, -EBUSY);
    coro_gen_free(pair.outer);
}

static struct coro_gen *itself;

static int resume_itself(void *argument, void **ret_value)
{
    void *value = argument;
    (void)ret_value;
    expect_that(coro_gen_next(itself, &value) == -EBUSY);
    expect_that(coro_gen_throw(itself, -EIO, &value) == -EBUSY);
    expect_that(coro_gen_close(itself) == -EBUSY);
    expect_that(value == argument);
    return coro_yield(NULL, NULL);
}

static void one_can_not_resume_itself(void **state)
{
    (void)state;
    itself = make(resume_itself, NULL);
    assert_int_equal(coro_gen_next(itself, NULL), 1);
    assert_int_equal(coro_gen_next(itself, NULL), 0);
    coro_gen_free(itself);
    assert_as_expected();
}

/* --- inside tasks -------------------------------------------------------- */

struct shared {
    struct coro_gen *gen;
    uintptr_t seen[6];
    size_t nseen;
};

static int take_in_turns(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 3; i++) {
        shared->seen[shared->nseen++] = next_number(shared->gen);
        coro_relax();
    }
    return 0;
}

static int share_one(void *argument)
{
    struct shared *shared = argument;
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    coro_group_spawn(&group, take_in_turns, shared, NULL);
    coro_group_spawn(&group, take_in_turns, shared, NULL);
    coro_group_wait(&group, CORO_NEVER);
    return 0;
}

static void tasks_can_take_turns_with_one(void **state)
{
    (void)state;
    struct shared shared = {.gen = make(yield_upwards, (void *)1)};
    assert_int_equal(next_number(shared.gen), 1);
    assert_int_equal(coro_run(share_one, &shared, NULL), 0);
    assert_int_equal(shared.nseen, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(shared.seen[i], i + 2);
    assert_int_equal(next_number(shared.gen), 8);
    coro_gen_free(shared.gen);
}

/* Waits before each value, as one does that fetches something. */
static int yield_slowly(void *argument, void **ret_value)
{
    (void)ret_value;
    for (uintptr_t i = 1;; i++) {
        int status = coro_sleep(1);
        if (status == 0)
            status = coro_relax();
        if (status == 0)
            status = coro_yield((void *)(i * (uintptr_t)argument), NULL);
        if (status < 0)
            return status;
    }
}

static int sum_slowly(void *argument)
{
    struct coro_gen *gen = make(yield_slowly, argument);
    uintptr_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += next_number(gen);
    coro_gen_free(gen);
    return (int)sum;
}

static int wait_in_several(void *argument)
{
    struct coro_task *tasks[3];
    int *sums = argument;
    for (uintptr_t i = 0; i < 3; i++)
        coro_spawn(coro_loop_current(), sum_slowly, (void *)(i + 1), NULL,
                   &tasks[i]);
    for (int i = 0; i < 3; i++) {
        coro_task_wait(tasks[i], CORO_NEVER, &sums[i]);
        coro_task_unref(tasks[i]);
    }
    return 0;
}

static void inside_a_task_it_can_wait(void **state)
{
    (void)state;
    int sums[3] = {0};
    assert_int_equal(coro_run(wait_in_several, sums, NULL), 0);
    assert_int_equal(sums[0], 10);
    assert_int_equal(sums[1], 20);
    assert_int_equal(sums[2], 30);
}

struct contest {
    struct coro_gen *gen;
    int first;
    int second;
};

static int resume_first(void *argument)
{
    struct contest *contest = argument;
    void *value;
    contest->first = coro_gen_next(contest->gen, &value);
    return 0;
}

static int resume_second(void *argument)
{
    struct contest *contest = argument;
    contest->second = coro_gen_next(contest->gen, NULL);
    return 0;
}

static int compete(void *argument)
{
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    coro_group_spawn(&group, resume_first, argument, NULL);
    coro_group_spawn(&group, resume_second, argument, NULL);
    coro_group_wait(&group, CORO_NEVER);
    return 0;
}

static void one_that_waits_in_a_task_is_running(void **state)
{
    (void)state;
    struct contest contest = {.gen = make(yield_slowly, (void *)1)};
    assert_int_equal(coro_run(compete, &contest, NULL), 0);
    assert_int_equal(contest.first, 1);
    assert_int_equal(contest.second, -EBUSY);
    coro_gen_free(contest.gen);
}

static int wait_for_ever(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    return coro_sleep_until(CORO_NEVER);
}

static int resume_and_return_status(void *argument)
{
    return coro_gen_next(argument, NULL);
}

static int cancel_inside(void *argument)
{
    struct coro_task *task;
    int result = 0;
    coro_spawn(coro_loop_current(), resume_and_return_status, argument, NULL,
               &task);
    coro_relax();
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, &result);
    coro_task_unref(task);
    return result;
}

static void cancelling_a_task_is_seen_by_the_generator_it_waits_in(void **state)
{
    (void)state;
    int result = 0;
    struct coro_gen *gen = make(wait_for_ever, NULL);
    assert_int_equal(coro_run(cancel_inside, gen, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(coro_gen_state(gen), CORO_GEN_CLOSED);
    coro_gen_free(gen);
}

static int ignore_cancellation(void *argument, void **ret_value)
{
    (void)argument;
    (void)ret_value;
    int status;
    do
        status = coro_sleep(1000);
    while (status <= 0);
    return status;
}

static int resume_in_turn(void *argument, void **ret_value)
{
    (void)ret_value;
    return coro_gen_next(argument, NULL);
}

static int resume_it(void *argument)
{
    return coro_gen_next(argument, NULL);
}

static int relax_once(void *argument)
{
    (void)argument;
    return coro_relax();
}

static void those_in_which_a_dropped_task_stands_are_closed(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct coro_task *task;
    struct coro_gen *inner = make(ignore_cancellation, NULL);
    struct coro_gen *outer = make(resume_in_turn, inner);
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_spawn(loop, resume_it, outer, NULL, NULL), 0);
    assert_int_equal(coro_spawn(loop, relax_once, NULL, NULL, &task), 0);
    coro_loop_run_until_complete(loop, task, NULL);
    coro_task_unref(task);
    assert_int_equal(coro_gen_state(inner), CORO_GEN_RUNNING);
    assert_int_equal(coro_loop_free(loop), 1);
    assert_int_equal(coro_gen_state(inner), CORO_GEN_CLOSED);
    assert_int_equal(coro_gen_state(outer), CORO_GEN_CLOSED);
    assert_int_equal(coro_gen_next(outer, NULL), 0);
    coro_gen_free(outer);
    coro_gen_free(inner);
}

static int run_loop_inside(void *argument, void **ret_value)
{
    int result = 0;
    int status = coro_run(sum_slowly, argument, &result);
    if (status == 0)
        status = coro_yield((void *)(uintptr_t)result, NULL);
    *ret_value = argument;
    return status;
}

static void one_without_a_loop_can_run_one(void **state)
{
    (void)state;
    struct coro_gen *gen = make(run_loop_inside, (void *)1);
    assert_int_equal(next_number(gen), 10);
    assert_int_equal(coro_gen_next(gen, NULL), 0);
    coro_gen_free(gen);
}

/* --- threads and numbers ------------------------------------------------- */

#define NTHREADS 4

static void *sum_in_thread(void *argument)
{
    uintptr_t sum = 0;
    struct coro_gen *gen = make(yield_upwards, argument);
    for (int i = 0; i < 1000; i++)
        sum += next_number(gen);
    coro_gen_free(gen);
    return (void *)sum;
}

static void each_thread_has_its_own(void **state)
{
    (void)state;
    pthread_t threads[NTHREADS];
    for (uintptr_t i = 0; i < NTHREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, sum_in_thread, (void *)(i + 1)),
            0);
    for (uintptr_t i = 0; i < NTHREADS; i++) {
        void *sum;
        assert_int_equal(pthread_join(threads[i], &sum), 0);
        assert_int_equal((uintptr_t)sum, (i + 1) * 500500);
    }
}

static void many_stand_still_at_once(void **state)
{
    (void)state;
    size_t n = test_scale(100000, 2000);
    struct coro_gen **gens = calloc(n, sizeof *gens);
    assert_non_null(gens);
    size_t nwrong = 0;
    for (size_t i = 0; i < n; i++)
        gens[i] = make(yield_upwards, (void *)(i + 1));
    for (uintptr_t round = 1; round <= 2; round++)
        for (size_t i = 0; i < n; i++)
            nwrong += next_number(gens[i]) != (i + 1) * round;
    for (size_t i = 0; i < n; i++)
        coro_gen_free(gens[i]);
    free(gens);
    assert_int_equal(nwrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_can_resume_others),
        cmocka_unit_test(one_that_has_resumed_another_is_running),
        cmocka_unit_test(one_can_not_resume_itself),
        cmocka_unit_test(tasks_can_take_turns_with_one),
        cmocka_unit_test(inside_a_task_it_can_wait),
        cmocka_unit_test(one_that_waits_in_a_task_is_running),
        cmocka_unit_test(
            cancelling_a_task_is_seen_by_the_generator_it_waits_in),
        cmocka_unit_test(those_in_which_a_dropped_task_stands_are_closed),
        cmocka_unit_test(one_without_a_loop_can_run_one),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(many_stand_still_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
