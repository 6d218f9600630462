#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/event.h"
#include "coro/sched/loop.h"
#include "tests/support/task_test.h"

struct stage {
    struct coro_event event;
    char trace[32];
    size_t nnoted;
};

struct actor {
    struct stage *stage;
    char name;
    struct coro_task *task;
};

static int wait_and_note(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;
    int status = coro_event_wait(&stage->event, CORO_NEVER);
    if (status == 0)
        stage->trace[stage->nnoted++] = actor->name;
    return status;
}

static void stage_open(struct stage *stage, struct actor *actors, size_t count)
{
    memset(stage, 0, sizeof *stage);
    coro_event_init(&stage->event);
    for (size_t i = 0; i < count; i++) {
        actors[i] = (struct actor){.stage = stage, .name = (char)('a' + i)};
        actors[i].task = task_start(wait_and_note, &actors[i]);
    }
    task_settle();
}

static int an_event_lets_all_go_in_the_order_in_which_they_came(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[3];
    stage_open(&stage, actors, 3);
    expect_that(stage.nnoted == 0 && !coro_event_is_set(&stage.event));
    coro_event_set(&stage.event);
    for (int i = 0; i < 3; i++)
        expect_that(task_end(actors[i].task) == 0);
    expect_that(strcmp(stage.trace, "abc") == 0);
    return 0;
}

static int an_event_that_is_set_is_not_waited_for(void *argument)
{
    (void)argument;
    struct coro_event event;
    coro_event_init(&event);
    expect_that(coro_event_wait(&event, 0) == -ETIMEDOUT);
    expect_that(coro_event_wait(&event, coro_after(1)) == -ETIMEDOUT);
    coro_event_set(&event);
    coro_event_set(&event);
    expect_that(coro_event_wait(&event, 0) == 0);
    expect_that(coro_event_is_set(&event));
    coro_event_clear(&event);
    expect_that(!coro_event_is_set(&event));
    expect_that(coro_event_wait(&event, 0) == -ETIMEDOUT);
    return 0;
}

static int clearing_does_not_hold_up_who_was_let_go(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2];
    stage_open(&stage, actors, 2);
    coro_event_set(&stage.event);
    coro_event_clear(&stage.event);
    expect_that(coro_event_wait(&stage.event, 0) == -ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        expect_that(task_end(actors[i].task) == 0);
    expect_that(!coro_event_is_set(&stage.event));
    return 0;
}

static int a_cancelled_waiter_leaves_an_event_alone(void *argument)
{
    (void)argument;
    struct stage stage;
    struct actor actors[2];
    stage_open(&stage, actors, 2);
    coro_task_cancel(actors[0].task);
    expect_that(task_end(actors[0].task) == -ECANCELED);
    coro_event_set(&stage.event);
    expect_that(task_end(actors[1].task) == 0);
    expect_that(strcmp(stage.trace, "b") == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(an_event_lets_all_go_in_the_order_in_which_they_came),
        task_test(an_event_that_is_set_is_not_waited_for),
        task_test(clearing_does_not_hold_up_who_was_let_go),
        task_test(a_cancelled_waiter_leaves_an_event_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
