#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "tests/support/fate.h"

/* What a scenario saw. */
struct scene {
    struct coro_group group;
    struct coro_group inner;
    int status[8];
    int nstarted;
    int ncancelled;
    int nended;
    bool flag[8];
};

static void run(coro_task_fn *scenario, struct scene *scene)
{
    int result = -1;
    memset(scene, 0, sizeof *scene);
    assert_int_equal(coro_run(scenario, scene, &result), 0);
    assert_int_equal(result, 0);
}

/* --- members ------------------------------------------------------------- */

static int rest(void *argument)
{
    struct scene *scene = argument;
    scene->nstarted++;
    if (coro_sleep_until(CORO_NEVER) == -ECANCELED)
        scene->ncancelled++;
    scene->nended++;
    return 0;
}

static int nap(void *argument)
{
    struct scene *scene = argument;
    scene->nstarted++;
    coro_sleep(2);
    scene->nended++;
    return 0;
}

static int end_at_leisure(void *argument)
{
    struct scene *scene = argument;
    scene->nstarted++;
    scene->ncancelled += coro_sleep_until(CORO_NEVER) == -ECANCELED;
    for (int i = 0; i < 3; i++)
        coro_sleep(1);
    scene->nended++;
    return 0;
}

static void begin(struct scene *scene, coro_task_fn *member, int nmembers)
{
    coro_group_init(&scene->group, coro_loop_current());
    for (int i = 0; i < nmembers; i++)
        scene->status[7] |=
            coro_group_spawn(&scene->group, member, scene, NULL);
}

/* --- waiting ------------------------------------------------------------- */

static int wait_for_members(void *argument)
{
    struct scene *scene = argument;
    begin(scene, nap, 5);
    scene->flag[0] = coro_group_is_empty(&scene->group);
    scene->status[0] = coro_group_wait(&scene->group, CORO_NEVER);
    scene->flag[1] = coro_group_is_empty(&scene->group);
    return 0;
}

static void a_wait_lasts_until_the_last_member_has_ended(void **state)
{
    (void)state;
    struct scene scene;
    run(wait_for_members, &scene);
    assert_int_equal(scene.status[7], 0);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.nended, 5);
    assert_false(scene.flag[0]);
    assert_true(scene.flag[1]);
}

static int use_empty_group(void *argument)
{
    struct scene *scene = argument;
    begin(scene, nap, 0);
    scene->status[0] = coro_group_wait(&scene->group, 0);
    coro_group_cancel(&scene->group);
    coro_group_close(&scene->group);
    scene->flag[0] = coro_group_is_empty(&scene->group);
    return 0;
}

static void an_empty_group_is_not_waited_for(void **state)
{
    (void)state;
    struct scene scene;
    run(use_empty_group, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_true(scene.flag[0]);
}

static int wait_too_short(void *argument)
{
    struct scene *scene = argument;
    begin(scene, rest, 2);
    scene->status[0] = coro_group_wait(&scene->group, coro_after(1));
    scene->status[1] = scene->ncancelled;
    coro_group_close(&scene->group);
    return 0;
}

static void a_wait_can_be_late_and_cancels_nobody(void **state)
{
    (void)state;
    struct scene scene;
    run(wait_too_short, &scene);
    assert_int_equal(scene.status[0], -ETIMEDOUT);
    assert_int_equal(scene.status[1], 0);
    assert_int_equal(scene.nended, 2);
}

static int spawn_again_when_empty(void *argument)
{
    struct scene *scene = argument;
    begin(scene, nap, 1);
    coro_group_wait(&scene->group, CORO_NEVER);
    scene->status[0] = coro_group_spawn(&scene->group, nap, scene, NULL);
    scene->status[1] = coro_group_wait(&scene->group, CORO_NEVER);
    return 0;
}

static void a_group_that_became_empty_can_be_used_on(void **state)
{
    (void)state;
    struct scene scene;
    run(spawn_again_when_empty, &scene);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], 0);
    assert_int_equal(scene.nended, 2);
}

static int wait_in_task(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] += 1 + coro_group_wait(&scene->group, CORO_NEVER);
    return 0;
}

static int several_wait(void *argument)
{
    struct scene *scene = argument;
    struct coro_group waiters;
    begin(scene, nap, 2);
    coro_group_init(&waiters, coro_loop_current());
    for (int i = 0; i < 3; i++)
        coro_group_spawn(&waiters, wait_in_task, scene, NULL);
    coro_group_wait(&waiters, CORO_NEVER);
    return 0;
}

static void several_tasks_can_wait_for_a_group(void **state)
{
    (void)state;
    struct scene scene;
    run(several_wait, &scene);
    assert_int_equal(scene.status[0], 3);
}

/* --- cancelling and closing ---------------------------------------------- */

static int cancel_members(void *argument)
{
    struct scene *scene = argument;
    begin(scene, rest, 4);
    coro_relax();
    coro_group_cancel(&scene->group);
    scene->status[0] = coro_group_spawn(&scene->group, nap, scene, NULL);
    scene->status[1] = coro_group_wait(&scene->group, CORO_NEVER);
    return 0;
}

static void cancelling_a_group_cancels_its_members_and_leaves_it_open(
    void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_members, &scene);
    assert_int_equal(scene.ncancelled, 4);
    assert_int_equal(scene.nended, 5);
    assert_int_equal(scene.status[0], 0);
    assert_int_equal(scene.status[1], 0);
}

static int close_running(void *argument)
{
    struct scene *scene = argument;
    begin(scene, end_at_leisure, 3);
    coro_relax();
    coro_group_close(&scene->group);
    scene->status[0] = scene->nended;
    scene->flag[0] = coro_group_is_empty(&scene->group);
    scene->status[1] = coro_relax();
    return 0;
}

static void closing_waits_for_members_that_delay_their_end(void **state)
{
    (void)state;
    struct scene scene;
    run(close_running, &scene);
    assert_int_equal(scene.ncancelled, 3);
    assert_int_equal(scene.status[0], 3);
    assert_true(scene.flag[0]);
    assert_int_equal(scene.status[1], 0);
}

static int close_at_once(void *argument)
{
    struct scene *scene = argument;
    begin(scene, rest, 3);
    coro_group_close(&scene->group);
    scene->flag[0] = coro_group_is_empty(&scene->group);
    return 0;
}

static void members_that_did_not_begin_never_run(void **state)
{
    (void)state;
    struct scene scene;
    run(close_at_once, &scene);
    assert_int_equal(scene.nstarted, 0);
    assert_true(scene.flag[0]);
}

static int spawn_when_cancelled(void *argument)
{
    struct scene *scene = argument;
    coro_sleep_until(CORO_NEVER);
    scene->status[0] = coro_group_spawn(&scene->group, nap, scene, NULL);
    return 0;
}

static int close_beside_spawner(void *argument)
{
    struct scene *scene = argument;
    begin(scene, spawn_when_cancelled, 1);
    coro_relax();
    coro_group_close(&scene->group);
    scene->status[1] = coro_group_spawn(&scene->group, nap, scene, NULL);
    return 0;
}

static void nothing_can_be_spawned_once_closing_began(void **state)
{
    (void)state;
    struct scene scene;
    run(close_beside_spawner, &scene);
    assert_int_equal(scene.status[0], -ESHUTDOWN);
    assert_int_equal(scene.status[1], -ESHUTDOWN);
    assert_int_equal(scene.nstarted, 0);
}

/* Closes and says what it saw of being cancelled meanwhile. */
static int close_in_task(void *argument)
{
    struct scene *scene = argument;
    coro_group_close(&scene->group);
    scene->status[0] = scene->nended;
    scene->status[1] = coro_relax();
    scene->status[2] = coro_relax();
    return 0;
}

static int cancel_the_closer(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *closer;
    begin(scene, end_at_leisure, 2);
    coro_spawn(coro_loop_current(), close_in_task, scene, NULL, &closer);
    coro_relax();
    for (int i = 0; i < 2; i++) {
        coro_relax();
        coro_task_cancel(closer);
    }
    coro_task_wait(closer, CORO_NEVER, NULL);
    coro_task_unref(closer);
    return 0;
}

static void a_closer_that_is_cancelled_finishes_and_sees_it_afterwards(
    void **state)
{
    (void)state;
    struct scene scene;
    run(cancel_the_closer, &scene);
    assert_int_equal(scene.status[0], 2);
    assert_int_equal(scene.status[1], -ECANCELED);
    assert_int_equal(scene.status[2], 0);
}

static int close_cancelled(void *argument)
{
    struct scene *scene = argument;
    begin(scene, end_at_leisure, 2);
    coro_relax();
    coro_task_cancel(coro_task_current());
    close_in_task(argument);
    return 0;
}

static void a_closer_that_was_cancelled_before_sees_it_afterwards(void **state)
{
    (void)state;
    struct scene scene;
    run(close_cancelled, &scene);
    assert_int_equal(scene.status[0], 2);
    assert_int_equal(scene.status[1], -ECANCELED);
    assert_int_equal(scene.status[2], 0);
}

static int own_a_group(void *argument)
{
    struct scene *scene = argument;
    coro_group_init(&scene->inner, coro_loop_current());
    coro_group_spawn(&scene->inner, rest, scene, NULL);
    coro_group_spawn(&scene->inner, end_at_leisure, scene, NULL);
    scene->status[0] = coro_sleep_until(CORO_NEVER);
    coro_group_close(&scene->inner);
    scene->status[1] = scene->nended;
    return 0;
}

static int close_outer(void *argument)
{
    struct scene *scene = argument;
    begin(scene, own_a_group, 1);
    coro_relax();
    coro_relax();
    coro_group_close(&scene->group);
    scene->status[2] = scene->nended;
    return 0;
}

static void closing_reaches_the_groups_of_members(void **state)
{
    (void)state;
    struct scene scene;
    run(close_outer, &scene);
    assert_int_equal(scene.status[0], -ECANCELED);
    assert_int_equal(scene.status[1], 2);
    assert_int_equal(scene.status[2], 2);
}

/* --- by a member --------------------------------------------------------- */

static int wait_as_member(void *argument)
{
    struct scene *scene = argument;
    scene->status[0] = coro_group_wait(&scene->group, CORO_NEVER);
    return 0;
}

static int close_as_member(void *argument)
{
    struct scene *scene = argument;
    coro_group_close(&scene->group);
    return 0;
}

static int let_member_wait(void *argument)
{
    struct scene *scene = argument;
    begin(scene, wait_as_member, 1);
    return coro_group_wait(&scene->group, CORO_NEVER);
}

static int let_member_close(void *argument)
{
    struct scene *scene = argument;
    begin(scene, close_as_member, 1);
    return coro_group_wait(&scene->group, CORO_NEVER);
}

static void close_by_member(void)
{
    struct scene scene;
    run(let_member_close, &scene);
}

static void a_member_can_t_wait_for_its_own_end(void **state)
{
    (void)state;
    struct scene scene;
    run(let_member_wait, &scene);
    assert_int_equal(scene.status[0], -EDEADLK);
    fate_assert_aborts(close_by_member, "can't wait for its own end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_can_t_wait_for_its_own_end),
        cmocka_unit_test(a_wait_lasts_until_the_last_member_has_ended),
        cmocka_unit_test(an_empty_group_is_not_waited_for),
        cmocka_unit_test(a_wait_can_be_late_and_cancels_nobody),
        cmocka_unit_test(a_group_that_became_empty_can_be_used_on),
        cmocka_unit_test(several_tasks_can_wait_for_a_group),
        cmocka_unit_test(
            cancelling_a_group_cancels_its_members_and_leaves_it_open),
        cmocka_unit_test(closing_waits_for_members_that_delay_their_end),
        cmocka_unit_test(members_that_did_not_begin_never_run),
        cmocka_unit_test(nothing_can_be_spawned_once_closing_began),
        cmocka_unit_test(
            a_closer_that_is_cancelled_finishes_and_sees_it_afterwards),
        cmocka_unit_test(a_closer_that_was_cancelled_before_sees_it_afterwards),
        cmocka_unit_test(closing_reaches_the_groups_of_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
