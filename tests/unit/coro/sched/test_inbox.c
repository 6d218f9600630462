/*
 * The inbox: calls from other threads, in order, none lost, refused cleanly.
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
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/inbox.h"
#include "coro/sched/schedule.h"
#include "tests/support/scale.h"
#include "tests/unit/coro/sched/thread_loop.h"

#define NPRODUCERS 8

static void stop_loop(void *loop)
{
    coro_loop_stop(loop);
}

struct list_of_calls {
    int numbers[16];
    size_t ncalls;
};

struct numbered {
    struct list_of_calls *calls;
    int number;
};

static void note(void *argument)
{
    const struct numbered *numbered = argument;
    numbered->calls->numbers[numbered->calls->ncalls++] = numbered->number;
}

static void calls_from_a_thread_run_in_order_in_the_loops_thread(void **state)
{
    (void)state;
    struct thread_loop other;
    struct list_of_calls calls = {.ncalls = 0};
    struct numbered numbered[10];
    thread_loop_start(&other, NULL);
    for (int i = 0; i < 10; i++) {
        numbered[i] = (struct numbered){&calls, i};
        assert_int_equal(
            coro_call_soon_threadsafe(other.loop, note, &numbered[i]), 0);
    }
    coro_call_soon_threadsafe(other.loop, stop_loop, other.loop);
    pthread_join(other.thread, NULL);
    coro_loop_free(other.loop);
    assert_int_equal(calls.ncalls, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(calls.numbers[i], i);
}

static void calls_made_before_the_loop_runs_are_kept_for_it(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct list_of_calls calls = {.ncalls = 0};
    struct numbered one = {&calls, 1};
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_call_soon_threadsafe(loop, note, &one), 0);
    coro_call_soon_threadsafe(loop, stop_loop, loop);
    coro_loop_run_forever(loop);
    assert_int_equal(calls.ncalls, 1);
    coro_loop_free(loop);
}

/* --- refusing ------------------------------------------------------------- */

static void a_stopped_loop_refuses_until_it_runs_again(void **state)
{
    (void)state;
    struct thread_loop other;
    struct list_of_calls calls = {.ncalls = 0};
    struct numbered one = {&calls, 1};
    thread_loop_start(&other, NULL);
    thread_loop_stop(&other);
    assert_true(coro_loop_is_stopped(other.loop));
    assert_int_equal(coro_call_soon_threadsafe(other.loop, note, &one),
                     -ESHUTDOWN);
    pthread_create(&other.thread, NULL, thread_loop_run, other.loop);
    while (coro_loop_is_stopped(other.loop))
        sched_yield();
    assert_int_equal(coro_call_soon_threadsafe(other.loop, note, &one), 0);
    coro_call_soon_threadsafe(other.loop, stop_loop, other.loop);
    pthread_join(other.thread, NULL);
    assert_int_equal(calls.ncalls, 1);
    coro_loop_free(other.loop);
}

struct kept {
    struct coro_post post;
    int status;
};

static void keep_status(struct coro_post *post, int status)
{
    list_entry(post, struct kept, post)->status = status;
}

static void a_freed_loop_refuses_whoever_holds_a_reference(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct kept kept = {.post.run = keep_status, .status = 1};
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    coro_loop_ref(loop);
    coro_loop_free(loop);
    assert_int_equal(coro_call_soon_threadsafe(loop, free, NULL), -ESHUTDOWN);
    assert_int_equal(coro_loop_post(loop, &kept.post), -ESHUTDOWN);
    assert_int_equal(kept.status, 1);
    coro_loop_unref(loop);
    coro_loop_unref(NULL);
}

static void what_is_left_when_a_loop_is_freed_is_told_so(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct list_of_calls calls = {.ncalls = 0};
    struct numbered one = {&calls, 1};
    struct kept kept = {.post.run = keep_status, .status = 1};
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_loop_post(loop, &kept.post), 0);
    assert_int_equal(coro_call_soon_threadsafe(loop, note, &one), 0);
    coro_loop_free(loop);
    assert_int_equal(kept.status, -ESHUTDOWN);
    assert_int_equal(calls.ncalls, 0);
}

/* --- many threads --------------------------------------------------------- */

struct item {
    struct coro_post post;
    struct traffic *traffic;
    unsigned producer;
    size_t number;
};

struct traffic {
    struct coro_loop *loop;
    struct item *items;
    size_t neach;
    size_t nreceived;
    size_t nout_of_order;
    size_t next[NPRODUCERS];
    atomic_uint nproducers;
};

static void receive(struct coro_post *post, int status)
{
    struct item *item = list_entry(post, struct item, post);
    struct traffic *traffic = item->traffic;
    if (status < 0 || item->number != traffic->next[item->producer]++)
        traffic->nout_of_order++;
    if (++traffic->nreceived == NPRODUCERS * traffic->neach)
        coro_loop_stop(traffic->loop);
}

static void *produce(void *argument)
{
    struct traffic *traffic = argument;
    unsigned self = atomic_fetch_add(&traffic->nproducers, 1);
    struct item *items = traffic->items + self * traffic->neach;
    for (size_t i = 0; i < traffic->neach; i++) {
        items[i] = (struct item){
            .post.run = receive, traffic, .producer = self, .number = i};
        coro_loop_post(traffic->loop, &items[i].post);
    }
    return NULL;
}

static void a_million_posts_of_eight_threads_come_each_in_its_order(
    void **state)
{
    (void)state;
    struct traffic traffic = {.neach = test_scale(1000000, 50000) / NPRODUCERS};
    pthread_t threads[NPRODUCERS];
    traffic.items = calloc(NPRODUCERS * traffic.neach, sizeof *traffic.items);
    assert_non_null(traffic.items);
    assert_int_equal(coro_loop_new(NULL, &traffic.loop), 0);
    for (int i = 0; i < NPRODUCERS; i++)
        pthread_create(&threads[i], NULL, produce, &traffic);
    coro_loop_run_forever(traffic.loop);
    for (int i = 0; i < NPRODUCERS; i++)
        pthread_join(threads[i], NULL);
    coro_loop_free(traffic.loop);
    free(traffic.items);
    assert_int_equal(traffic.nreceived, NPRODUCERS * traffic.neach);
    assert_int_equal(traffic.nout_of_order, 0);
}

static void a_burst_costs_one_system_call(void **state)
{
    (void)state;
    struct coro_loop *loop;
    struct kept kept[100];
    uint64_t nwakes = 0;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    struct coro_source *source = &loop->inbox.queue.source;
    assert_true(source->arm(source));
    for (int i = 0; i < 100; i++) {
        kept[i] = (struct kept){.post.run = keep_status};
        coro_loop_post(loop, &kept[i].post);
    }
    assert_int_equal(read(loop->wake_fd, &nwakes, sizeof nwakes),
                     sizeof nwakes);
    assert_int_equal(nwakes, 1);
    coro_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_from_a_thread_run_in_order_in_the_loops_thread),
        cmocka_unit_test(calls_made_before_the_loop_runs_are_kept_for_it),
        cmocka_unit_test(a_stopped_loop_refuses_until_it_runs_again),
        cmocka_unit_test(a_freed_loop_refuses_whoever_holds_a_reference),
        cmocka_unit_test(what_is_left_when_a_loop_is_freed_is_told_so),
        cmocka_unit_test(
            a_million_posts_of_eight_threads_come_each_in_its_order),
        cmocka_unit_test(a_burst_costs_one_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
