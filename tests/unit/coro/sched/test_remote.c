/*
 * Remotes: tasks submitted from other threads, and what becomes of them.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/inbox.h"
#include "coro/sched/remote.h"
#include "coro/sched/schedule.h"
#include "tests/unit/coro/sched/thread_loop.h"

static int set_up(void **state)
{
    struct thread_loop *other = calloc(1, sizeof *other);
    *state = other;
    if (!other)
        return -1;
    thread_loop_start(other, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct thread_loop *other = *state;
    if (other->loop) {
        thread_loop_stop(other);
        coro_loop_free(other->loop);
    }
    free(other);
    return 0;
}

/* Ends the scene's loop early; how many tasks it had left. */
static size_t end_loop(struct thread_loop *other)
{
    thread_loop_stop(other);
    size_t nleft = coro_loop_free(other->loop);
    other->loop = NULL;
    return nleft;
}

static int add_one(void *argument)
{
    int *number = argument;
    int status = coro_relax();
    return status < 0 ? status : *number + 1;
}

static int sleep_for_ever(void *argument)
{
    (void)argument;
    return coro_sleep_until(CORO_NEVER);
}

static int refuse_to_be_cancelled(void *argument)
{
    int *nasked = argument;
    while (coro_sleep_until(CORO_NEVER) == -ECANCELED)
        if (++*nasked == 1)
            return 7;
    return 0;
}

static int fail_at_once(void *argument)
{
    (void)argument;
    return -EPROTO;
}

static int return_text(void *argument)
{
    return coro_task_return(strdup(argument), free);
}

/* --- results -------------------------------------------------------------- */

static void a_result_comes_back_to_another_thread(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    int number = 41;
    int result = 0;
    assert_int_equal(coro_submit(other->loop, add_one, &number, &remote), 0);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    assert_int_equal(result, 42);
    assert_true(coro_remote_is_done(remote));
    assert_false(coro_remote_cancel(remote));
    coro_remote_unref(remote);
}

static void an_error_comes_back_as_the_result(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    int result = 0;
    assert_int_equal(coro_submit(other->loop, fail_at_once, NULL, &remote), 0);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    assert_int_equal(result, -EPROTO);
    coro_remote_unref(remote);
}

static void a_value_comes_back_and_is_freed_with_the_remote(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    static char text[] = "text";
    assert_int_equal(coro_submit(other->loop, return_text, text, &remote), 0);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, NULL), 0);
    assert_string_equal(coro_remote_value(remote), "text");
    coro_remote_unref(coro_remote_ref(remote));
    assert_string_equal(coro_remote_value(remote), "text");
    coro_remote_unref(remote);
}

static void a_result_that_is_late_can_be_waited_for_again(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    int result = 0;
    assert_int_equal(coro_submit(other->loop, sleep_for_ever, NULL, &remote),
                     0);
    assert_int_equal(coro_remote_result(remote, coro_after(5), &result),
                     -ETIMEDOUT);
    assert_int_equal(coro_remote_result(remote, 0, &result), -ETIMEDOUT);
    assert_int_equal(coro_remote_result(remote, -5, &result), -ETIMEDOUT);
    assert_false(coro_remote_is_done(remote));
    assert_null(coro_remote_value(remote));
    assert_true(coro_remote_cancel(remote));
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    assert_int_equal(result, -ECANCELED);
    coro_remote_unref(remote);
}

struct self_waiter {
    struct coro_loop *loop;
    int status;
};

static int wait_for_own(void *argument)
{
    struct self_waiter *self = argument;
    struct coro_remote *remote;
    int number = 1;
    self->status = coro_submit(self->loop, add_one, &number, &remote);
    if (self->status == 0)
        self->status = coro_remote_result(remote, CORO_NEVER, NULL);
    coro_remote_wait(remote, CORO_NEVER, &number);
    coro_remote_unref(remote);
    return number;
}

static void a_loop_cannot_wait_for_itself(void **state)
{
    struct thread_loop *other = *state;
    struct self_waiter self = {.loop = other->loop};
    struct coro_remote *remote;
    int result = 0;
    coro_submit(other->loop, wait_for_own, &self, &remote);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    coro_remote_unref(remote);
    assert_int_equal(self.status, -EDEADLK);
    assert_int_equal(result, 2);
}

/* --- cancelling ----------------------------------------------------------- */

static void block_until_told(void *argument)
{
    atomic_bool *may_go = argument;
    while (!atomic_load(may_go))
        sched_yield();
}

static int note_that_it_ran(void *argument)
{
    *(bool *)argument = true;
    return 0;
}

static void a_task_cancelled_before_it_begins_never_runs(void **state)
{
    struct thread_loop *other = *state;
    atomic_bool may_go = false;
    bool has_run = false;
    struct coro_remote *remote;
    int result = 0;
    coro_call_soon_threadsafe(other->loop, block_until_told, &may_go);
    coro_submit(other->loop, note_that_it_ran, &has_run, &remote);
    assert_true(coro_remote_cancel(remote));
    assert_true(coro_remote_cancel(remote));
    atomic_store(&may_go, true);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    coro_remote_unref(remote);
    assert_int_equal(result, -ECANCELED);
    assert_false(has_run);
}

static void a_task_that_refuses_to_be_cancelled_has_its_own_result(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    int nasked = 0;
    int number = 1;
    int result = 0;
    coro_submit(other->loop, refuse_to_be_cancelled, &nasked, &remote);
    /* It has begun when one submitted after it has ended. */
    struct coro_remote *after;
    coro_submit(other->loop, add_one, &number, &after);
    coro_remote_result(after, CORO_NEVER, NULL);
    coro_remote_unref(after);
    coro_remote_cancel(remote);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    coro_remote_unref(remote);
    assert_int_equal(result, 7);
    assert_int_equal(nasked, 1);
}

/* --- the loop's end ------------------------------------------------------- */

static void a_stopped_loop_takes_nothing(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote = NULL;
    thread_loop_stop(other);
    assert_int_equal(coro_submit(other->loop, add_one, NULL, &remote),
                     -ESHUTDOWN);
    assert_null(remote);
    coro_loop_free(other->loop);
    other->loop = NULL;
}

static void a_freed_loop_takes_nothing(void **state)
{
    struct thread_loop *other = *state;
    struct coro_loop *loop = coro_loop_ref(other->loop);
    struct coro_remote *remote = NULL;
    end_loop(other);
    assert_int_equal(coro_submit(loop, add_one, NULL, &remote), -ESHUTDOWN);
    /* As one that had looked just before the loop was freed. */
    atomic_store(&loop->is_stopped, false);
    assert_int_equal(coro_submit(loop, add_one, NULL, &remote), -ESHUTDOWN);
    assert_int_equal(coro_submit(loop, add_one, NULL, NULL), -ESHUTDOWN);
    assert_null(remote);
    coro_loop_unref(loop);
}

static void a_task_that_runs_is_cancelled_with_its_loop(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    struct coro_remote *after;
    int number = 1;
    int result = 0;
    coro_submit(other->loop, sleep_for_ever, NULL, &remote);
    coro_submit(other->loop, add_one, &number, &after);
    coro_remote_result(after, CORO_NEVER, NULL);
    coro_remote_unref(after);
    assert_int_equal(end_loop(other), 1);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, &result), 0);
    assert_int_equal(result, -ECANCELED);
    coro_remote_unref(remote);
}

static void a_task_that_was_not_begun_ends_with_its_loop(void **state)
{
    struct coro_loop *loop;
    struct coro_remote *remote;
    (void)state;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_submit(loop, fail_at_once, NULL, &remote), 0);
    assert_int_equal(coro_submit(loop, fail_at_once, NULL, NULL), 0);
    coro_remote_cancel(remote);
    coro_loop_free(loop);
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, NULL), -ESHUTDOWN);
    assert_false(coro_remote_cancel(remote));
    coro_remote_unref(remote);
}

static int never_end(void *argument)
{
    (void)argument;
    for (;;)
        coro_sleep_until(CORO_NEVER);
    return 0;
}

static void whoever_waits_for_a_task_that_is_dropped_is_told(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    struct coro_remote *after;
    int number = 1;
    coro_submit(other->loop, never_end, NULL, &remote);
    coro_submit(other->loop, add_one, &number, &after);
    coro_remote_result(after, CORO_NEVER, NULL);
    coro_remote_unref(after);
    end_loop(other);
    assert_true(coro_remote_is_done(remote));
    assert_int_equal(coro_remote_result(remote, CORO_NEVER, NULL), -ESHUTDOWN);
    coro_remote_unref(remote);
}

/* --- callbacks ------------------------------------------------------------ */

struct listener {
    struct coro_remote_callback callback;
    atomic_int *ncalls;
    int place;
};

static void note_place(struct coro_remote_callback *callback,
                       struct coro_remote *remote)
{
    struct listener *listener = list_entry(callback, struct listener, callback);
    if (coro_remote_is_done(remote))
        listener->place = atomic_fetch_add(listener->ncalls, 1) + 1;
}

static void callbacks_are_called_in_order_or_at_once(void **state)
{
    struct thread_loop *other = *state;
    struct coro_remote *remote;
    atomic_int ncalls = 0;
    struct listener listeners[4];
    for (int i = 0; i < 4; i++)
        listeners[i] =
            (struct listener){.callback.run = note_place, .ncalls = &ncalls};
    coro_submit(other->loop, sleep_for_ever, NULL, &remote);
    for (int i = 0; i < 3; i++)
        coro_remote_add_callback(remote, &listeners[i].callback);
    assert_true(coro_remote_remove_callback(remote, &listeners[1].callback));
    assert_false(coro_remote_remove_callback(remote, &listeners[1].callback));
    coro_remote_cancel(remote);
    thread_loop_stop(other);
    coro_loop_free(other->loop);
    other->loop = NULL;
    assert_int_equal(atomic_load(&ncalls), 2);
    assert_int_equal(listeners[0].place, 1);
    assert_int_equal(listeners[2].place, 2);
    coro_remote_add_callback(remote, &listeners[3].callback);
    assert_int_equal(listeners[3].place, 3);
    coro_remote_unref(remote);
}

#define remote_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        remote_test(a_result_comes_back_to_another_thread),
        remote_test(an_error_comes_back_as_the_result),
        remote_test(a_value_comes_back_and_is_freed_with_the_remote),
        remote_test(a_result_that_is_late_can_be_waited_for_again),
        remote_test(a_loop_cannot_wait_for_itself),
        remote_test(a_task_cancelled_before_it_begins_never_runs),
        remote_test(a_task_that_refuses_to_be_cancelled_has_its_own_result),
        remote_test(a_stopped_loop_takes_nothing),
        remote_test(a_freed_loop_takes_nothing),
        remote_test(a_task_that_runs_is_cancelled_with_its_loop),
        cmocka_unit_test(a_task_that_was_not_begun_ends_with_its_loop),
        remote_test(whoever_waits_for_a_task_that_is_dropped_is_told),
        remote_test(callbacks_are_called_in_order_or_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
