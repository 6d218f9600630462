#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/sched/await.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/timeout.h"
#include "tests/support/task_test.h"

static void add(struct coro_group *group, struct nap *nap)
{
    expect_that(coro_group_spawn(group, nap_run, nap, NULL) == 0);
}

/* A task that owns a group of naps and rests in its body. */
struct owner {
    struct nap *naps;
    int nnaps;
    int64_t rest_ms;    /* in the body; 0: not at all */
    int when_cancelled; /* what the body then ends with; 0: -ECANCELED */
    int64_t cleaning_ms;
    struct coro_group group;
    struct nap body;
    int status; /* of the group's end */
    int next;   /* what the next suspension says */
};

static int own(void *argument)
{
    struct owner *owner = argument;
    owner->body = (struct nap){.delay_ms = owner->rest_ms,
                               .when_cancelled = owner->when_cancelled,
                               .cleaning_ms = owner->cleaning_ms};
    coro_group_begin(&owner->group);
    for (int i = 0; i < owner->nnaps; i++)
        add(&owner->group, &owner->naps[i]);
    int status = owner->rest_ms ? nap_run(&owner->body) : 0;
    owner->status = coro_group_end(&owner->group, status);
    owner->next = coro_relax();
    return owner->status;
}

/* --- when all goes well -------------------------------------------------- */

static int the_end_waits_for_all_members(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = 42},
                         {.delay_ms = 3, .result = 11}};
    struct coro_group group;
    struct coro_task *tasks[2];
    coro_group_begin(&group);
    for (int i = 0; i < 2; i++)
        expect_that(coro_group_spawn_task(&group, nap_run, &naps[i], NULL,
                                          &tasks[i]) == 0);
    expect_that(coro_group_end(&group, 7) == 7);
    expect_that(coro_task_result(tasks[0]) == 42);
    expect_that(coro_task_result(tasks[1]) == 11);
    expect_that(group.nerrors == 0 && coro_relax() == 0);
    coro_task_unref(tasks[0]);
    coro_task_unref(tasks[1]);
    return 0;
}

static int members_can_be_added_while_others_run(void *argument)
{
    (void)argument;
    struct nap first = {.delay_ms = 1}, second = {.delay_ms = 1};
    struct coro_group group;
    coro_group_begin(&group);
    add(&group, &first);
    expect_that(coro_sleep(3) == 0);
    add(&group, &second);
    expect_that(coro_group_end(&group, 0) == 0);
    expect_that(first.has_ended && second.has_ended);
    return 0;
}

struct grower {
    struct coro_group *group;
    struct nap nap;
    int status;
};

static int grow(void *argument)
{
    struct grower *grower = argument;
    coro_sleep(1);
    grower->status =
        coro_group_spawn(grower->group, nap_run, &grower->nap, NULL);
    return 0;
}

static int members_can_spawn_members_until_the_last_has_ended(void *argument)
{
    (void)argument;
    struct coro_group group;
    struct grower grower = {.group = &group, .nap = {.delay_ms = 1}};
    coro_group_begin(&group);
    expect_that(coro_group_spawn(&group, grow, &grower, NULL) == 0);
    expect_that(coro_group_end(&group, 0) == 0);
    expect_that(grower.status == 0 && grower.nap.has_ended);
    expect_that(coro_group_spawn(&group, nap_run, &grower.nap, NULL) ==
                -ESHUTDOWN);
    return 0;
}

/* Each member spawns two others, until one of them has had enough. */
struct hydra {
    struct coro_group group;
    int nheads;
};

static int grow_heads(void *argument)
{
    struct hydra *hydra = argument;
    hydra->nheads++;
    int status = coro_sleep(1);
    if (status < 0)
        return status;
    if (hydra->nheads >= 10)
        return -EIO;
    coro_group_spawn(&hydra->group, grow_heads, hydra, NULL);
    coro_group_spawn(&hydra->group, grow_heads, hydra, NULL);
    return 0;
}

static int members_that_multiply_end_with_the_first_error(void *argument)
{
    (void)argument;
    struct hydra hydra = {.nheads = 0};
    coro_group_begin(&hydra.group);
    expect_that(coro_group_spawn(&hydra.group, grow_heads, &hydra, NULL) == 0);
    expect_that(coro_group_end(&hydra.group, 0) == -EIO);
    expect_that(hydra.nheads >= 10);
    expect_that(coro_group_is_empty(&hydra.group));
    return 0;
}

static int a_member_that_is_cancelled_alone_is_no_error(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = CORO_NEVER}, other = {.delay_ms = 3};
    struct coro_group group;
    struct coro_task *task;
    coro_group_begin(&group);
    expect_that(coro_group_spawn_task(&group, nap_run, &nap, NULL, &task) == 0);
    add(&group, &other);
    coro_relax();
    coro_task_cancel(task);
    expect_that(coro_group_end(&group, 0) == 0);
    expect_that(coro_task_is_cancelled(task));
    expect_that(other.has_ended && other.ncancelled == 0);
    coro_task_unref(task);
    return 0;
}

static int members_have_names(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 1};
    struct coro_group group;
    struct coro_task *task;
    coro_group_begin(&group);
    expect_that(coro_group_spawn_task(
                    &group, nap_run, &nap,
                    &(struct coro_spawn_options){.name = "yolo"}, &task) == 0);
    expect_that(strcmp(coro_task_name(task), "yolo") == 0);
    expect_that(coro_group_end(&group, 0) == 0);
    coro_task_unref(task);
    return 0;
}

/* --- errors -------------------------------------------------------------- */

static int a_failing_member_cancels_its_siblings(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = -EIO},
                         {.delay_ms = CORO_NEVER, .cleaning_ms = 2}};
    struct owner owner = {.naps = naps, .nnaps = 2};
    expect_that(task_end(task_start(own, &owner)) == -EIO);
    expect_that(naps[1].ncancelled == 1 && naps[1].has_ended);
    expect_that(owner.group.nerrors == 1 && owner.next == 0);
    return 0;
}

static int errors_are_collected_and_the_body_is_cancelled(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = -EIO},
                         {.delay_ms = 1, .result = -EPIPE},
                         {.delay_ms = CORO_NEVER, .when_cancelled = -EBADF},
                         {.delay_ms = CORO_NEVER}};
    struct owner owner = {.naps = naps, .nnaps = 4, .rest_ms = CORO_NEVER};
    expect_that(task_end(task_start(own, &owner)) == -EIO);
    expect_that(owner.body.ncancelled == 1 && owner.next == 0);
    expect_that(naps[3].ncancelled == 1);
    expect_that(owner.group.nerrors == 3);
    expect_that(owner.group.errors[0].status == -EIO);
    expect_that(owner.group.errors[1].status == -EPIPE);
    expect_that(owner.group.errors[2].status == -EBADF);
    return 0;
}

static int more_errors_than_are_kept_are_counted(void *argument)
{
    (void)argument;
    struct nap naps[2 * CORO_GROUP_ERRORS];
    for (int i = 0; i < 2 * CORO_GROUP_ERRORS; i++)
        naps[i] = (struct nap){.delay_ms = 1, .result = -1 - i};
    struct owner owner = {.naps = naps, .nnaps = 2 * CORO_GROUP_ERRORS};
    expect_that(task_end(task_start(own, &owner)) == -1);
    expect_that(owner.group.nerrors == 2 * CORO_GROUP_ERRORS);
    return 0;
}

static int an_error_in_the_body_cancels_all_members(void *argument)
{
    (void)argument;
    /* At once, so that they never run, and when they have begun. */
    for (int has_begun = 0; has_begun < 2; has_begun++) {
        struct nap naps[] = {{.delay_ms = CORO_NEVER, .cleaning_ms = 2},
                             {.delay_ms = CORO_NEVER}};
        struct coro_group group;
        coro_group_begin(&group);
        add(&group, &naps[0]);
        add(&group, &naps[1]);
        if (has_begun)
            coro_relax();
        expect_that(coro_group_end(&group, -EIO) == -EIO);
        expect_that(naps[0].has_begun == has_begun);
        expect_that(naps[0].has_ended == has_begun);
        expect_that(naps[1].ncancelled == has_begun);
        expect_that(group.nerrors == 1 && coro_relax() == 0);
    }
    return 0;
}

static int errors_of_a_member_and_of_the_body_are_both_kept(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 1, .result = -EIO}};
    struct owner owner = {.naps = naps,
                          .nnaps = 1,
                          .rest_ms = CORO_NEVER,
                          .when_cancelled = -EPIPE};
    expect_that(task_end(task_start(own, &owner)) == -EIO);
    expect_that(owner.group.nerrors == 2);
    expect_that(owner.group.errors[1].status == -EPIPE && owner.next == 0);
    return 0;
}

static int nothing_is_spawned_once_a_member_has_failed(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 0, .result = -EIO}, late = {.delay_ms = 0};
    struct coro_group group;
    coro_group_begin(&group);
    add(&group, &nap);
    expect_that(coro_sleep_until(CORO_NEVER) == -ECANCELED);
    expect_that(coro_group_spawn(&group, nap_run, &late, NULL) == -ESHUTDOWN);
    expect_that(coro_group_end(&group, 0) == -EIO);
    expect_that(!late.has_begun);
    return 0;
}

static int a_body_that_did_not_see_the_cancellation_goes_free(void *argument)
{
    (void)argument;
    struct nap nap = {.delay_ms = 0, .result = -EIO};
    struct coro_group group;
    coro_group_begin(&group);
    add(&group, &nap);
    coro_relax(); /* The member fails in this turn. */
    coro_relax();
    expect_that(coro_group_end(&group, 0) == -EIO);
    expect_that(coro_relax() == 0);
    expect_that(coro_task_ncancels(coro_task_current()) == 0);
    return 0;
}

/* --- from outside -------------------------------------------------------- */

static int cancelling_the_owner_cancels_members_and_is_passed_on(void *argument)
{
    (void)argument;
    /* While it waits for the end, and while it is in its body. */
    for (int is_in_body = 0; is_in_body < 2; is_in_body++) {
        struct nap naps[3];
        for (int i = 0; i < 3; i++)
            naps[i] = (struct nap){.delay_ms = CORO_NEVER, .cleaning_ms = 1};
        struct owner owner = {
            .naps = naps, .nnaps = 3, .rest_ms = is_in_body ? CORO_NEVER : 0};
        struct coro_task *task = task_start(own, &owner);
        task_settle();
        coro_task_cancel(task);
        expect_that(task_end(task) == -ECANCELED);
        expect_that(owner.body.ncancelled == is_in_body);
        for (int i = 0; i < 3; i++)
            expect_that(naps[i].has_ended && naps[i].ncancelled == 1);
        expect_that(owner.group.nerrors == 0 && owner.next == 0);
    }
    return 0;
}

static int cancelling_the_owner_of_an_empty_group_is_passed_on(void *argument)
{
    (void)argument;
    struct owner owner = {.rest_ms = CORO_NEVER};
    struct coro_task *task = task_start(own, &owner);
    task_settle();
    coro_task_cancel(task);
    expect_that(task_end(task) == -ECANCELED && owner.body.ncancelled == 1);
    return 0;
}

static int a_body_may_turn_its_cancellation_into_an_error(void *argument)
{
    (void)argument;
    struct owner owner = {.rest_ms = CORO_NEVER, .when_cancelled = -EIO};
    struct coro_task *task = task_start(own, &owner);
    task_settle();
    coro_task_cancel(task);
    expect_that(task_end(task) == -EIO && owner.group.nerrors == 1);
    return 0;
}

static int errors_beside_a_cancellation_lose_neither(void *argument)
{
    (void)argument;
    struct nap naps[3];
    for (int i = 0; i < 3; i++)
        naps[i] = (struct nap){.delay_ms = CORO_NEVER, .when_cancelled = -EIO};
    struct owner owner = {.naps = naps, .nnaps = 3, .rest_ms = CORO_NEVER};
    struct coro_task *task = task_start(own, &owner);
    task_settle();
    coro_task_cancel(task);
    expect_that(task_end(task) == -EIO);
    expect_that(owner.group.nerrors == 3 && owner.next == -ECANCELED);
    return 0;
}

static int a_member_that_fails_while_the_body_cleans_up_is_told(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 5, .result = -EIO}};
    struct owner owner = {
        .naps = naps, .nnaps = 1, .rest_ms = CORO_NEVER, .cleaning_ms = 20};
    struct coro_task *task = task_start(own, &owner);
    task_settle();
    coro_task_cancel(task);
    expect_that(task_end(task) == -EIO);
    return 0;
}

static int await_owner(void *argument)
{
    struct coro_task *task = task_start(own, argument);
    int status = coro_await(task, CORO_NEVER);
    coro_task_unref(task);
    return status;
}

static int a_cancellation_reaches_a_group_through_an_await(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = 5, .result = -EIO}};
    struct owner owner = {
        .naps = naps, .nnaps = 1, .rest_ms = CORO_NEVER, .cleaning_ms = 20};
    struct coro_task *task = task_start(await_owner, &owner);
    task_settle();
    coro_task_cancel(task);
    expect_that(task_end(task) == -EIO);
    return 0;
}

static int a_time_limit_ends_a_group(void *argument)
{
    (void)argument;
    struct nap naps[] = {{.delay_ms = CORO_NEVER}};
    struct owner owner = {.naps = naps, .nnaps = 1};
    struct coro_timeout limit;
    coro_timeout_begin(&limit, coro_after(2));
    expect_that(coro_timeout_end(&limit, own(&owner)) == -ETIMEDOUT);
    expect_that(naps[0].ncancelled == 1);
    return 0;
}

/* --- nested -------------------------------------------------------------- */

/* A group within a group's body. */
struct nest {
    struct nap *outer_nap;
    struct owner inner;
    struct coro_group group;
};

static int nest_run(void *argument)
{
    struct nest *nest = argument;
    coro_group_begin(&nest->group);
    if (nest->outer_nap)
        add(&nest->group, nest->outer_nap);
    return coro_group_end(&nest->group, own(&nest->inner));
}

static int errors_of_an_inner_group_are_the_outer_bodys(void *argument)
{
    (void)argument;
    struct nap inner[] = {{.delay_ms = 1, .result = -EIO}};
    struct nap outer = {.delay_ms = CORO_NEVER};
    struct nest nest = {.outer_nap = &outer,
                        .inner = {.naps = inner, .nnaps = 1}};
    expect_that(task_end(task_start(nest_run, &nest)) == -EIO);
    expect_that(outer.ncancelled == 1 && nest.group.nerrors == 1);
    return 0;
}

static int errors_of_an_outer_group_end_the_inner_one(void *argument)
{
    (void)argument;
    struct nap inner[] = {{.delay_ms = CORO_NEVER}};
    struct nap outer = {.delay_ms = 1, .result = -EIO};
    struct nest nest = {.outer_nap = &outer,
                        .inner = {.naps = inner, .nnaps = 1}};
    expect_that(task_end(task_start(nest_run, &nest)) == -EIO);
    expect_that(inner[0].ncancelled == 1 && nest.inner.group.nerrors == 0);
    expect_that(nest.inner.status == -ECANCELED);
    return 0;
}

static int cancelling_reaches_nested_groups_and_errors_come_back(void *argument)
{
    (void)argument;
    for (int has_outer = 0; has_outer < 2; has_outer++) {
        struct nap inner[] = {{.delay_ms = CORO_NEVER, .when_cancelled = -EIO},
                              {.delay_ms = CORO_NEVER, .when_cancelled = -EIO}};
        struct nap outer = {.delay_ms = CORO_NEVER};
        struct nest nest = {
            .outer_nap = has_outer ? &outer : NULL,
            .inner = {.naps = inner, .nnaps = 2, .rest_ms = CORO_NEVER}};
        struct coro_task *task = task_start(nest_run, &nest);
        task_settle();
        coro_task_cancel(task);
        expect_that(task_end(task) == -EIO);
        expect_that(nest.inner.group.nerrors == 2);
        expect_that(outer.ncancelled == has_outer);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(the_end_waits_for_all_members),
        task_test(members_can_be_added_while_others_run),
        task_test(members_can_spawn_members_until_the_last_has_ended),
        task_test(members_that_multiply_end_with_the_first_error),
        task_test(a_member_that_is_cancelled_alone_is_no_error),
        task_test(members_have_names),
        task_test(a_failing_member_cancels_its_siblings),
        task_test(errors_are_collected_and_the_body_is_cancelled),
        task_test(more_errors_than_are_kept_are_counted),
        task_test(an_error_in_the_body_cancels_all_members),
        task_test(errors_of_a_member_and_of_the_body_are_both_kept),
        task_test(nothing_is_spawned_once_a_member_has_failed),
        task_test(a_body_that_did_not_see_the_cancellation_goes_free),
        task_test(cancelling_the_owner_cancels_members_and_is_passed_on),
        task_test(cancelling_the_owner_of_an_empty_group_is_passed_on),
        task_test(a_body_may_turn_its_cancellation_into_an_error),
        task_test(errors_beside_a_cancellation_lose_neither),
        task_test(a_member_that_fails_while_the_body_cleans_up_is_told),
        task_test(a_cancellation_reaches_a_group_through_an_await),
        task_test(a_time_limit_ends_a_group),
        task_test(errors_of_an_inner_group_are_the_outer_bodys),
        task_test(errors_of_an_outer_group_end_the_inner_one),
        task_test(cancelling_reaches_nested_groups_and_errors_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
