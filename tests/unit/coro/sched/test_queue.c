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

#define CAPACITY 4

/* What a scenario saw. Items are pointers to the letters of the alphabet. */
struct scene {
    struct coro_queue queue;
    char trace[64];
    size_t nnoted;
    int status[8];
    bool flag[8];
};

static char letters[] = "abcdefghijklmnopqrstuvwxyz";

/* Writes down one letter; there is room for what the scenarios need. */
static void note(struct scene *scene, const char *letter)
{
    scene->trace[scene->nnoted++] = *letter;
}

static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    assert_int_equal(coro_queue_init(&scene->queue, CAPACITY), 0);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
    coro_queue_release(&scene->queue);
}

/* A task that gets or puts one item. */
struct actor {
    struct scene *scene;
    const char *name;
    char *item; /* to put, or what was got */
    int64_t deadline_ms;
    struct coro_task *task;
    int status;
};

static int get_one(void *argument)
{
    struct actor *actor = argument;
    void *item = NULL;
    actor->status =
        coro_queue_get(&actor->scene->queue, actor->deadline_ms, &item);
    actor->item = item;
    note(actor->scene, actor->name);
    return 0;
}

static int put_one(void *argument)
{
    struct actor *actor = argument;
    actor->status =
        coro_queue_put(&actor->scene->queue, actor->item, actor->deadline_ms);
    note(actor->scene, actor->name);
    return 0;
}

/* Begins @n actors, of names 1, 2, …, and lets them come to their wait. */
static void begin(struct actor *actors, int n, struct scene *scene,
                  coro_task_fn *function)
{
    static const char digits[] = "123456789";
    for (int i = 0; i < n; i++) {
        actors[i] = (struct actor){.scene = scene,
                                   .name = digits + i,
                                   .item = letters + 4 + i,
                                   .deadline_ms = CORO_NEVER,
                                   .status = 1};
        coro_spawn(coro_loop_current(), function, &actors[i], NULL,
                   &actors[i].task);
    }
    coro_relax();
}

static void outlive(struct actor *actors, int n)
{
    for (int i = 0; i < n; i++) {
        coro_task_wait(actors[i].task, CORO_NEVER, NULL);
        coro_task_unref(actors[i].task);
    }
}

static void fill(struct scene *scene)
{
    for (int i = 0; i < CAPACITY; i++)
        coro_queue_try_put(&scene->queue, letters + i);
}

/* Takes what is there and writes it down. */
static void drain(struct scene *scene)
{
    const char *item;
    while ((item = coro_queue_try_get(&scene->queue)))
        note(scene, item);
}

/* --- order and bounds ---------------------------------------------------- */

static int put_and_get(void *argument)
{
    struct scene *scene = argument;
    void *item;
    for (int i = 0; i < 3; i++)
        scene->status[0] |=
            coro_queue_put(&scene->queue, letters + i, CORO_NEVER);
    for (int i = 3; i < 20; i++) {
        scene->status[0] |=
            coro_queue_put(&scene->queue, letters + i, CORO_NEVER);
        scene->status[0] |= coro_queue_get(&scene->queue, CORO_NEVER, &item);
        note(scene, item);
    }
    drain(scene);
    return 0;
}

static void items_come_out_in_the_order_in_which_they_went_in(void **state)
{
    (void)state;
    struct scene scene;
    run(put_and_get, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_string_equal(scene.trace, "abcdefghijklmnopqrst");
}

static int overfill(void *argument)
{
    struct scene *scene = argument;
    scene->flag[0] = coro_queue_try_get(&scene->queue) == NULL;
    fill(scene);
    scene->status[0] = coro_queue_try_put(&scene->queue, letters);
    drain(scene);
    scene->status[1] = coro_queue_try_put(&scene->queue, letters);
    return 0;
}

static void a_full_queue_takes_no_more_and_an_empty_one_gives_nothing(
    void **state)
{
    (void)state;
    struct scene scene;
    run(overfill, &scene);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[0], -EAGAIN);
    assert_int_equal(scene.status[1], 0);
    assert_string_equal(scene.trace, "abcd");
}

static int put_into_full(void *argument)
{
    struct scene *scene = argument;
    struct actor putters[3];
    fill(scene);
    begin(putters, 3, scene, put_one);
    note(scene, "(");
    for (int i = 0; i < 3; i++) {
        note(scene, coro_queue_try_get(&scene->queue));
        coro_relax();
        coro_relax();
    }
    note(scene, ")");
    outlive(putters, 3);
    drain(scene);
    return 0;
}

static void putters_wait_for_room_and_go_on_in_order(void **state)
{
    (void)state;
    struct scene scene;
    run(put_into_full, &scene);
    assert_string_equal(scene.trace, "(a1b2c3)defg");
}

static int get_from_empty(void *argument)
{
    struct scene *scene = argument;
    struct actor getters[3];
    begin(getters, 3, scene, get_one);
    note(scene, "(");
    for (int i = 0; i < 3; i++)
        coro_queue_try_put(&scene->queue, letters + i);
    note(scene, ")");
    outlive(getters, 3);
    for (int i = 0; i < 3; i++)
        note(scene, getters[i].item);
    return 0;
}

static void getters_wait_for_items_and_are_served_in_order(void **state)
{
    (void)state;
    struct scene scene;
    run(get_from_empty, &scene);
    assert_string_equal(scene.trace, "()123abc");
}

/* --- deadlines ----------------------------------------------------------- */

static int be_late(void *argument)
{
    struct scene *scene = argument;
    void *item = NULL;
    scene->status[0] = coro_queue_get(&scene->queue, 0, &item);
    scene->status[1] = coro_queue_get(&scene->queue, coro_after(1), &item);
    scene->flag[0] = item == NULL;
    fill(scene);
    scene->status[2] = coro_queue_put(&scene->queue, letters + 9, 0);
    scene->status[3] =
        coro_queue_put(&scene->queue, letters + 9, coro_after(1));
    scene->status[4] = coro_queue_get(&scene->queue, 0, &item);
    scene->status[5] = coro_queue_put(&scene->queue, letters + 8, 0);
    drain(scene);
    return 0;
}

static void a_deadline_ends_a_wait_and_nothing_else(void **state)
{
    (void)state;
    struct scene scene;
    run(be_late, &scene);
    for (int i = 0; i < 4; i++)
        assert_int_equal(scene.status[i], -ETIMEDOUT);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[4], 0);
    assert_int_equal(scene.status[5], 0);
    assert_string_equal(scene.trace, "bcdi");
}

static int leave_queue_late(void *argument)
{
    struct scene *scene = argument;
    struct actor getters[2];
    begin(getters, 2, scene, get_one);
    coro_task_cancel(getters[0].task);
    coro_relax();
    coro_queue_try_put(&scene->queue, letters);
    outlive(getters, 2);
    scene->status[0] = getters[0].status;
    scene->flag[0] = getters[1].item == letters;
    return 0;
}

static void a_getter_that_has_left_is_passed_over(void **state)
{
    (void)state;
    struct scene scene;
    run(leave_queue_late, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_true(scene.flag[0]);
}

/* --- cancelled in the turn in which it was woken ------------------------- */

static int cancel_woken_getter(void *argument)
{
    struct scene *scene = argument;
    struct actor getters[3];
    begin(getters, 3, scene, get_one);
    coro_queue_try_put(&scene->queue, letters);
    coro_task_cancel(getters[0].task);
    coro_queue_try_put(&scene->queue, letters + 1);
    coro_queue_try_put(&scene->queue, letters + 2);
    outlive(getters, 3);
    for (int i = 0; i < 3; i++)
        scene->flag[i] = getters[i].item == letters + i;
    return 0;
}

static void a_getter_cancelled_after_it_was_woken_keeps_its_item(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_woken_getter, &scene);
    for (int i = 0; i < 3; i++)
        assert_true(scene.flag[i]);
}

static int rob_woken_getter(void *argument)
{
    struct scene *scene = argument;
    struct actor getters[2];
    begin(getters, 2, scene, get_one);
    coro_queue_try_put(&scene->queue, letters);
    coro_task_cancel(getters[0].task);
    coro_queue_try_get(&scene->queue);
    /* The first has been woken for nothing and gives up; what comes next must
     * wake the second. */
    coro_task_wait(getters[0].task, CORO_NEVER, NULL);
    coro_queue_try_put(&scene->queue, letters + 1);
    coro_task_wait(getters[1].task, coro_after(1000), NULL);
    coro_task_cancel(getters[1].task);
    scene->status[0] = getters[0].status;
    scene->status[1] = getters[1].status;
    scene->flag[0] = getters[1].item == letters + 1;
    outlive(getters, 2);
    return 0;
}

static void a_getter_woken_for_nothing_and_cancelled_blocks_nobody(void **state)
{
    (void)state;
    struct scene scene;
    run(rob_woken_getter, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], 0);
    assert_true(scene.flag[0]);
}

static int rob_and_refill(void *argument)
{
    struct scene *scene = argument;
    struct actor getters[2];
    begin(getters, 2, scene, get_one);
    coro_queue_try_put(&scene->queue, letters);
    coro_queue_try_get(&scene->queue);
    coro_queue_try_put(&scene->queue, letters + 1);
    coro_queue_try_put(&scene->queue, letters + 2);
    outlive(getters, 2);
    scene->flag[0] = getters[0].item == letters + 1;
    scene->flag[1] = getters[1].item == letters + 2;
    return 0;
}

static void items_that_come_and_go_leave_the_order_of_getters(void **state)
{
    (void)state;
    struct scene scene;
    run(rob_and_refill, &scene);
    assert_true(scene.flag[0]);
    assert_true(scene.flag[1]);
}

static int cancel_woken_putter(void *argument)
{
    struct scene *scene = argument;
    struct actor putters[3];
    fill(scene);
    begin(putters, 3, scene, put_one);
    coro_queue_try_get(&scene->queue);
    coro_task_cancel(putters[0].task);
    coro_queue_try_get(&scene->queue);
    coro_queue_try_get(&scene->queue);
    outlive(putters, 3);
    for (int i = 0; i < 3; i++)
        scene->status[i] = putters[i].status;
    drain(scene);
    return 0;
}

static void a_putter_cancelled_after_it_was_woken_still_puts(void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_woken_putter, &scene);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene.status[i], 0);
    assert_string_equal(scene.trace, "123defg");
}

static int rob_woken_putter(void *argument)
{
    struct scene *scene = argument;
    struct actor putters[2];
    fill(scene);
    begin(putters, 2, scene, put_one);
    coro_queue_try_get(&scene->queue);
    coro_task_cancel(putters[0].task);
    coro_queue_try_put(&scene->queue, letters + 20);
    coro_task_wait(putters[0].task, CORO_NEVER, NULL);
    coro_queue_try_get(&scene->queue);
    coro_task_wait(putters[1].task, coro_after(1000), NULL);
    coro_task_cancel(putters[1].task);
    scene->status[0] = putters[0].status;
    scene->status[1] = putters[1].status;
    outlive(putters, 2);
    drain(scene);
    return 0;
}

static void a_putter_woken_for_nothing_and_cancelled_blocks_nobody(void **state)
{
    (void)state;
    struct scene scene;
    run(rob_woken_putter, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], 0);
    assert_string_equal(scene.trace, "12cduf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_in_which_they_went_in),
        cmocka_unit_test(
            a_full_queue_takes_no_more_and_an_empty_one_gives_nothing),
        cmocka_unit_test(putters_wait_for_room_and_go_on_in_order),
        cmocka_unit_test(getters_wait_for_items_and_are_served_in_order),
        cmocka_unit_test(a_deadline_ends_a_wait_and_nothing_else),
        cmocka_unit_test(a_getter_that_has_left_is_passed_over),
        cmocka_unit_test(a_getter_cancelled_after_it_was_woken_keeps_its_item),
        cmocka_unit_test(
            a_getter_woken_for_nothing_and_cancelled_blocks_nobody),
        cmocka_unit_test(items_that_come_and_go_leave_the_order_of_getters),
        cmocka_unit_test(a_putter_cancelled_after_it_was_woken_still_puts),
        cmocka_unit_test(
            a_putter_woken_for_nothing_and_cancelled_blocks_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
