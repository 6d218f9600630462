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
#include "tests/support/task_test.h"

#define CAPACITY 64

static char letters[] = "abcdefghijklmnopqrstuvwxyz";

static int compare_letters(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

/* Makes a queue of each order in turn. */
static int init(struct coro_queue *queue, enum coro_queue_order order)
{
    switch (order) {
    case CORO_QUEUE_FIFO:
        return coro_queue_init(queue, CAPACITY);
    case CORO_QUEUE_LIFO:
        return coro_queue_init_lifo(queue, CAPACITY);
    case CORO_QUEUE_PRIORITY:
        return coro_queue_init_priority(queue, CAPACITY, compare_letters);
    }
    return -EINVAL;
}

/* --- orders -------------------------------------------------------------- */

static void put_all(struct coro_queue *queue, const char *text)
{
    for (const char *at = text; *at; at++)
        expect_that(coro_queue_put(queue, &letters[*at - 'a'], 0) == 0);
}

static bool comes_out_as(struct coro_queue *queue, const char *text)
{
    bool is_it = coro_queue_nitems(queue) == strlen(text);
    for (const char *at = text; *at; at++) {
        void *item = NULL;
        if (coro_queue_get(queue, 0, &item) < 0 || *(char *)item != *at)
            is_it = false;
    }
    return is_it && coro_queue_nitems(queue) == 0;
}

static int the_last_put_comes_first_out_of_a_stack(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_LIFO) == 0);
    put_all(&queue, "acb");
    expect_that(comes_out_as(&queue, "bca"));
    put_all(&queue, "xy");
    expect_that(*(char *)coro_queue_try_get(&queue) == 'y');
    put_all(&queue, "z");
    expect_that(comes_out_as(&queue, "zx"));
    coro_queue_release(&queue);
    return 0;
}

static int the_smallest_comes_first_out_of_a_priority_queue(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_PRIORITY) == 0);
    put_all(&queue, "acb");
    expect_that(comes_out_as(&queue, "abc"));
    put_all(&queue, "thequickbrownfoxjumpsoverthelazydog");
    expect_that(comes_out_as(&queue, "abcdeeefghhijklmnoooopqrrsttuuvwxyz"));
    put_all(&queue, "mz");
    expect_that(*(char *)coro_queue_try_get(&queue) == 'm');
    put_all(&queue, "a");
    expect_that(comes_out_as(&queue, "az"));
    coro_queue_release(&queue);
    return 0;
}

static int any_sequence_leaves_a_priority_queue_in_order(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_PRIORITY) == 0);
    unsigned random = 12345;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 40; i++) {
            random = random * 1103515245u + 12345u;
            coro_queue_try_put(&queue, &letters[(random >> 16) % 26]);
        }
        char previous = 'a';
        for (int i = 0; i < 40; i++) {
            const char *item = coro_queue_try_get(&queue);
            expect_that(item && *item >= previous);
            previous = item ? *item : previous;
        }
    }
    coro_queue_release(&queue);
    return 0;
}

static int fullness_is_the_same_in_each_order(void *argument)
{
    (void)argument;
    for (int order = CORO_QUEUE_FIFO; order <= CORO_QUEUE_PRIORITY; order++) {
        struct coro_queue queue;
        expect_that(init(&queue, (enum coro_queue_order)order) == 0);
        for (size_t i = 0; i < CAPACITY; i++) {
            expect_that(!coro_queue_is_full(&queue));
            expect_that(coro_queue_try_put(&queue, &letters[i % 26]) == 0);
        }
        expect_that(coro_queue_is_full(&queue));
        expect_that(coro_queue_try_put(&queue, letters) == -EAGAIN);
        expect_that(coro_queue_nitems(&queue) == CAPACITY);
        while (coro_queue_try_get(&queue))
            ;
        expect_that(coro_queue_nitems(&queue) == 0);
        coro_queue_release(&queue);
    }
    return 0;
}

/* --- joining ------------------------------------------------------------- */

struct shop {
    struct coro_queue queue;
    int nworked;
};

static int work_off(void *argument)
{
    struct shop *shop = argument;
    void *item;
    while (coro_queue_get(&shop->queue, CORO_NEVER, &item) == 0) {
        coro_relax();
        shop->nworked++;
        coro_queue_task_done(&shop->queue);
    }
    return 0;
}

static int a_join_waits_until_the_work_is_done(void *argument)
{
    (void)argument;
    for (int order = CORO_QUEUE_FIFO; order <= CORO_QUEUE_PRIORITY; order++) {
        struct shop shop = {.nworked = 0};
        expect_that(init(&shop.queue, (enum coro_queue_order)order) == 0);
        for (int i = 0; i < CAPACITY; i++)
            coro_queue_try_put(&shop.queue, &letters[i % 26]);
        struct coro_task *workers[2];
        for (int i = 0; i < 2; i++)
            workers[i] = task_start(work_off, &shop);
        expect_that(coro_queue_join(&shop.queue, CORO_NEVER) == 0);
        expect_that(shop.nworked == CAPACITY);
        for (int i = 0; i < 2; i++) {
            coro_task_cancel(workers[i]);
            task_end(workers[i]);
        }
        coro_queue_release(&shop.queue);
    }
    return 0;
}

static int joining_where_nothing_was_put_does_not_wait(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_FIFO) == 0);
    expect_that(coro_queue_join(&queue, 0) == 0);
    expect_that(coro_queue_join(&queue, 0) == 0);
    coro_queue_release(&queue);
    return 0;
}

static int saying_done_too_often_is_refused(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_FIFO) == 0);
    expect_that(coro_queue_task_done(&queue) == -EINVAL);
    put_all(&queue, "a");
    coro_queue_try_get(&queue);
    expect_that(coro_queue_task_done(&queue) == 0);
    expect_that(coro_queue_task_done(&queue) == -EINVAL);
    coro_queue_release(&queue);
    return 0;
}

static int join_it(void *argument)
{
    return coro_queue_join(argument, CORO_NEVER);
}

static int a_join_can_be_late_or_cancelled(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_FIFO) == 0);
    put_all(&queue, "a");
    expect_that(coro_queue_join(&queue, 0) == -ETIMEDOUT);
    expect_that(coro_queue_join(&queue, coro_after(1)) == -ETIMEDOUT);
    struct coro_task *leaver = task_start(join_it, &queue);
    struct coro_task *stayer = task_start(join_it, &queue);
    task_settle();
    coro_task_cancel(leaver);
    expect_that(task_end(leaver) == -ECANCELED);
    coro_queue_try_get(&queue); /* Taken is not done. */
    task_settle();
    expect_that(!coro_task_is_done(stayer));
    coro_queue_task_done(&queue);
    expect_that(task_end(stayer) == 0);
    coro_queue_release(&queue);
    return 0;
}

/* --- places -------------------------------------------------------------- */

struct getter {
    struct coro_queue *queue;
    char got;
};

static int get_one(void *argument)
{
    struct getter *getter = argument;
    void *item;
    int status = coro_queue_get(getter->queue, CORO_NEVER, &item);
    if (status == 0)
        getter->got = *(char *)item;
    return status;
}

static int a_getter_woken_in_vain_stays_the_first(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(init(&queue, CORO_QUEUE_FIFO) == 0);
    struct getter first = {.queue = &queue}, second = {.queue = &queue};
    struct coro_task *one = task_start(get_one, &first);
    struct coro_task *two = task_start(get_one, &second);
    task_settle();
    put_all(&queue, "a");
    expect_that(coro_queue_try_get(&queue) != NULL); /* Faster. */
    task_settle();
    put_all(&queue, "bc");
    task_end(one);
    task_end(two);
    expect_that(first.got == 'b' && second.got == 'c');
    coro_queue_release(&queue);
    return 0;
}

static int put_one(void *argument)
{
    struct getter *putter = argument;
    return coro_queue_put(putter->queue, &letters[putter->got - 'a'],
                          CORO_NEVER);
}

static int a_putter_woken_in_vain_stays_the_first(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(coro_queue_init(&queue, 1) == 0);
    put_all(&queue, "a");
    struct getter first = {&queue, 'b'}, second = {&queue, 'c'};
    struct coro_task *one = task_start(put_one, &first);
    struct coro_task *two = task_start(put_one, &second);
    task_settle();
    coro_queue_try_get(&queue);
    put_all(&queue, "x"); /* Faster. */
    task_settle();
    void *item = NULL;
    for (const char *expected = "xbc"; *expected; expected++) {
        expect_that(coro_queue_get(&queue, CORO_NEVER, &item) == 0);
        expect_that(*(char *)item == *expected);
    }
    task_end(one);
    task_end(two);
    coro_queue_release(&queue);
    return 0;
}

static int a_putter_that_has_left_is_passed_over(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    expect_that(coro_queue_init(&queue, 1) == 0);
    put_all(&queue, "a");
    struct getter first = {&queue, 'b'}, second = {&queue, 'c'};
    struct coro_task *one = task_start(put_one, &first);
    struct coro_task *two = task_start(put_one, &second);
    task_settle();
    coro_task_cancel(one);
    expect_that(task_end(one) == -ECANCELED);
    void *item = NULL;
    for (const char *expected = "ac"; *expected; expected++) {
        expect_that(coro_queue_get(&queue, CORO_NEVER, &item) == 0);
        expect_that(*(char *)item == *expected);
    }
    expect_that(task_end(two) == 0);
    coro_queue_release(&queue);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(the_last_put_comes_first_out_of_a_stack),
        task_test(the_smallest_comes_first_out_of_a_priority_queue),
        task_test(any_sequence_leaves_a_priority_queue_in_order),
        task_test(fullness_is_the_same_in_each_order),
        task_test(a_join_waits_until_the_work_is_done),
        task_test(joining_where_nothing_was_put_does_not_wait),
        task_test(saying_done_too_often_is_refused),
        task_test(a_join_can_be_late_or_cancelled),
        task_test(a_getter_woken_in_vain_stays_the_first),
        task_test(a_putter_woken_in_vain_stays_the_first),
        task_test(a_putter_that_has_left_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
