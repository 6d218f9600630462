/*
 * A loop with tasks that wait in known places, for tests that look at them.
 */
#ifndef TESTS_UNIT_CORO_SCHED_DUMP_SCENE_H
#define TESTS_UNIT_CORO_SCHED_DUMP_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/dump.h"
#include "coro/sched/future.h"
#include "coro/sched/generator.h"
#include "coro/sched/remote.h"
#include "coro/sched/schedule.h"
#include "tests/support/record.h"

static struct {
    struct coro_loop *loop;
    struct list shelf; /* of tasks that wait for an item */
    struct coro_future future;
    struct coro_remote *remote;
    char text[65536];
    size_t len;
} scene;

static inline void collect(void *argument, const char *text, size_t len)
{
    (void)argument;
    expect_that(len > 0 && text[len - 1] == '\n');
    expect_that(!memchr(text, '\n', len - 1));
    if (scene.len + len >= sizeof scene.text)
        return;
    memcpy(scene.text + scene.len, text, len);
    scene.len += len;
    scene.text[scene.len] = '\0';
}

static inline int begin(void **state)
{
    (void)state;
    scene.len = 0;
    scene.text[0] = '\0';
    coro_future_init(&scene.future);
    list_init(&scene.shelf);
    return coro_loop_new(NULL, &scene.loop) < 0;
}

static inline int end(void **state)
{
    (void)state;
    coro_loop_free(scene.loop);
    return 0;
}

/* Frames that are there: what follows the call keeps it from being a jump. */
#define KEEP __asm__ volatile("" : : : "memory")

static __attribute__((noinline, unused)) int take_item(void)
{
    int status = coro_park(&scene.shelf, CORO_NEVER);
    KEEP;
    return status;
}

static inline int consume(void *argument)
{
    (void)argument;
    int status = take_item();
    KEEP;
    return status;
}

static inline int doze(void *argument)
{
    (void)argument;
    int status = coro_sleep(5000);
    KEEP;
    return status;
}

static __attribute__((noinline, unused)) int await(void *argument)
{
    (void)argument;
    int status = coro_future_wait(&scene.future, CORO_NEVER);
    KEEP;
    return status;
}

static inline struct coro_task *spawn(coro_task_fn *function, const char *name)
{
    struct coro_task *task = NULL;
    const struct coro_spawn_options options = {.name = name};
    assert_int_equal(coro_spawn(scene.loop, function, NULL, &options, &task),
                     0);
    return task;
}

static inline int let_run(void *argument)
{
    (void)argument;
    return coro_relax();
}

/* Lets all tasks run until they wait. */
static inline void settle(void)
{
    struct coro_task *task = spawn(let_run, "settle");
    coro_loop_run_until_complete(scene.loop, task, NULL);
    coro_task_unref(task);
}

static inline struct coro_inspection inspect(coro_task_fn *function)
{
    struct coro_inspection inspection;
    struct coro_task *task = spawn(function, "inspected");
    settle();
    coro_task_inspect(task, &inspection);
    coro_task_unref(task);
    return inspection;
}

static inline int wait_in_generator(void *argument, void **ret_value)
{
    (void)ret_value;
    int status = await(argument);
    KEEP;
    return status;
}

#define dump_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
