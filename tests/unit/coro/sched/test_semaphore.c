#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "coro/sched/semaphore.h"
#include "tests/support/task_test.h"

struct stage {
    struct coro_semaphore semaphore;
    char trace[32];
    size_t nnoted;
};

struct actor {
    struct stage *stage;
    char name;
    int nrounds; /* it acquires, rests and releases; 0: acquires only */
    struct coro_task *task;
    int status;
    int next; /* what its next suspension says */
};

static int acquire_and_note(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;
    for (int round = 0; round == 0 || round < actor->nrounds; round++) {
        actor->status = coro_semaphore_acquire(&stage->semaphore, CORO_NEVER);
        if (actor->status < 0)
            return actor->status;
        stage->trace[stage->nnoted++] = actor->name;
        actor->next = coro_relax();
        if (actor->nrounds > 0)
            coro_semaphore_release(&stage->semaphore);
    }
    return 0;
}

static void stage_open(struct stage *stage, size_t nfree, struct actor *actors,
                       size_t count)
{
    memset(stage, 0, sizeof *stage);
    coro_semaphore_init(&stage->semaphore, nfree, CORO_SEMAPHORE_UNBOUNDED);
    for (size_t i = 0; i < count; i++) {
        actors[i].stage = stage;
        actors[i].name = (char)('a' + i);
        actors[i].task = task_start(acquire_and_note, &actors[i]);
    }
    task_settle();
}

static void stage_close(struct actor *actors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        coro_task_cancel(actors[i].task);
        task_end(actors[i].task);
    }
}

static int as_many_are_had_at_once_as_there_are(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[4] = {{.nrounds = 0}};
    stage_open(&stage, 2, actors, 4);
    expect_that(strcmp(stage.trace, "ab") == 0);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 0);
    coro_semaphore_release(&stage.semaphore);
    coro_semaphore_release(&stage.semaphore);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 0); /* On the way. */
    task_settle();
    expect_that(strcmp(stage.trace, "abcd") == 0);
    coro_semaphore_release(&stage.semaphore);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 1);
    expect_that(coro_semaphore_acquire(&stage.semaphore, 0) == 0);
    stage_close(actors, 4);
    return 0;
}

static int one_that_begins_with_none_is_waited_for(void *argument)
{
    (void)argument;
    struct coro_semaphore semaphore;
    coro_semaphore_init(&semaphore, 0, CORO_SEMAPHORE_UNBOUNDED);
    expect_that(coro_semaphore_acquire(&semaphore, 0) == -ETIMEDOUT);
    expect_that(coro_semaphore_acquire(&semaphore, coro_after(1)) ==
                -ETIMEDOUT);
    expect_that(coro_semaphore_release(&semaphore) == 0);
    expect_that(coro_semaphore_release(&semaphore) == 0);
    expect_that(coro_semaphore_nfree(&semaphore) == 2);
    return 0;
}

static int releasing_beyond_the_limit_is_refused(void *argument)
{
    (void)argument;
    struct coro_semaphore semaphore;
    coro_semaphore_init(&semaphore, 1, 1);
    expect_that(coro_semaphore_release(&semaphore) == -EOVERFLOW);
    expect_that(coro_semaphore_acquire(&semaphore, 0) == 0);
    expect_that(coro_semaphore_release(&semaphore) == 0);
    expect_that(coro_semaphore_release(&semaphore) == -EOVERFLOW);
    expect_that(coro_semaphore_nfree(&semaphore) == 1);
    return 0;
}

static int turns_are_taken_round_robin(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[3] = {{.nrounds = 2}, {.nrounds = 2}, {.nrounds = 2}};
    stage_open(&stage, 1, actors, 3);
    for (int i = 0; i < 3; i++)
        task_end(actors[i].task);
    expect_that(strcmp(stage.trace, "abcabc") == 0);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 1);
    return 0;
}

static int cancelled_waiters_are_passed_over(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[4] = {{.nrounds = 0}};
    stage_open(&stage, 0, actors, 4);
    coro_task_cancel(actors[0].task);
    coro_task_cancel(actors[1].task);
    coro_semaphore_release(&stage.semaphore);
    task_settle();
    expect_that(actors[0].status == -ECANCELED);
    expect_that(strcmp(stage.trace, "c") == 0);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 0);
    coro_semaphore_release(&stage.semaphore);
    task_settle();
    expect_that(strcmp(stage.trace, "cd") == 0);
    stage_close(actors, 4);
    return 0;
}

static int a_waiter_cancelled_after_it_was_woken_passes_it_on(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.nrounds = 1}, {.nrounds = 1}};
    stage_open(&stage, 0, actors, 2);
    coro_semaphore_release(&stage.semaphore);
    coro_task_cancel(actors[0].task);
    for (int i = 0; i < 2; i++)
        task_end(actors[i].task);
    /* It has it, and sees the cancellation when it suspends. */
    expect_that(actors[0].status == 0 && actors[0].next == -ECANCELED);
    expect_that(strcmp(stage.trace, "ab") == 0);
    expect_that(coro_semaphore_nfree(&stage.semaphore) == 1);
    return 0;
}

static int a_waiter_that_is_cancelled_takes_nothing(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[1] = {{.nrounds = 0}};
    stage_open(&stage, 0, actors, 1);
    coro_task_cancel(actors[0].task);
    expect_that(task_end(actors[0].task) == -ECANCELED);
    coro_semaphore_release(&stage.semaphore);
    expect_that(coro_semaphore_acquire(&stage.semaphore, 0) == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(as_many_are_had_at_once_as_there_are),
        task_test(one_that_begins_with_none_is_waited_for),
        task_test(releasing_beyond_the_limit_is_refused),
        task_test(turns_are_taken_round_robin),
        task_test(cancelled_waiters_are_passed_over),
        task_test(a_waiter_cancelled_after_it_was_woken_passes_it_on),
        task_test(a_waiter_that_is_cancelled_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
