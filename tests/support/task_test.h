/*
 * Tests whose body is a task, in a loop of its own:
 *
 *     static int a_sleep_can_be_cancelled(void *argument)
 *     {
 *         struct nap sleeper = {.delay_ms = CORO_NEVER};
 *         struct coro_task *task = nap_start(&sleeper);
 *         coro_relax();
 *         coro_task_cancel(task);
 *         expect_that(task_end(task) == -ECANCELED);
 *         return 0;
 *     }
 *
 *     const struct CMUnitTest tests[] = {task_test(a_sleep_can_be_cancelled)};
 *
 * What the body expects is recorded and asserted when the loop has ended (see
 * record.h), and so is that the body left no task behind.
 */
#ifndef TESTS_SUPPORT_TASK_TEST_H
#define TESTS_SUPPORT_TASK_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/sched/task.h"
#include "tests/support/record.h"

#define task_test(body)                                  \
    {                                                    \
#        body, task_test_run, NULL, NULL, (void *)(body) \
    }

/* cmocka's view of such a test. */
void task_test_run(void **state);

/** Spawns a task into the current loop. Ownership: task_end(). */
struct coro_task *task_start(coro_task_fn *function, void *argument);

/** Waits for the task's end, gives the reference back; the task's result. */
int task_end(struct coro_task *task);

/** Lets the loop run until nothing is ready but this task, as it seems. */
void task_settle(void);

/* A task that sleeps. */
struct nap {
    int64_t delay_ms;    /* CORO_NEVER: until it is cancelled */
    int result;          /* when it has slept */
    int when_cancelled;  /* its result then; 0: -ECANCELED */
    int64_t cleaning_ms; /* how long it sleeps on after it was cancelled */
    bool has_begun;
    bool has_ended;
    int ncancelled; /* how often it saw that */
};

struct coro_task *nap_start(struct nap *nap);

int nap_run(void *argument);

#endif
