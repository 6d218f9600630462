#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/random.h"
#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "tests/support/scale.h"

static struct coro_loop *new_loop(enum coro_guard guard)
{
    struct coro_loop *loop = NULL;
    struct coro_loop_options options = {.guard = guard};
    assert_int_equal(coro_loop_new(&options, &loop), 0);
    return loop;
}

static int set_up(void **state)
{
    *state = new_loop(CORO_GUARD_KERNEL);
    return 0;
}

static int tear_down(void **state)
{
    coro_loop_free(*state);
    return 0;
}

/* Runs @function as a task of @loop; what run_until_complete returned. */
static int run(struct coro_loop *loop, coro_task_fn *function, void *argument,
               int *ret_result)
{
    struct coro_task *task;
    assert_int_equal(coro_spawn(loop, function, argument, NULL, &task), 0);
    int status = coro_loop_run_until_complete(loop, task, ret_result);
    coro_task_unref(task);
    return status;
}

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

/* --- running ------------------------------------------------------------- */

static void a_run_gives_the_result_of_its_task(void **state)
{
    int value = 7;
    int result = 0;
    assert_int_equal(run(*state, relax_and_return, &value, &result), 0);
    assert_int_equal(result, 7);
    value = -EIO;
    assert_int_equal(run(*state, relax_and_return, &value, &result), 0);
    assert_int_equal(result, -EIO);
    assert_int_equal(run(*state, relax_and_return, &value, NULL), 0);
}

static void a_task_that_has_ended_is_complete_at_once(void **state)
{
    int value = 7;
    int result = 0;
    struct coro_task *task;
    coro_spawn(*state, relax_and_return, &value, NULL, &task);
    for (int i = 0; i < 2; i++) {
        result = 0;
        assert_int_equal(coro_loop_run_until_complete(*state, task, &result),
                         0);
        assert_int_equal(result, 7);
    }
    coro_task_unref(task);
}

static void one_call_makes_runs_and_frees_a_loop(void **state)
{
    (void)state;
    int value = 11;
    int result = 0;
    assert_int_equal(coro_run(relax_and_return, &value, &result), 0);
    assert_int_equal(result, 11);
    assert_null(coro_loop_current());
}

static void *run_own_loop(void *argument)
{
    int value = 5;
    coro_run(relax_and_return, &value, argument);
    return NULL;
}

static int run_loop_in_thread(void *argument)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run_own_loop, argument);
    pthread_join(thread, NULL);
    return coro_loop_current() != NULL;
}

static void each_thread_has_its_own_loop(void **state)
{
    int result_there = 0;
    int result_here = 0;
    run(*state, run_loop_in_thread, &result_there, &result_here);
    assert_int_equal(result_there, 5);
    assert_int_equal(result_here, 1);
}

/* --- stopping ------------------------------------------------------------ */

struct stopper {
    struct coro_loop *loop;
    atomic_bool may_stop;
};

static void *stop_when_allowed(void *argument)
{
    struct stopper *stopper = argument;
    while (!atomic_load(&stopper->may_stop))
        sched_yield();
    coro_loop_stop(stopper->loop);
    return NULL;
}

static int allow_stop_and_rest(void *argument)
{
    struct stopper *stopper = argument;
    atomic_store(&stopper->may_stop, true);
    return rest(NULL);
}

static void another_thread_can_stop_a_loop_that_sleeps(void **state)
{
    struct coro_loop *loop = *state;
    for (int i = 0; i < 50; i++) {
        struct stopper stopper = {.loop = loop};
        pthread_t thread;
        coro_spawn(loop, allow_stop_and_rest, &stopper, NULL, NULL);
        pthread_create(&thread, NULL, stop_when_allowed, &stopper);
        coro_loop_run_forever(loop);
        pthread_join(thread, NULL);
    }
    assert_int_equal(coro_loop_ntasks(loop), 50);
}

static void a_run_that_is_stopped_says_so_and_can_go_on(void **state)
{
    int value = 7;
    int result = 99;
    struct coro_task *task;
    coro_spawn(*state, relax_and_return, &value, NULL, &task);
    coro_loop_stop(*state);
    assert_int_equal(coro_loop_run_until_complete(*state, task, &result),
                     -EINTR);
    assert_int_equal(result, 99);
    assert_int_equal(coro_loop_run_until_complete(*state, task, &result), 0);
    assert_int_equal(result, 7);
    coro_task_unref(task);
}

static int stop_and_return(void *argument)
{
    coro_loop_stop(coro_loop_current());
    return *(int *)argument;
}

static void a_task_that_stops_the_loop_as_it_ends_leaves_nothing_behind(
    void **state)
{
    int values[] = {7, 8};
    int result = 0;
    assert_int_equal(run(*state, stop_and_return, &values[0], &result), 0);
    assert_int_equal(result, 7);
    assert_false(coro_schedule_has_ready(*state));
    assert_int_equal(run(*state, relax_and_return, &values[1], &result), 0);
    assert_int_equal(result, 8);
}

/* --- callbacks and sources ----------------------------------------------- */

/* Letters in the order of events. */
struct trace {
    char events[64];
};

static void note(struct trace *trace, const char *event)
{
    strncat(trace->events, event,
            sizeof trace->events - 1 - strlen(trace->events));
}

struct call {
    struct coro_callback callback;
    struct trace *trace;
    const char *name;
};

static void on_call(struct coro_callback *callback)
{
    struct call *call = list_entry(callback, struct call, callback);
    note(call->trace, call->name);
}

static int note_task(void *argument)
{
    struct call *call = argument;
    note(call->trace, call->name);
    return 0;
}

static void callbacks_and_tasks_run_in_the_order_in_which_they_came(
    void **state)
{
    struct coro_loop *loop = *state;
    struct trace trace = {""};
    struct call a = {{.run = on_call}, &trace, "a"};
    struct call b = {{.run = NULL}, &trace, "b"};
    struct call c = {{.run = on_call}, &trace, "c"};
    struct call d = {{.run = NULL}, &trace, "d"};
    coro_loop_call_soon(loop, &a.callback);
    coro_spawn(loop, note_task, &b, NULL, NULL);
    coro_loop_call_soon(loop, &c.callback);
    run(loop, note_task, &d, NULL);
    assert_string_equal(trace.events, "abcd");
    coro_loop_call_soon(loop, &a.callback);
    run(loop, note_task, &d, NULL);
    assert_string_equal(trace.events, "abcdad");
}

struct noting_source {
    struct coro_source source;
    struct trace *trace;
    struct coro_future *third_flush; /* set in it */
    int nflushes;
};

static struct trace *trace_of(struct coro_source *source)
{
    return list_entry(source, struct noting_source, source)->trace;
}

static void note_poll(struct coro_source *source)
{
    note(trace_of(source), "p");
}

static void note_flush(struct coro_source *source)
{
    struct noting_source *self =
        list_entry(source, struct noting_source, source);
    note(self->trace, "f");
    if (++self->nflushes == 3)
        coro_future_set(self->third_flush, 0, NULL);
}

static bool note_arm(struct coro_source *source)
{
    note(trace_of(source), "a");
    return false;
}

struct waiting_call {
    struct coro_future future;
    struct trace *trace;
};

static int note_wait(void *argument)
{
    struct waiting_call *call = argument;
    note(call->trace, "w");
    coro_future_wait(&call->future, CORO_NEVER);
    note(call->trace, "W");
    return 0;
}

/* The loop is kept from sleeping, and is asked whether it may only in turns
 * that leave nothing ready. */
static void sources_have_their_places_in_each_turn(void **state)
{
    struct coro_loop *loop = *state;
    struct trace trace = {""};
    struct waiting_call call = {.trace = &trace};
    struct noting_source source = {
        .source = {.poll = note_poll, .flush = note_flush, .arm = note_arm},
        .trace = &trace,
        .third_flush = &call.future,
    };
    struct coro_source empty = {.poll = NULL};
    coro_future_init(&call.future);
    coro_loop_add_source(loop, &empty);
    coro_loop_add_source(loop, &source.source);
    run(loop, note_wait, &call, NULL);
    coro_loop_remove_source(&source.source);
    coro_loop_remove_source(&source.source);
    coro_loop_remove_source(&empty);
    assert_string_equal(trace.events, "pwfapfapfpWfpf");
    run(loop, note_wait, &call, NULL);
    assert_string_equal(trace.events, "pwfapfapfpWfpfwW");
}

static void a_source_that_was_never_added_can_be_removed(void **state)
{
    (void)state;
    struct coro_source source = {.poll = NULL};
    coro_loop_remove_source(&source);
    assert_null(source.link.next);
}

/* --- what there is ------------------------------------------------------- */

static void note_name(struct coro_task *task, void *argument)
{
    note(argument, coro_task_name(task));
}

static void tasks_are_listed_oldest_first(void **state)
{
    struct trace trace = {""};
    int value = 0;
    const char *names[] = {"b", "a", "c"};
    for (int i = 0; i < 3; i++)
        coro_spawn(*state, rest, NULL,
                   &(struct coro_spawn_options){.name = names[i]}, NULL);
    run(*state, relax_and_return, &value, NULL);
    coro_loop_each_task(*state, note_name, &trace);
    assert_string_equal(trace.events, "bac");
    assert_int_equal(coro_loop_ntasks(*state), 3);
}

/* --- time and numbers ---------------------------------------------------- */

struct alarm_clock {
    size_t nclocks;
    size_t nrung;
    size_t nout_of_order;
    size_t nearly;
    int64_t last_ms;
    struct coro_rng rng;
};

static int sleep_at_random(void *argument)
{
    struct alarm_clock *alarm_clock = argument;
    int64_t deadline_ms =
        coro_now_ms() + 1 + (int64_t)coro_rng_below(&alarm_clock->rng, 20);
    coro_sleep_until(deadline_ms);
    alarm_clock->nearly += coro_now_ms() < deadline_ms;
    alarm_clock->nout_of_order += deadline_ms < alarm_clock->last_ms;
    alarm_clock->last_ms = deadline_ms;
    alarm_clock->nrung++;
    return 0;
}

static int set_alarm_clocks(void *argument)
{
    struct alarm_clock *alarm_clock = argument;
    for (size_t i = 0; i < alarm_clock->nclocks; i++)
        coro_spawn(coro_loop_current(), sleep_at_random, alarm_clock, NULL,
                   NULL);
    while (alarm_clock->nrung < alarm_clock->nclocks)
        coro_sleep(1);
    return 0;
}

static void a_thousand_sleepers_wake_in_the_order_of_their_deadlines(
    void **state)
{
    struct alarm_clock alarm_clock = {.nclocks = 1000};
    coro_rng_init(&alarm_clock.rng, 42);
    run(*state, set_alarm_clocks, &alarm_clock, NULL);
    assert_int_equal(alarm_clock.nrung, 1000);
    assert_int_equal(alarm_clock.nearly, 0);
    assert_int_equal(alarm_clock.nout_of_order, 0);
}

struct crowd {
    struct coro_future future;
    size_t nmembers;
    size_t nwaiting;
    size_t nwoken;
};

static int join_crowd(void *argument)
{
    struct crowd *crowd = argument;
    crowd->nwaiting++;
    crowd->nwoken += coro_future_wait(&crowd->future, CORO_NEVER) == 0;
    return 0;
}

static int gather_crowd(void *argument)
{
    struct crowd *crowd = argument;
    for (size_t i = 0; i < crowd->nmembers; i++) {
        int status =
            coro_spawn(coro_loop_current(), join_crowd, crowd, NULL, NULL);
        if (status < 0)
            return status;
    }
    while (crowd->nwaiting < crowd->nmembers)
        coro_relax();
    coro_future_set(&crowd->future, 0, NULL);
    while (crowd->nwoken < crowd->nmembers)
        coro_relax();
    return 0;
}

/* A million takes 4.1 GiB and, for the first touch of each, some seconds. */
static size_t crowd_size(void)
{
    unsigned long available_kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lu kB", &available_kib) == 1)
            break;
    if (file)
        fclose(file);
    if (test_scale_is_full() && available_kib > 6UL << 20)
        return 1000000;
    return test_scale(20000, 2000);
}

static void a_crowd_of_tasks_can_be_suspended_at_once(void **state)
{
    struct crowd crowd = {.nmembers = crowd_size()};
    int result = -1;
    coro_future_init(&crowd.future);
    run(*state, gather_crowd, &crowd, &result);
    assert_int_equal(result, 0);
    assert_int_equal(crowd.nwoken, crowd.nmembers);
    assert_in_range(coro_loop_stacks(*state)->nstacks, crowd.nmembers,
                    crowd.nmembers + 2);
}

#define loop_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(a_run_gives_the_result_of_its_task),
        loop_test(a_task_that_has_ended_is_complete_at_once),
        cmocka_unit_test(one_call_makes_runs_and_frees_a_loop),
        loop_test(each_thread_has_its_own_loop),
        loop_test(another_thread_can_stop_a_loop_that_sleeps),
        loop_test(a_run_that_is_stopped_says_so_and_can_go_on),
        loop_test(a_task_that_stops_the_loop_as_it_ends_leaves_nothing_behind),
        loop_test(callbacks_and_tasks_run_in_the_order_in_which_they_came),
        loop_test(sources_have_their_places_in_each_turn),
        cmocka_unit_test(a_source_that_was_never_added_can_be_removed),
        loop_test(tasks_are_listed_oldest_first),
        loop_test(a_thousand_sleepers_wake_in_the_order_of_their_deadlines),
        loop_test(a_crowd_of_tasks_can_be_suspended_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
