#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/future.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "coro/sched/submit.h"
#include "tests/support/scale.h"

#define NPRODUCERS 8

/* What is submitted. */
struct item {
    struct coro_submit_node node;
    unsigned producer;
    size_t number;
};

/* A queue in its loop, and what came out of it. */
struct scene {
    struct coro_loop *loop;
    struct coro_submit queue;
    struct coro_submit other;
    struct coro_future all_here;
    size_t nexpected;
    size_t nreceived;
    size_t nbursts;
    size_t nout_of_order;
    size_t next[NPRODUCERS];
    char trace[32];
};

static void receive(void *argument, struct coro_submit_node *oldest)
{
    struct scene *scene = argument;
    scene->nbursts++;
    while (oldest) {
        struct item *item = list_entry(oldest, struct item, node);
        oldest = oldest->next;
        if (item->number != scene->next[item->producer]++)
            scene->nout_of_order++;
        if (++scene->nreceived == scene->nexpected)
            coro_future_set(&scene->all_here, 0, NULL);
    }
}

static int set_up(void **state)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, sizeof(struct scene)))
        return -1;
    struct scene *scene = memory;
    memset(scene, 0, sizeof *scene);
    if (coro_loop_new(NULL, &scene->loop) < 0)
        return -1;
    coro_future_init(&scene->all_here);
    coro_submit_open(&scene->queue, scene->loop, receive, scene);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    coro_submit_close(&scene->queue);
    coro_loop_free(scene->loop);
    free(scene);
    return 0;
}

static int wait_for_all(void *argument)
{
    struct scene *scene = argument;
    return coro_future_wait(&scene->all_here, CORO_NEVER);
}

/* Runs the loop until all that is expected has come. */
static void run(struct scene *scene)
{
    struct coro_task *task;
    int result = -1;
    assert_int_equal(coro_spawn(scene->loop, wait_for_all, scene, NULL, &task),
                     0);
    assert_int_equal(coro_loop_run_until_complete(scene->loop, task, &result),
                     0);
    coro_task_unref(task);
    assert_int_equal(result, 0);
}

static void number(struct item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        items[i] = (struct item){.number = i};
}

/* Links @n items in the reverse of their order, as a chain has to be. */
static void chain(struct item *items, size_t n)
{
    items[0].node.next = NULL;
    for (size_t i = 1; i < n; i++)
        items[i].node.next = &items[i - 1].node;
}

/* How many times the loop's eventfd was written since this was asked last. */
static size_t count_wakes(struct coro_loop *loop)
{
    uint64_t n = 0;
    ssize_t nread = read(loop->wake_fd, &n, sizeof n);
    return nread == sizeof n ? (size_t)n : 0;
}

/* --- order --------------------------------------------------------------- */

static void nodes_arrive_in_the_order_in_which_they_were_pushed(void **state)
{
    struct scene *scene = *state;
    struct item items[100];
    number(items, 100);
    scene->nexpected = 100;
    for (int i = 0; i < 100; i++)
        assert_int_equal(coro_submit_push(&scene->queue, &items[i].node), 0);
    run(scene);
    assert_int_equal(scene->nreceived, 100);
    assert_int_equal(scene->nout_of_order, 0);
    assert_int_equal(scene->nbursts, 1);
}

static void a_chain_arrives_oldest_first_between_its_neighbours(void **state)
{
    struct scene *scene = *state;
    struct item items[20];
    number(items, 20);
    scene->nexpected = 20;
    coro_submit_push(&scene->queue, &items[0].node);
    chain(items + 1, 9);
    assert_int_equal(
        coro_submit_push_chain(&scene->queue, &items[9].node, &items[1].node),
        0);
    coro_submit_push(&scene->queue, &items[10].node);
    chain(items + 11, 9);
    assert_int_equal(
        coro_submit_push_chain(&scene->queue, &items[19].node, &items[11].node),
        0);
    run(scene);
    assert_int_equal(scene->nreceived, 20);
    assert_int_equal(scene->nout_of_order, 0);
}

/* --- threads ------------------------------------------------------------- */

struct producer {
    pthread_t thread;
    struct scene *scene;
    struct item *items;
    size_t nitems;
    size_t nrefused;
    unsigned index;
};

static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (size_t i = 0; i < producer->nitems; i++) {
        producer->items[i].producer = producer->index;
        producer->items[i].number = i;
        if (coro_submit_push(&producer->scene->queue,
                             &producer->items[i].node) < 0)
            producer->nrefused++;
        if (i % 1000 == 999)
            sched_yield();
    }
    return NULL;
}

static void start_producers(struct producer *producers, struct scene *scene,
                            struct item *items, size_t nitems)
{
    for (unsigned i = 0; i < NPRODUCERS; i++) {
        producers[i] = (struct producer){
            .scene = scene,
            .items = items + i * (nitems / NPRODUCERS),
            .nitems = nitems / NPRODUCERS,
            .index = i,
        };
        assert_int_equal(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
            0);
    }
}

static size_t join_producers(struct producer *producers)
{
    size_t nrefused = 0;
    for (int i = 0; i < NPRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        nrefused += producers[i].nrefused;
    }
    return nrefused;
}

static void nothing_is_lost_or_disordered_among_eight_threads(void **state)
{
    struct scene *scene = *state;
    struct producer producers[NPRODUCERS];
    size_t nitems = test_scale(1000000, 50000) / NPRODUCERS * NPRODUCERS;
    struct item *items = calloc(nitems, sizeof *items);
    assert_non_null(items);
    scene->nexpected = nitems;
    start_producers(producers, scene, items, nitems);
    run(scene);
    assert_int_equal(join_producers(producers), 0);
    free(items);
    assert_int_equal(scene->nreceived, nitems);
    assert_int_equal(scene->nout_of_order, 0);
}

static int close_half_way(void *argument)
{
    struct scene *scene = argument;
    while (scene->nreceived < scene->nexpected / 4)
        coro_sleep(1);
    for (struct coro_submit_node *node = coro_submit_close(&scene->queue); node;
         node = node->next) {
        struct item *item = list_entry(node, struct item, node);
        if (item->number != scene->next[item->producer]++)
            scene->nout_of_order++;
        scene->nreceived++;
    }
    return 0;
}

static void closing_under_eight_threads_leaves_each_item_with_one_owner(
    void **state)
{
    struct scene *scene = *state;
    struct producer producers[NPRODUCERS];
    struct coro_task *task;
    size_t nitems = test_scale(100000, 20000) / NPRODUCERS * NPRODUCERS;
    struct item *items = calloc(nitems, sizeof *items);
    assert_non_null(items);
    scene->nexpected = nitems;
    coro_spawn(scene->loop, close_half_way, scene, NULL, &task);
    start_producers(producers, scene, items, nitems);
    coro_loop_run_until_complete(scene->loop, task, NULL);
    coro_task_unref(task);
    size_t nrefused = join_producers(producers);
    free(items);
    assert_int_equal(scene->nreceived + nrefused, nitems);
    assert_int_equal(scene->nout_of_order, 0);
}

/* Waits until the consumer sleeps, which shows in the queue's head. */
static void *push_when_asleep(void *argument)
{
    struct producer *producer = argument;
    while (!atomic_load(&producer->scene->queue.head))
        sched_yield();
    coro_submit_push(&producer->scene->queue, &producer->items[0].node);
    return NULL;
}

static void a_sleeping_consumer_is_woken(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < 100; i++) {
        struct item item = {.number = i};
        struct producer producer = {.scene = scene, .items = &item};
        coro_future_init(&scene->all_here);
        scene->nexpected = i + 1;
        assert_int_equal(
            pthread_create(&producer.thread, NULL, push_when_asleep, &producer),
            0);
        run(scene);
        pthread_join(producer.thread, NULL);
    }
    assert_int_equal(scene->nreceived, 100);
    assert_int_equal(scene->nout_of_order, 0);
}

/* --- system calls -------------------------------------------------------- */

static void a_push_to_one_that_is_awake_makes_no_system_call(void **state)
{
    struct scene *scene = *state;
    struct item items[10];
    number(items, 10);
    for (int i = 0; i < 10; i++)
        coro_submit_push(&scene->queue, &items[i].node);
    assert_int_equal(count_wakes(scene->loop), 0);
    coro_submit_close(&scene->queue);
}

static void a_burst_to_one_that_sleeps_makes_one_system_call(void **state)
{
    struct scene *scene = *state;
    struct item items[100];
    number(items, 100);
    assert_true(scene->queue.source.arm(&scene->queue.source));
    assert_int_equal(count_wakes(scene->loop), 0);
    for (int i = 0; i < 50; i++)
        coro_submit_push(&scene->queue, &items[i].node);
    assert_int_equal(count_wakes(scene->loop), 1);
    for (int i = 50; i < 100; i++)
        coro_submit_push(&scene->queue, &items[i].node);
    assert_int_equal(count_wakes(scene->loop), 0);
    scene->nexpected = 100;
    run(scene);
    assert_int_equal(scene->nout_of_order, 0);
}

static void one_that_has_work_is_not_put_to_sleep(void **state)
{
    struct scene *scene = *state;
    struct item item = {.number = 0};
    coro_submit_push(&scene->queue, &item.node);
    assert_false(scene->queue.source.arm(&scene->queue.source));
    scene->queue.source.poll(&scene->queue.source);
    assert_int_equal(scene->nreceived, 1);
    assert_true(scene->queue.source.arm(&scene->queue.source));
    assert_true(scene->queue.source.arm(&scene->queue.source));
}

/* --- closing ------------------------------------------------------------- */

static void closing_gives_back_the_rest_in_order_and_refuses_more(void **state)
{
    struct scene *scene = *state;
    struct item items[10];
    number(items, 10);
    for (int i = 0; i < 8; i++)
        coro_submit_push(&scene->queue, &items[i].node);
    struct coro_submit_node *rest = coro_submit_close(&scene->queue);
    for (int i = 0; i < 8; i++, rest = rest->next)
        assert_ptr_equal(rest, &items[i].node);
    assert_null(rest);
    assert_int_equal(coro_submit_push(&scene->queue, &items[8].node),
                     -ESHUTDOWN);
    chain(items + 8, 2);
    assert_int_equal(
        coro_submit_push_chain(&scene->queue, &items[9].node, &items[8].node),
        -ESHUTDOWN);
    assert_null(coro_submit_close(&scene->queue));
    assert_int_equal(scene->nreceived, 0);
}

static void closing_an_empty_queue_gives_nothing(void **state)
{
    struct scene *scene = *state;
    assert_null(coro_submit_close(&scene->queue));
    assert_null(coro_submit_close(&scene->queue));
}

static void closing_one_whose_consumer_sleeps_gives_nothing(void **state)
{
    struct scene *scene = *state;
    assert_true(scene->queue.source.arm(&scene->queue.source));
    assert_null(coro_submit_close(&scene->queue));
}

static void receive_and_close_both(void *argument,
                                   struct coro_submit_node *oldest)
{
    struct scene *scene = argument;
    (void)oldest;
    strcat(scene->trace, "r");
    coro_submit_close(&scene->other);
    coro_submit_close(&scene->queue);
}

static int relax_a_few_times(void *argument)
{
    (void)argument;
    for (int i = 0; i < 3; i++)
        coro_relax();
    return 0;
}

static void a_receiver_may_close_its_own_queue_and_the_next(void **state)
{
    struct scene *scene = *state;
    struct item item = {.number = 0};
    struct coro_task *task;
    scene->queue.receive = receive_and_close_both;
    coro_submit_open(&scene->other, scene->loop, receive, scene);
    coro_submit_push(&scene->queue, &item.node);
    coro_spawn(scene->loop, relax_a_few_times, NULL, NULL, &task);
    coro_loop_run_until_complete(scene->loop, task, NULL);
    coro_task_unref(task);
    assert_string_equal(scene->trace, "r");
    assert_int_equal(coro_submit_push(&scene->queue, &item.node), -ESHUTDOWN);
    assert_int_equal(coro_submit_push(&scene->other, &item.node), -ESHUTDOWN);
}

#define submit_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        submit_test(nodes_arrive_in_the_order_in_which_they_were_pushed),
        submit_test(a_chain_arrives_oldest_first_between_its_neighbours),
        submit_test(nothing_is_lost_or_disordered_among_eight_threads),
        submit_test(
            closing_under_eight_threads_leaves_each_item_with_one_owner),
        submit_test(a_sleeping_consumer_is_woken),
        submit_test(a_push_to_one_that_is_awake_makes_no_system_call),
        submit_test(a_burst_to_one_that_sleeps_makes_one_system_call),
        submit_test(one_that_has_work_is_not_put_to_sleep),
        submit_test(closing_gives_back_the_rest_in_order_and_refuses_more),
        submit_test(closing_an_empty_queue_gives_nothing),
        submit_test(closing_one_whose_consumer_sleeps_gives_nothing),
        submit_test(a_receiver_may_close_its_own_queue_and_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
