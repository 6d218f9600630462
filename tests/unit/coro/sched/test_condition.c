#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/condition.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

struct stage {
    struct coro_lock lock;
    struct coro_condition condition;
    bool is_so;
    char trace[32];
    size_t nnoted;
};

struct actor {
    struct stage *stage;
    char name;
    bool keeps;         /* does not release */
    bool has_predicate; /* waits until the stage's is_so */
    struct coro_task *task;
    int status;
    bool had_lock;
    int next; /* what its next suspension says */
};

static bool is_so(void *argument)
{
    const struct stage *stage = argument;
    return stage->is_so;
}

static int wait_and_note(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;
    coro_lock_acquire(&stage->lock, CORO_NEVER);
    if (actor->has_predicate)
        actor->status = coro_condition_wait_for(&stage->condition, is_so, stage,
                                                CORO_NEVER);
    else
        actor->status = coro_condition_wait(&stage->condition, CORO_NEVER);
    actor->had_lock = coro_lock_is_locked(&stage->lock);
    if (actor->status == 0)
        stage->trace[stage->nnoted++] = actor->name;
    if (!actor->keeps)
        coro_lock_release(&stage->lock);
    actor->next = coro_relax();
    return actor->status;
}

static void stage_open(struct stage *stage, struct actor *actors, size_t count)
{
    memset(stage, 0, sizeof *stage);
    coro_lock_init(&stage->lock);
    coro_condition_init(&stage->condition, &stage->lock);
    for (size_t i = 0; i < count; i++) {
        actors[i].stage = stage;
        actors[i].name = (char)('a' + i);
        actors[i].task = task_start(wait_and_note, &actors[i]);
    }
    task_settle();
}

static void notify(struct stage *stage, size_t ntasks)
{
    expect_that(coro_lock_acquire(&stage->lock, CORO_NEVER) == 0);
    expect_that(coro_condition_notify(&stage->condition, ntasks) == 0);
    expect_that(coro_lock_release(&stage->lock) == 0);
    task_settle();
}

static void stage_close(struct actor *actors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        task_end(actors[i].task);
}

static int who_is_notified_goes_on_once_the_lock_is_free(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[3] = {
        {.keeps = true}, {.keeps = true}, {.keeps = true}};
    stage_open(&stage, actors, 3);
    expect_that(!coro_lock_is_locked(&stage.lock)); /* Waiting gave it back. */
    coro_lock_acquire(&stage.lock, CORO_NEVER);
    coro_condition_notify(&stage.condition, 1);
    task_settle();
    expect_that(stage.nnoted == 0);
    coro_lock_release(&stage.lock);
    task_settle();
    expect_that(strcmp(stage.trace, "a") == 0 && actors[0].had_lock);
    coro_condition_notify(&stage.condition, 2);
    for (int i = 0; i < 2; i++) {
        coro_lock_release(&stage.lock);
        task_settle();
    }
    expect_that(strcmp(stage.trace, "abc") == 0);
    expect_that(coro_lock_is_locked(&stage.lock));
    stage_close(actors, 3);
    return 0;
}

static int as_many_are_notified_as_was_said_or_as_there_are(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[4] = {{.keeps = false}};
    stage_open(&stage, actors, 4);
    notify(&stage, 0);
    expect_that(stage.nnoted == 0);
    notify(&stage, 1);
    expect_that(strcmp(stage.trace, "a") == 0);
    notify(&stage, 2048);
    expect_that(strcmp(stage.trace, "abcd") == 0);
    notify(&stage, 1); /* Nobody: it is not kept for later. */
    stage_close(actors, 4);
    return 0;
}

static int notify_all_reaches_all(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.keeps = false}};
    stage_open(&stage, actors, 2);
    coro_lock_acquire(&stage.lock, CORO_NEVER);
    expect_that(coro_condition_notify_all(&stage.condition) == 0);
    coro_lock_release(&stage.lock);
    stage_close(actors, 2);
    expect_that(strcmp(stage.trace, "ab") == 0);
    return 0;
}

static int nothing_is_done_without_the_lock(void *argument)
{
    (void)argument;
    struct stage stage;
    stage_open(&stage, NULL, 0);
    expect_that(coro_condition_wait(&stage.condition, CORO_NEVER) == -EPERM);
    expect_that(coro_condition_wait_for(&stage.condition, is_so, &stage,
                                        CORO_NEVER) == -EPERM);
    expect_that(coro_condition_notify(&stage.condition, 1) == -EPERM);
    expect_that(coro_condition_notify_all(&stage.condition) == -EPERM);
    return 0;
}

static int a_predicate_is_asked_at_once_and_whenever_notified(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[1] = {{.has_predicate = true}};
    stage_open(&stage, actors, 1);
    notify(&stage, 1);
    expect_that(stage.nnoted == 0);
    stage.is_so = true;
    notify(&stage, 1);
    expect_that(stage.nnoted == 1);
    stage_close(actors, 1);
    coro_lock_acquire(&stage.lock, 0);
    expect_that(coro_condition_wait_for(&stage.condition, is_so, &stage, 0) ==
                0);
    return 0;
}

static int a_late_wait_has_the_lock_again(void *argument)
{
    (void)argument;
    struct stage stage;
    stage_open(&stage, NULL, 0);
    coro_lock_acquire(&stage.lock, 0);
    expect_that(coro_condition_wait(&stage.condition, coro_after(1)) ==
                -ETIMEDOUT);
    expect_that(coro_lock_is_locked(&stage.lock));
    expect_that(coro_condition_wait_for(&stage.condition, is_so, &stage,
                                        coro_after(1)) == -ETIMEDOUT);
    expect_that(coro_lock_is_locked(&stage.lock));
    return 0;
}

static int a_cancelled_wait_has_the_lock_again(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.keeps = false}};
    stage_open(&stage, actors, 2);
    coro_lock_acquire(&stage.lock, CORO_NEVER);
    coro_task_cancel(actors[0].task);
    task_settle();
    expect_that(!coro_task_is_done(actors[0].task)); /* It waits for it. */
    coro_lock_release(&stage.lock);
    task_settle();
    expect_that(actors[0].status == -ECANCELED && actors[0].had_lock);
    notify(&stage, 1);
    expect_that(strcmp(stage.trace, "b") == 0);
    stage_close(actors, 2);
    return 0;
}

static int a_notified_waiter_that_is_cancelled_loses_neither(void *argument)
{
    (void)argument;
    /* In the turn in which it is woken, and while it waits for the lock. */
    for (int waits_for_lock = 0; waits_for_lock < 2; waits_for_lock++) {
        struct stage stage;
        struct actor actors[1] = {{.keeps = false}};
        stage_open(&stage, actors, 1);
        coro_lock_acquire(&stage.lock, CORO_NEVER);
        coro_condition_notify(&stage.condition, 1);
        if (waits_for_lock)
            task_settle();
        coro_task_cancel(actors[0].task);
        task_settle();
        coro_lock_release(&stage.lock);
        stage_close(actors, 1);
        expect_that(actors[0].status == 0 && actors[0].had_lock);
        expect_that(actors[0].next == -ECANCELED);
        expect_that(!coro_lock_is_locked(&stage.lock));
    }
    return 0;
}

static int a_wait_cancelled_twice_sees_it_once(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[1] = {{.keeps = false}};
    stage_open(&stage, actors, 1);
    coro_lock_acquire(&stage.lock, CORO_NEVER);
    coro_task_cancel(actors[0].task);
    task_settle();
    coro_task_cancel(actors[0].task);
    task_settle();
    coro_lock_release(&stage.lock);
    stage_close(actors, 1);
    expect_that(actors[0].status == -ECANCELED && actors[0].next == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(who_is_notified_goes_on_once_the_lock_is_free),
        task_test(as_many_are_notified_as_was_said_or_as_there_are),
        task_test(notify_all_reaches_all),
        task_test(nothing_is_done_without_the_lock),
        task_test(a_predicate_is_asked_at_once_and_whenever_notified),
        task_test(a_late_wait_has_the_lock_again),
        task_test(a_cancelled_wait_has_the_lock_again),
        task_test(a_notified_waiter_that_is_cancelled_loses_neither),
        task_test(a_wait_cancelled_twice_sees_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
