/*
 * What the tests of the executor share: work that waits until it is let go.
 */
#ifndef TESTS_UNIT_CORO_SCHED_EXECUTOR_SCENE_H
#define TESTS_UNIT_CORO_SCHED_EXECUTOR_SCENE_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coro/sched/executor.h"
#include "coro/sched/loop.h"

#define NJOBS 6

/* What the work of a test shares, and what its coroutines saw. */
struct scene {
    struct coro_loop *loop;
    atomic_bool may_go;
    atomic_int nrunning;
    atomic_int most_running;
    atomic_int nended;
    atomic_int ndropped;
    int order[NJOBS];
    int status;
    int result;
    size_t nthreads;
};

static inline int set_up(void **state)
{
    *state = calloc(1, sizeof(struct scene));
    return *state ? 0 : -1;
}

static inline int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* Runs @body in a loop with these options; how many tasks were left. */
static inline size_t run(struct scene *scene, coro_task_fn *body,
                         unsigned max_threads, int64_t thread_idle_ms)
{
    const struct coro_loop_options options = {.guard = CORO_GUARD_KERNEL,
                                              .max_threads = max_threads,
                                              .thread_idle_ms = thread_idle_ms};
    struct coro_task *task;
    assert_int_equal(coro_loop_new(&options, &scene->loop), 0);
    assert_int_equal(coro_spawn(scene->loop, body, scene, NULL, &task), 0);
    assert_int_equal(coro_loop_run_until_complete(scene->loop, task, NULL), 0);
    coro_task_unref(task);
    return coro_loop_free(scene->loop);
}

static inline int answer(void *argument)
{
    (void)argument;
    return 42;
}

static inline int wait_for_leave(void *argument)
{
    struct scene *scene = argument;
    int nrunning = atomic_fetch_add(&scene->nrunning, 1) + 1;
    int most = atomic_load(&scene->most_running);
    while (nrunning > most &&
           !atomic_compare_exchange_weak(&scene->most_running, &most, nrunning))
        ;
    while (!atomic_load(&scene->may_go))
        sched_yield();
    atomic_fetch_sub(&scene->nrunning, 1);
    atomic_fetch_add(&scene->nended, 1);
    return 1;
}

static inline void note_drop(void *argument)
{
    struct scene *scene = argument;
    atomic_fetch_add(&scene->ndropped, 1);
}

#endif
