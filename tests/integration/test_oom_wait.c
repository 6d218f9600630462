/*
 * Out of memory, at every allocation in turn: what waits for tasks, owns them
 * or brings their values, and queues of each order.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coro/sched/as_completed.h"
#include "coro/sched/await.h"
#include "coro/sched/barrier.h"
#include "coro/sched/call.h"
#include "coro/sched/condition.h"
#include "coro/sched/event.h"
#include "coro/sched/gather.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "coro/sched/semaphore.h"
#include "coro/sched/timeout.h"
#include "tests/support/oom.h"

#define NTASKS 4

/* Runs @scenario, which returns 0 or -ENOMEM, as a task. */
static int in_loop(void *scenario)
{
    int result = 0;
    int status = coro_run((coro_task_fn *)scenario, NULL, &result);
    return status < 0 ? status : result;
}

static void sweep(coro_task_fn *scenario)
{
    assert_true(oom_sweep(in_loop, (void *)scenario, OOM_ONE) > 0);
    assert_true(oom_sweep(in_loop, (void *)scenario, OOM_REST) > 0);
}

/* A task whose value is memory of its own. */
static int make_value(void *argument)
{
    (void)argument;
    int status = coro_sleep(1);
    char *value = malloc(10);
    if (status < 0 || !value) {
        free(value);
        return status < 0 ? status : -ENOMEM;
    }
    return coro_task_return(value, free);
}

/* As many as there is memory for; a status. */
static int start_all(struct coro_task *tasks[NTASKS], size_t *ret_ntasks)
{
    for (size_t i = 0; i < NTASKS; i++) {
        *ret_ntasks = i;
        int status =
            coro_spawn(coro_loop_current(), make_value, NULL, NULL, &tasks[i]);
        if (status < 0)
            return status;
    }
    *ret_ntasks = NTASKS;
    return 0;
}

static void end_all(struct coro_task *tasks[NTASKS], size_t ntasks)
{
    for (size_t i = 0; i < ntasks; i++) {
        coro_task_wait(tasks[i], CORO_NEVER, NULL);
        coro_task_unref(tasks[i]);
    }
}

static int await_values(void *argument)
{
    (void)argument;
    struct coro_task *tasks[NTASKS];
    size_t ntasks;
    int status = start_all(tasks, &ntasks);
    if (status == 0)
        status = coro_await(tasks[0], CORO_NEVER);
    if (status == 0)
        status = coro_shield(tasks[1], CORO_NEVER);
    if (status == 0)
        status = coro_wait_for(tasks[2], coro_after(60000));
    if (status == 0 && coro_wait_for(tasks[3], 0) == -ENOMEM)
        status = -ENOMEM;
    end_all(tasks, ntasks);
    return status;
}

static void an_await_of_each_kind_gives_what_the_task_says(void **state)
{
    (void)state;
    sweep(await_values);
}

static int gather_values(void *argument)
{
    (void)argument;
    struct coro_task *tasks[NTASKS];
    size_t ntasks;
    int results[NTASKS];
    int status = start_all(tasks, &ntasks);
    if (status == 0)
        status =
            coro_gather(tasks, ntasks, CORO_RAISE_ERRORS, CORO_NEVER, results);
    if (status == 0)
        free(coro_task_take_value(tasks[0]));
    end_all(tasks, ntasks);
    return status;
}

static void a_gather_comes_with_all_or_says_why_not(void **state)
{
    (void)state;
    sweep(gather_values);
}

static int wait_for_values(void *argument)
{
    (void)argument;
    struct coro_task *tasks[NTASKS];
    size_t ntasks;
    int status = start_all(tasks, &ntasks);
    if (status == 0)
        status = coro_wait(tasks, ntasks, CORO_FIRST_COMPLETED, CORO_NEVER);
    for (size_t i = 0; i < ntasks; i++) {
        int result = coro_await(tasks[i], CORO_NEVER);
        status = status < 0 ? status : result;
    }
    end_all(tasks, ntasks);
    return status;
}

static void a_wait_is_made_or_not(void **state)
{
    (void)state;
    sweep(wait_for_values);
}

static int take_values_as_they_come(void *argument)
{
    (void)argument;
    struct coro_task *tasks[NTASKS];
    struct coro_as_completed each;
    size_t ntasks;
    int status = start_all(tasks, &ntasks);
    if (status == 0)
        status = coro_as_completed_init(&each, tasks, ntasks);
    if (status == 0) {
        struct coro_task *task;
        while (coro_as_completed_next(&each, CORO_NEVER, &task) > 0)
            if (coro_task_result(task) < 0)
                status = coro_task_result(task);
        coro_as_completed_release(&each);
    }
    end_all(tasks, ntasks);
    return status;
}

static void taking_as_they_come_is_begun_or_not(void **state)
{
    (void)state;
    sweep(take_values_as_they_come);
}

static int group_values(void *argument)
{
    (void)argument;
    struct coro_group group;
    int status = 0;
    coro_group_begin(&group);
    for (int i = 0; i < NTASKS && status == 0; i++)
        status = coro_group_spawn(&group, make_value, NULL, NULL);
    return coro_group_end(&group, status);
}

static void a_group_ends_with_all_or_says_why_not(void **state)
{
    (void)state;
    sweep(group_values);
}

static int compare_nothing(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return 0;
}

static int make_queues(void *argument)
{
    (void)argument;
    struct coro_queue lifo, priority;
    int status = coro_queue_init_lifo(&lifo, 100);
    if (status < 0)
        return status;
    status = coro_queue_init_priority(&priority, 100, compare_nothing);
    if (status == 0)
        coro_queue_release(&priority);
    coro_queue_release(&lifo);
    return status;
}

static void queues_of_each_order_are_made_or_not(void **state)
{
    (void)state;
    sweep(make_queues);
}

static int release_slot(void *argument)
{
    return coro_semaphore_release(argument);
}

static void set_event(void *event)
{
    coro_event_set(event);
}

/* None of these allocates: what fails is spawning the other task. */
static int wait_for_slot(void *argument)
{
    (void)argument;
    struct coro_semaphore slots;
    struct coro_timeout limit;
    struct coro_lock lock;
    struct coro_condition condition;
    struct coro_event event;
    struct coro_barrier barrier;
    coro_semaphore_init(&slots, 0, 1);
    coro_lock_init(&lock);
    coro_condition_init(&condition, &lock);
    coro_event_init(&event);
    coro_barrier_init(&barrier, 1);
    int status =
        coro_spawn(coro_loop_current(), release_slot, &slots, NULL, NULL);
    if (status < 0)
        return status;
    coro_timeout_begin(&limit, coro_after(60000));
    status = coro_semaphore_acquire(&slots, CORO_NEVER);
    coro_lock_acquire(&lock, 0);
    coro_condition_wait(&condition, 0);
    struct coro_call soon = {0}, later = {0};
    coro_call_soon(coro_loop_current(), &soon, set_event, &event);
    coro_call_later(coro_loop_current(), &later, 60000, set_event, &event);
    coro_event_wait(&event, CORO_NEVER);
    coro_call_cancel(&later);
    coro_barrier_wait(&barrier, 0);
    return coro_timeout_end(&limit, status);
}

static void locks_and_the_like_need_no_memory(void **state)
{
    (void)state;
    sweep(wait_for_slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_await_of_each_kind_gives_what_the_task_says),
        cmocka_unit_test(a_gather_comes_with_all_or_says_why_not),
        cmocka_unit_test(a_wait_is_made_or_not),
        cmocka_unit_test(taking_as_they_come_is_begun_or_not),
        cmocka_unit_test(a_group_ends_with_all_or_says_why_not),
        cmocka_unit_test(queues_of_each_order_are_made_or_not),
        cmocka_unit_test(locks_and_the_like_need_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
