/*
 * A loop that runs in a thread of its own, for tests that come from outside.
 *
 *     struct thread_loop other;
 *     thread_loop_start(&other, NULL);
 *     …
 *     thread_loop_stop(&other);      the thread has ended, the loop is there
 *     coro_loop_free(other.loop);
 */
#ifndef TESTS_UNIT_CORO_SCHED_THREAD_LOOP_H
#define TESTS_UNIT_CORO_SCHED_THREAD_LOOP_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/sched/loop.h"

struct thread_loop {
    struct coro_loop *loop;
    pthread_t thread;
};

static inline void *thread_loop_run(void *loop)
{
    coro_loop_run_forever(loop);
    return NULL;
}

static inline void thread_loop_start(struct thread_loop *self,
                                     const struct coro_loop_options *options)
{
    assert_int_equal(coro_loop_new(options, &self->loop), 0);
    assert_int_equal(
        pthread_create(&self->thread, NULL, thread_loop_run, self->loop), 0);
}

static inline void thread_loop_stop(struct thread_loop *self)
{
    coro_loop_stop(self->loop);
    pthread_join(self->thread, NULL);
}

#endif
