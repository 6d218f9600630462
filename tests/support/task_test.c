#include "tests/support/task_test.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "coro/base/ensure.h"
#include "coro/sched/loop.h"

void task_test_run(void **state)
{
    coro_task_fn *body = (coro_task_fn *)*state;
    const struct coro_spawn_options options = {.name = "test",
                                               .large_stack = true};
    struct coro_loop *loop;
    struct coro_task *task;
    int result = -1;
    assert_int_equal(coro_loop_new(NULL, &loop), 0);
    assert_int_equal(coro_spawn(loop, body, NULL, &options, &task), 0);
    int status = coro_loop_run_until_complete(loop, task, &result);
    coro_task_unref(task);
    size_t nleft = coro_loop_free(loop);
    assert_as_expected();
    assert_int_equal(status, 0);
    assert_int_equal(result, 0);
    assert_int_equal(nleft, 0);
}

struct coro_task *task_start(coro_task_fn *function, void *argument)
{
    struct coro_task *task = NULL;
    ensure(coro_spawn(coro_loop_current(), function, argument, NULL, &task) ==
           0);
    return task;
}

int task_end(struct coro_task *task)
{
    int result = -1;
    coro_task_wait(task, CORO_NEVER, &result);
    coro_task_unref(task);
    return result;
}

void task_settle(void)
{
    for (int turn = 0; turn < 10; turn++)
        coro_relax();
}

struct coro_task *nap_start(struct nap *nap)
{
    return task_start(nap_run, nap);
}

/* Sleeps on and on, whatever comes. */
static void clean_up(struct nap *nap)
{
    int64_t until_ms = coro_after(nap->cleaning_ms);
    while (coro_sleep_until(until_ms) == -ECANCELED)
        nap->ncancelled++;
}

/* By the clock of the loop, which stands still within a turn: which of the naps
 * that begin in one turn end first does not depend on how busy the machine is. */
static int sleep_in_turn(int64_t delay_ms)
{
    if (delay_ms == CORO_NEVER)
        return coro_sleep_until(CORO_NEVER);
    return coro_sleep_until(coro_loop_now_ms(coro_loop_current()) + delay_ms);
}

int nap_run(void *argument)
{
    struct nap *nap = argument;
    nap->has_begun = true;
    int status = sleep_in_turn(nap->delay_ms);
    int result = nap->result;
    if (status < 0) {
        nap->ncancelled++;
        if (nap->cleaning_ms > 0)
            clean_up(nap);
        result = nap->when_cancelled ? nap->when_cancelled : status;
    }
    nap->has_ended = true;
    return result;
}
