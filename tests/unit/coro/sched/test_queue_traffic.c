#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "tests/support/scale.h"

#define CAPACITY 4

/* What a scenario saw. */
struct scene {
    struct coro_queue queue;
    size_t nready; /* getters that the burst woke */
    size_t nwaited_for;
    size_t ntaken_besides;
    size_t nended;
};

static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    assert_int_equal(coro_queue_init(&scene->queue, CAPACITY), 0);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
    coro_queue_release(&scene->queue);
}

static void fill(struct scene *scene)
{
    for (int i = 0; i < CAPACITY; i++)
        coro_queue_try_put(&scene->queue, scene);
}

/* --- bursts -------------------------------------------------------------- */

static int get_many(void *argument)
{
    struct scene *scene = argument;
    void *item;
    while (coro_queue_get(&scene->queue, CORO_NEVER, &item) == 0) {
        scene->nwaited_for++;
        while (coro_queue_try_get(&scene->queue))
            scene->ntaken_besides++;
    }
    scene->nended++;
    return 0;
}

static int burst_upon_many(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *getters[10];
    for (int i = 0; i < 10; i++)
        coro_spawn(coro_loop_current(), get_many, scene, NULL, &getters[i]);
    coro_relax();
    fill(scene);
    for (int i = 0; i < 10; i++)
        scene->nready += coro_task_state(getters[i]) == CORO_TASK_READY;
    for (int i = 0; i < 10; i++)
        coro_relax();
    for (int i = 0; i < 10; i++) {
        coro_task_cancel(getters[i]);
        coro_task_wait(getters[i], CORO_NEVER, NULL);
        coro_task_unref(getters[i]);
    }
    return 0;
}

static void a_burst_that_one_getter_can_take_wakes_one_getter(void **state)
{
    (void)state;
    struct scene scene;
    run(burst_upon_many, &scene);
    assert_int_equal(scene.nready, 1);
    assert_int_equal(scene.nwaited_for, 1);
    assert_int_equal(scene.ntaken_besides, CAPACITY - 1);
    assert_int_equal(scene.nended, 10);
}

/* --- many ---------------------------------------------------------------- */

struct traffic {
    struct coro_queue queue;
    size_t nitems;
    size_t nput;
    size_t nout_of_order;
    size_t ngot;
    char *items; /* item n is &items[n] */
};

static int put_all(void *argument)
{
    struct traffic *traffic = argument;
    while (traffic->nput < traffic->nitems) {
        size_t n = traffic->nput++;
        coro_queue_put(&traffic->queue, traffic->items + n, CORO_NEVER);
        if (n % 7 == 0)
            coro_relax();
    }
    return 0;
}

static int get_all(void *argument)
{
    struct traffic *traffic = argument;
    void *item;
    while (coro_queue_get(&traffic->queue, CORO_NEVER, &item) == 0) {
        char *times = item;
        traffic->nout_of_order += ++*times != 1;
        traffic->ngot++;
    }
    return 0;
}

static int run_traffic(void *argument)
{
    struct traffic *traffic = argument;
    struct coro_task *putters[5], *getters[5];
    struct coro_loop *loop = coro_loop_current();
    for (int i = 0; i < 5; i++) {
        coro_spawn(loop, get_all, traffic, NULL, &getters[i]);
        coro_spawn(loop, put_all, traffic, NULL, &putters[i]);
    }
    for (int i = 0; i < 5; i++) {
        coro_task_wait(putters[i], CORO_NEVER, NULL);
        coro_task_unref(putters[i]);
    }
    while (traffic->ngot < traffic->nitems)
        coro_relax();
    for (int i = 0; i < 5; i++) {
        coro_task_cancel(getters[i]);
        coro_task_wait(getters[i], CORO_NEVER, NULL);
        coro_task_unref(getters[i]);
    }
    return 0;
}

static void each_item_arrives_once_among_many_getters_and_putters(void **state)
{
    (void)state;
    static char items[100000];
    struct traffic traffic = {.nitems = test_scale(100000, 5000),
                              .items = items};
    assert_int_equal(coro_queue_init(&traffic.queue, 3), 0);
    assert_int_equal(coro_run(run_traffic, &traffic, NULL), 0);
    coro_queue_release(&traffic.queue);
    assert_int_equal(traffic.ngot, traffic.nitems);
    assert_int_equal(traffic.nout_of_order, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_that_one_getter_can_take_wakes_one_getter),
        cmocka_unit_test(each_item_arrives_once_among_many_getters_and_putters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
