/*
 * The executor: what becomes of work that nobody waits for any more.
 */
#include <errno.h>

#include "coro/sched/remote.h"
#include "tests/unit/coro/sched/executor_scene.h"

/* --- nobody waits any more ------------------------------------------------ */

static int run_dropped(void *argument)
{
    struct scene *scene = argument;
    const struct coro_thread_work work = {
        .function = wait_for_leave, .argument = scene, .drop = note_drop};
    return coro_run_work_in_thread(&work, CORO_NEVER, NULL);
}

static int cancel_one_that_runs(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *task;
    coro_spawn(scene->loop, run_dropped, scene, NULL, &task);
    while (atomic_load(&scene->nrunning) < 1)
        coro_relax();
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, &scene->status);
    coro_task_unref(task);
    scene->result = atomic_load(&scene->nended);
    atomic_store(&scene->may_go, true);
    while (atomic_load(&scene->ndropped) < 1)
        coro_sleep(1);
    return 0;
}

static void cancelling_leaves_the_work_to_end_and_drops_its_result(void **state)
{
    struct scene *scene = *state;
    run(scene, cancel_one_that_runs, 0, 0);
    assert_int_equal(scene->status, -ECANCELED);
    assert_int_equal(scene->result, 0);
    assert_int_equal(atomic_load(&scene->nended), 1);
    assert_int_equal(atomic_load(&scene->ndropped), 1);
}

static int cancel_one_that_waits(void *argument)
{
    struct scene *scene = argument;
    struct coro_task *first, *second;
    coro_spawn(scene->loop, run_dropped, scene, NULL, &first);
    coro_spawn(scene->loop, run_dropped, scene, NULL, &second);
    while (atomic_load(&scene->nrunning) < 1)
        coro_relax();
    coro_task_cancel(second);
    coro_task_wait(second, CORO_NEVER, &scene->status);
    scene->result = atomic_load(&scene->ndropped);
    atomic_store(&scene->may_go, true);
    coro_task_wait(first, CORO_NEVER, NULL);
    coro_task_unref(first);
    coro_task_unref(second);
    return 0;
}

static void cancelling_what_no_thread_has_taken_keeps_it_from_running(
    void **state)
{
    struct scene *scene = *state;
    run(scene, cancel_one_that_waits, 1, 0);
    assert_int_equal(scene->status, -ECANCELED);
    assert_int_equal(scene->result, 1);
    assert_int_equal(atomic_load(&scene->nended), 1);
}

static int be_late(void *argument)
{
    struct scene *scene = argument;
    const struct coro_thread_work work = {
        .function = wait_for_leave, .argument = scene, .drop = note_drop};
    scene->status = coro_run_work_in_thread(&work, coro_after(2), NULL);
    atomic_store(&scene->may_go, true);
    while (atomic_load(&scene->ndropped) < 1)
        coro_sleep(1);
    return 0;
}

static void work_that_is_late_is_dropped_when_it_has_ended(void **state)
{
    struct scene *scene = *state;
    run(scene, be_late, 0, 0);
    assert_int_equal(scene->status, -ETIMEDOUT);
    assert_int_equal(atomic_load(&scene->ndropped), 1);
}

static int be_too_late(void *argument)
{
    struct scene *scene = argument;
    const struct coro_thread_work work = {
        .function = wait_for_leave, .argument = scene, .drop = note_drop};
    scene->status = coro_run_work_in_thread(&work, 0, NULL);
    scene->result = coro_run_in_thread(wait_for_leave, scene, 0, NULL);
    scene->nthreads = coro_executor_nthreads();
    return 0;
}

static void nothing_is_started_after_its_deadline(void **state)
{
    struct scene *scene = *state;
    run(scene, be_too_late, 0, 0);
    assert_int_equal(scene->status, -ETIMEDOUT);
    assert_int_equal(scene->result, -ETIMEDOUT);
    assert_int_equal(scene->nthreads, 0);
    assert_int_equal(atomic_load(&scene->ndropped), 1);
    assert_int_equal(atomic_load(&scene->nrunning), 0);
}

/* --- the loop's end ------------------------------------------------------- */

static int let_go_later(void *argument)
{
    struct scene *scene = argument;
    coro_sleep_until(CORO_NEVER);
    atomic_store(&scene->may_go, true);
    return -ECANCELED;
}

static int leave_work_behind(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < NJOBS; i++)
        coro_spawn(scene->loop, run_dropped, scene, NULL, NULL);
    /* Cancelled last, when nothing waits for the thread any more. */
    coro_spawn(scene->loop, let_go_later, scene, NULL, NULL);
    while (atomic_load(&scene->nrunning) < 1)
        coro_relax();
    return 0;
}

static void freeing_the_loop_waits_for_what_runs_and_drops_the_rest(
    void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run(scene, leave_work_behind, 1, 0), NJOBS + 1);
    assert_int_equal(atomic_load(&scene->nended), 1);
    assert_int_equal(atomic_load(&scene->ndropped), NJOBS);
}

static int ask_when_cancelled(void *argument)
{
    struct scene *scene = argument;
    coro_sleep_until(CORO_NEVER);
    scene->status = coro_run_in_thread(answer, NULL, CORO_NEVER, NULL);
    return 0;
}

static int leave_one_that_asks(void *argument)
{
    struct scene *scene = argument;
    coro_spawn(scene->loop, ask_when_cancelled, scene, NULL, NULL);
    return coro_relax();
}

static void a_loop_that_is_being_freed_starts_no_work(void **state)
{
    struct scene *scene = *state;
    run(scene, leave_one_that_asks, 0, 0);
    assert_int_equal(scene->status, -ESHUTDOWN);
}

static int never_give_in(void *argument)
{
    for (;;)
        if (run_dropped(argument) == -ESHUTDOWN)
            coro_sleep_until(CORO_NEVER);
    return 0;
}

static int leave_a_stubborn_one(void *argument)
{
    struct scene *scene = argument;
    atomic_store(&scene->may_go, true);
    coro_spawn(scene->loop, never_give_in, scene, NULL, NULL);
    while (atomic_load(&scene->nended) < 1)
        coro_relax();
    return 0;
}

static void a_task_that_asks_again_and_again_is_dropped(void **state)
{
    run(*state, leave_a_stubborn_one, 0, 0);
}

static int add_in_loop(void *argument)
{
    struct scene *scene = argument;
    scene->result += 1;
    return coro_relax();
}

static int submit_back(void *argument)
{
    struct scene *scene = argument;
    struct coro_remote *remote;
    int status = coro_submit(scene->loop, add_in_loop, scene, &remote);
    if (status < 0)
        return status;
    status = coro_remote_result(remote, CORO_NEVER, NULL);
    coro_remote_unref(remote);
    return status;
}

static int work_with_the_loop(void *argument)
{
    struct scene *scene = argument;
    return coro_run_in_thread(submit_back, scene, CORO_NEVER, &scene->status);
}

static void a_thread_may_submit_to_its_loop_and_wait(void **state)
{
    struct scene *scene = *state;
    run(scene, work_with_the_loop, 0, 0);
    assert_int_equal(scene->status, 0);
    assert_int_equal(scene->result, 1);
}

static int keep_submitting(void *argument)
{
    struct scene *scene = argument;
    atomic_fetch_add(&scene->nrunning, 1);
    while (submit_back(scene) == 0)
        ;
    return 0;
}

static int run_keep_submitting(void *scene)
{
    return coro_run_in_thread(keep_submitting, scene, CORO_NEVER, NULL);
}

static int leave_a_busy_thread(void *argument)
{
    struct scene *scene = argument;
    coro_spawn(scene->loop, run_keep_submitting, scene, NULL, NULL);
    while (atomic_load(&scene->nrunning) < 1)
        coro_relax();
    return 0;
}

static void a_thread_that_waits_for_its_loop_sees_it_end(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct scene *scene = *state;
        *scene = (struct scene){.status = 0};
        run(scene, leave_a_busy_thread, 0, 0);
    }
}

#define executor_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        executor_test(cancelling_leaves_the_work_to_end_and_drops_its_result),
        executor_test(
            cancelling_what_no_thread_has_taken_keeps_it_from_running),
        executor_test(work_that_is_late_is_dropped_when_it_has_ended),
        executor_test(nothing_is_started_after_its_deadline),
        executor_test(freeing_the_loop_waits_for_what_runs_and_drops_the_rest),
        executor_test(a_loop_that_is_being_freed_starts_no_work),
        executor_test(a_task_that_asks_again_and_again_is_dropped),
        executor_test(a_thread_may_submit_to_its_loop_and_wait),
        executor_test(a_thread_that_waits_for_its_loop_sees_it_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
