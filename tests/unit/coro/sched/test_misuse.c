/*
 * Calls that must not be made: each ends the process with a line that says what
 * was wrong, instead of breaking something that is found out later.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/call.h"
#include "coro/sched/defer.h"
#include "coro/sched/dump.h"
#include "coro/sched/executor.h"
#include "coro/sched/future.h"
#include "coro/sched/inbox.h"
#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "coro/sched/remote.h"
#include "tests/support/fate.h"

/* What the child works with; each test has one of its own. */
static struct {
    struct coro_loop *loop;
    struct coro_task *task;
    struct coro_future future;
} scene;

static void in_a_loop(coro_task_fn *function)
{
    coro_run(function, NULL, NULL);
}

static void in_another_thread(void *(*function)(void *argument))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, NULL) == 0)
        pthread_join(thread, NULL);
}

static int wait_for_ever(void *argument)
{
    (void)argument;
    return coro_future_wait(&scene.future, CORO_NEVER);
}

static int relax(void *argument)
{
    (void)argument;
    return coro_relax();
}

/* A loop in this thread in which one task waits for the future. */
static void make_waiting_task(void)
{
    struct coro_task *other;
    coro_future_init(&scene.future);
    coro_loop_new(NULL, &scene.loop);
    coro_spawn(scene.loop, wait_for_ever, NULL, NULL, &scene.task);
    coro_spawn(scene.loop, relax, NULL, NULL, &other);
    coro_loop_run_until_complete(scene.loop, other, NULL);
}

/* --- waiting where nobody can wait --------------------------------------- */

static const char needs_task[] = "needs to be called by a task";

static void wait_outside(void)
{
    coro_future_init(&scene.future);
    coro_future_wait(&scene.future, CORO_NEVER);
}

static void sleep_outside(void)
{
    coro_sleep(1000);
}

static void relax_outside(void)
{
    coro_relax();
}

static void get_outside(void)
{
    struct coro_queue queue;
    void *item;
    if (coro_queue_init(&queue, 1) == 0)
        coro_queue_get(&queue, CORO_NEVER, &item);
}

static void await_remote_outside(void)
{
    struct coro_remote *remote;
    coro_loop_new(NULL, &scene.loop);
    if (coro_submit(scene.loop, relax, NULL, &remote) == 0)
        coro_remote_await(remote, CORO_NEVER);
}

static void await_task_outside(void)
{
    make_waiting_task();
    coro_await(scene.task, CORO_NEVER);
}

static void run_in_thread_outside(void)
{
    coro_run_in_thread(relax, NULL, CORO_NEVER, NULL);
}

static void waiting_outside_of_tasks_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(wait_outside, needs_task);
    fate_assert_aborts(sleep_outside, needs_task);
    fate_assert_aborts(relax_outside, needs_task);
    fate_assert_aborts(get_outside, needs_task);
    fate_assert_aborts(await_task_outside, needs_task);
    fate_assert_aborts(await_remote_outside, needs_task);
    fate_assert_aborts(run_in_thread_outside, needs_task);
}

static void sleep_now(struct coro_callback *callback)
{
    (void)callback;
    coro_sleep(1);
}

static int call_sleeper(void *argument)
{
    struct coro_callback callback = {.run = sleep_now};
    (void)argument;
    coro_loop_call_soon(coro_loop_current(), &callback);
    return coro_sleep(1000);
}

static void wait_in_callback(void)
{
    in_a_loop(call_sleeper);
}

static void waiting_in_a_callback_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(wait_in_callback, needs_task);
}

static void sleep_in_deferred(void *argument)
{
    (void)argument;
    coro_sleep(1);
}

static int defer_sleep(void *argument)
{
    return coro_defer(sleep_in_deferred, argument);
}

static void wait_in_deferred(void)
{
    in_a_loop(defer_sleep);
}

static void waiting_in_what_was_deferred_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(wait_in_deferred, "what was deferred can't suspend");
}

/* --- another thread's loop ----------------------------------------------- */

static const char needs_thread[] = "a loop belongs to its thread";

static void *set_future(void *argument)
{
    coro_future_set(&scene.future, 0, NULL);
    return argument;
}

static void *cancel_task(void *argument)
{
    coro_task_cancel(scene.task);
    return argument;
}

static void *spawn_task(void *argument)
{
    coro_spawn(scene.loop, relax, NULL, NULL, NULL);
    return argument;
}

static void *dump_loop(void *argument)
{
    coro_dump_fd(scene.loop, STDERR_FILENO);
    return argument;
}

static void nothing(struct coro_callback *callback)
{
    (void)callback;
}

static void *call_soon(void *argument)
{
    static struct coro_callback callback = {.run = nothing};
    coro_loop_call_soon(scene.loop, &callback);
    return argument;
}

static int await_foreign_task(void *argument)
{
    (void)argument;
    return coro_await(scene.task, CORO_NEVER);
}

static void *await_task(void *argument)
{
    in_a_loop(await_foreign_task);
    return argument;
}

static void forget(void *argument)
{
    (void)argument;
}

static void *call_later(void *argument)
{
    static struct coro_call call;
    coro_call_later(scene.loop, &call, 60000, forget, NULL);
    return argument;
}

static void later_from_thread(void)
{
    make_waiting_task();
    in_another_thread(call_later);
}

static void set_from_thread(void)
{
    make_waiting_task();
    in_another_thread(set_future);
}

static void cancel_from_thread(void)
{
    make_waiting_task();
    in_another_thread(cancel_task);
}

static void spawn_from_thread(void)
{
    make_waiting_task();
    in_another_thread(spawn_task);
}

static void dump_from_thread(void)
{
    make_waiting_task();
    in_another_thread(dump_loop);
}

static void call_from_thread(void)
{
    make_waiting_task();
    in_another_thread(call_soon);
}

static void await_from_thread(void)
{
    make_waiting_task();
    in_another_thread(await_task);
}

static void reaching_into_another_thread_s_loop_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(set_from_thread, needs_thread);
    fate_assert_aborts(cancel_from_thread, needs_thread);
    fate_assert_aborts(spawn_from_thread, needs_thread);
    fate_assert_aborts(dump_from_thread, needs_thread);
    fate_assert_aborts(call_from_thread, needs_thread);
    fate_assert_aborts(later_from_thread, needs_thread);
    fate_assert_aborts(await_from_thread, needs_thread);
}

static void run_foreign_task(void)
{
    struct coro_loop *other;
    make_waiting_task();
    coro_loop_new(NULL, &other);
    coro_loop_run_until_complete(other, scene.task, NULL);
}

static void running_another_loop_s_task_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(run_foreign_task, "the loop that it is of");
}

static void call_nothing(void)
{
    static struct coro_call call;
    coro_loop_new(NULL, &scene.loop);
    coro_call_soon(scene.loop, &call, NULL, NULL);
}

static void call_nothing_threadsafe(void)
{
    coro_loop_new(NULL, &scene.loop);
    coro_call_soon_threadsafe(scene.loop, NULL, NULL);
}

static void submit_nothing(void)
{
    coro_loop_new(NULL, &scene.loop);
    coro_submit(scene.loop, NULL, NULL, NULL);
}

static void calling_no_function_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(call_nothing, "function");
    fate_assert_aborts(call_nothing_threadsafe, "function");
    fate_assert_aborts(submit_nothing, "function");
}

static void put_nothing(void)
{
    struct coro_queue queue;
    coro_queue_init(&queue, 1);
    coro_queue_try_put(&queue, NULL);
}

static void putting_nothing_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(put_nothing, "an item is not NULL");
}

static void a_freed_loop_spawns_nothing_for_who_holds_a_reference(void **state)
{
    (void)state;
    struct coro_loop *loop;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    coro_loop_ref(loop);
    coro_loop_free(loop);
    assert_int_equal(coro_spawn(loop, relax, NULL, NULL, NULL), -ESHUTDOWN);
    coro_loop_unref(loop);
}

/* --- freeing what runs --------------------------------------------------- */

static int free_my_loop(void *argument)
{
    (void)argument;
    coro_loop_free(coro_loop_current());
    return 0;
}

static void free_loop_from_inside(void)
{
    in_a_loop(free_my_loop);
}

static void freeing_a_loop_from_inside_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(free_loop_from_inside, "from inside");
}

static int unref_myself(void *argument)
{
    (void)argument;
    coro_task_unref(coro_task_current());
    coro_task_unref(coro_task_current());
    return 0;
}

static void free_running_task(void)
{
    in_a_loop(unref_myself);
}

static void free_waiting_task(void)
{
    make_waiting_task();
    coro_task_unref(scene.task);
    coro_task_unref(scene.task);
}

static void freeing_a_task_that_has_not_ended_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(free_running_task, "has not ended can't be freed");
    fate_assert_aborts(free_waiting_task, "has not ended can't be freed");
}

static void free_ended_task_twice(void)
{
    struct coro_task *task;
    coro_loop_new(NULL, &scene.loop);
    coro_spawn(scene.loop, relax, NULL, NULL, &task);
    coro_loop_run_until_complete(scene.loop, task, NULL);
    coro_task_unref(task);
    coro_task_unref(task);
}

static void giving_a_task_back_too_often_is_refused(void **state)
{
    (void)state;
    fate_assert_aborts(free_ended_task_twice, "task->nrefs > 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_outside_of_tasks_is_refused),
        cmocka_unit_test(waiting_in_a_callback_is_refused),
        cmocka_unit_test(waiting_in_what_was_deferred_is_refused),
        cmocka_unit_test(reaching_into_another_thread_s_loop_is_refused),
        cmocka_unit_test(calling_no_function_is_refused),
        cmocka_unit_test(putting_nothing_is_refused),
        cmocka_unit_test(running_another_loop_s_task_is_refused),
        cmocka_unit_test(a_freed_loop_spawns_nothing_for_who_holds_a_reference),
        cmocka_unit_test(freeing_a_loop_from_inside_is_refused),
        cmocka_unit_test(freeing_a_task_that_has_not_ended_is_refused),
        cmocka_unit_test(giving_a_task_back_too_often_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
