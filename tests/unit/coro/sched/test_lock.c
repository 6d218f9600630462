#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/lock.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

/* What tasks do with one lock, and in which order they got it. */
struct stage {
    struct coro_lock lock;
    char trace[32];
    size_t nnoted;
};

struct actor {
    struct stage *stage;
    char name;
    bool keeps; /* does not release */
    int64_t deadline_ms;
    struct coro_task *task;
    int status;
    int next; /* what its next suspension says */
};

static int lock_and_note(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;
    actor->status = coro_lock_acquire(&stage->lock, actor->deadline_ms);
    if (actor->status < 0)
        return actor->status;
    stage->trace[stage->nnoted++] = actor->name;
    if (actor->keeps)
        return 0;
    actor->next = coro_relax();
    coro_lock_release(&stage->lock);
    return actor->next;
}

static void enter(struct stage *stage, struct actor *actors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        actors[i].stage = stage;
        actors[i].name = (char)('a' + i);
        if (actors[i].deadline_ms == 0)
            actors[i].deadline_ms = CORO_NEVER;
        actors[i].task = task_start(lock_and_note, &actors[i]);
    }
    task_settle();
}

static void leave(struct actor *actors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        task_end(actors[i].task);
}

static void stage_init(struct stage *stage)
{
    memset(stage, 0, sizeof *stage);
    coro_lock_init(&stage->lock);
}

static int a_free_lock_is_had_at_once(void *argument)
{
    (void)argument;
    struct stage stage;
    stage_init(&stage);
    expect_that(!coro_lock_is_locked(&stage.lock));
    expect_that(coro_lock_acquire(&stage.lock, 0) == 0);
    expect_that(coro_lock_is_locked(&stage.lock));
    expect_that(coro_lock_acquire(&stage.lock, 0) == -ETIMEDOUT);
    expect_that(coro_lock_release(&stage.lock) == 0);
    expect_that(!coro_lock_is_locked(&stage.lock));
    return 0;
}

static int releasing_a_free_lock_is_refused(void *argument)
{
    (void)argument;
    struct stage stage;
    stage_init(&stage);
    expect_that(coro_lock_release(&stage.lock) == -EPERM);
    expect_that(coro_lock_acquire(&stage.lock, 0) == 0);
    return 0;
}

static int waiters_get_the_lock_in_the_order_in_which_they_came(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[3] = {
        {.keeps = true}, {.keeps = true}, {.keeps = true}};
    stage_init(&stage);
    coro_lock_acquire(&stage.lock, 0);
    enter(&stage, actors, 3);
    expect_that(stage.nnoted == 0);
    for (size_t i = 1; i <= 3; i++) {
        coro_lock_release(&stage.lock);
        task_settle();
        expect_that(stage.nnoted == i); /* One release, one owner. */
    }
    expect_that(strcmp(stage.trace, "abc") == 0);
    leave(actors, 3);
    return 0;
}

static int nobody_slips_in_before_those_who_wait(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.deadline_ms = 0}};
    stage_init(&stage);
    coro_lock_acquire(&stage.lock, 0);
    enter(&stage, actors, 2);
    coro_lock_release(&stage.lock);
    expect_that(coro_lock_is_locked(&stage.lock)); /* On its way. */
    expect_that(coro_lock_acquire(&stage.lock, CORO_NEVER) == 0);
    expect_that(strcmp(stage.trace, "ab") == 0);
    coro_lock_release(&stage.lock);
    leave(actors, 2);
    return 0;
}

static int a_cancelled_waiter_is_passed_over(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.deadline_ms = 0}};
    stage_init(&stage);
    coro_lock_acquire(&stage.lock, 0);
    enter(&stage, actors, 2);
    coro_task_cancel(actors[0].task);
    coro_lock_release(&stage.lock);
    leave(actors, 2);
    expect_that(actors[0].status == -ECANCELED);
    expect_that(strcmp(stage.trace, "b") == 0);
    expect_that(!coro_lock_is_locked(&stage.lock));
    return 0;
}

static int a_waiter_cancelled_after_it_was_woken_passes_the_lock_on(
    void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[3] = {{.deadline_ms = 0}};
    stage_init(&stage);
    coro_lock_acquire(&stage.lock, 0);
    enter(&stage, actors, 3);
    coro_lock_release(&stage.lock);
    coro_task_cancel(actors[0].task);
    leave(actors, 3);
    /* It has the lock and sees the cancellation when it suspends. */
    expect_that(actors[0].status == 0 && actors[0].next == -ECANCELED);
    expect_that(strcmp(stage.trace, "abc") == 0);
    expect_that(!coro_lock_is_locked(&stage.lock));
    return 0;
}

static int a_late_waiter_leaves_the_queue(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2] = {{.deadline_ms = coro_after(1)}};
    stage_init(&stage);
    coro_lock_acquire(&stage.lock, 0);
    enter(&stage, actors, 2);
    coro_sleep(3);
    expect_that(actors[0].status == -ETIMEDOUT);
    coro_lock_release(&stage.lock);
    leave(actors, 2);
    expect_that(strcmp(stage.trace, "b") == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(a_free_lock_is_had_at_once),
        task_test(releasing_a_free_lock_is_refused),
        task_test(waiters_get_the_lock_in_the_order_in_which_they_came),
        task_test(nobody_slips_in_before_those_who_wait),
        task_test(a_cancelled_waiter_is_passed_over),
        task_test(a_waiter_cancelled_after_it_was_woken_passes_the_lock_on),
        task_test(a_late_waiter_leaves_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
