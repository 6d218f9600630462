/*
 * The executor: blocking work in threads, how many there are, and what becomes
 * of work that nobody waits for any more.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coro/sched/executor.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/remote.h"

#define NJOBS 6

/* What the work of a test shares, and what its coroutines saw. */
struct scene {
    struct coro_loop *loop;
    atomic_bool may_go;
    atomic_int nrunning;
    atomic_int most_running;
    atomic_int nended;
    atomic_int ndropped;
    int order[NJOBS];
    int status;
    int result;
    size_t nthreads;
};

struct job {
    struct scene *scene;
    int number;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct scene));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* Runs @body in a loop with these options; how many tasks were left. */
static size_t run(struct scene *scene, coro_task_fn *body, unsigned max_threads,
                  int64_t thread_idle_ms)
{
    const struct coro_loop_options options = {.guard = CORO_GUARD_KERNEL,
                                              .max_threads = max_threads,
                                              .thread_idle_ms = thread_idle_ms};
    struct coro_task *task;
    assert_int_equal(coro_loop_new(&options, &scene->loop), 0);
    assert_int_equal(coro_spawn(scene->loop, body, scene, NULL, &task), 0);
    assert_int_equal(coro_loop_run_until_complete(scene->loop, task, NULL), 0);
    coro_task_unref(task);
    return coro_loop_free(scene->loop);
}

/* --- work ----------------------------------------------------------------- */

static int answer(void *argument)
{
    (void)argument;
    return 42;
}

static int wait_for_leave(void *argument)
{
    struct scene *scene = argument;
    int nrunning = atomic_fetch_add(&scene->nrunning, 1) + 1;
    int most = atomic_load(&scene->most_running);
    while (nrunning > most &&
           !atomic_compare_exchange_weak(&scene->most_running, &most, nrunning))
        ;
    while (!atomic_load(&scene->may_go))
        sched_yield();
    atomic_fetch_sub(&scene->nrunning, 1);
    atomic_fetch_add(&scene->nended, 1);
    return 1;
}

static int meet(void *argument)
{
    struct scene *scene = argument;
    atomic_fetch_add(&scene->nrunning, 1);
    while (atomic_load(&scene->nrunning) < NJOBS)
        sched_yield();
    return 1;
}

static int note_order(void *argument)
{
    const struct job *job = argument;
    job->scene->order[atomic_fetch_add(&job->scene->nended, 1)] = job->number;
    return 0;
}

static void drop(void *argument)
{
    struct scene *scene = argument;
    atomic_fetch_add(&scene->ndropped, 1);
}

/* --- results -------------------------------------------------------------- */

static int ask(void *argument)
{
    struct scene *scene = argument;
    scene->status =
        coro_run_in_thread(answer, NULL, CORO_NEVER, &scene->result);
    return coro_run_in_thread(answer, NULL, CORO_NEVER, NULL);
}

static void a_result_comes_back_from_a_thread(void **state)
{
    struct scene *scene = *state;
    run(scene, ask, 0, 0);
    assert_int_equal(scene->status, 0);
    assert_int_equal(scene->result, 42);
}

static int run_nowhere(void *argument)
{
    (void)argument;
    return coro_executor_nthreads() == 0 ? 0 : -EPROTO;
}

static void a_loop_that_needs_no_threads_has_none(void **state)
{
    int result = 1;
    (void)state;
    assert_int_equal(coro_run(run_nowhere, NULL, &result), 0);
    assert_int_equal(result, 0);
    assert_int_equal(coro_executor_nthreads(), 0);
}

/* --- how many threads ----------------------------------------------------- */

static int run_meet(void *argument)
{
    return coro_run_in_thread(meet, argument, CORO_NEVER, NULL);
}

static int run_wait_for_leave(void *argument)
{
    return coro_run_in_thread(wait_for_leave, argument, CORO_NEVER, NULL);
}

static int run_note_order(void *job)
{
    return coro_run_in_thread(note_order, job, CORO_NEVER, NULL);
}

static int let_all_meet(void *argument)
{
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    for (int i = 0; i < NJOBS; i++)
        coro_group_spawn(&group, run_meet, argument, NULL);
    return coro_group_wait(&group, CORO_NEVER);
}

static void work_runs_in_as_many_threads_as_there_is_work(void **state)
{
    run(*state, let_all_meet, NJOBS, 0);
}

static int crowd(void *argument)
{
    struct scene *scene = argument;
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    for (int i = 0; i < NJOBS; i++)
        coro_group_spawn(&group, run_wait_for_leave, scene, NULL);
    while (atomic_load(&scene->nrunning) < 2)
        coro_relax();
    scene->nthreads = coro_executor_nthreads();
    atomic_store(&scene->may_go, true);
    return coro_group_wait(&group, CORO_NEVER);
}

static void there_are_no_more_threads_than_allowed(void **state)
{
    struct scene *scene = *state;
    run(scene, crowd, 2, 0);
    assert_int_equal(scene->nthreads, 2);
    assert_int_equal(atomic_load(&scene->most_running), 2);
    assert_int_equal(atomic_load(&scene->nended), NJOBS);
}

static int stand_in_line(void *argument)
{
    struct scene *scene = argument;
    struct coro_group group;
    struct job jobs[NJOBS];
    coro_group_init(&group, coro_loop_current());
    for (int i = 0; i < NJOBS; i++) {
        jobs[i] = (struct job){scene, i};
        coro_group_spawn(&group, run_note_order, &jobs[i], NULL);
    }
    return coro_group_wait(&group, CORO_NEVER);
}

static void what_waits_for_a_thread_is_served_in_its_order(void **state)
{
    struct scene *scene = *state;
    run(scene, stand_in_line, 1, 0);
    for (int i = 0; i < NJOBS; i++)
        assert_int_equal(scene->order[i], i);
}

static int idle_and_work_again(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++) {
        scene->status =
            coro_run_in_thread(answer, NULL, CORO_NEVER, &scene->result);
        while (coro_executor_nthreads() > 0)
            coro_sleep(1);
    }
    /* The news of their end has come by now, or comes when the loop ends. */
    return coro_sleep(1);
}

static void idle_threads_end_and_others_take_their_place(void **state)
{
    struct scene *scene = *state;
    run(scene, idle_and_work_again, 0, 1);
    assert_int_equal(scene->status, 0);
    assert_int_equal(scene->result, 42);
}

static int work_many_times(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 200 && scene->status == 0; i++)
        scene->status =
            coro_run_in_thread(answer, NULL, CORO_NEVER, &scene->result);
    scene->nthreads = coro_executor_nthreads();
    return 0;
}

static void an_idle_thread_is_used_again(void **state)
{
    struct scene *scene = *state;
    run(scene, work_many_times, 8, 0);
    assert_int_equal(scene->status, 0);
    assert_int_equal(scene->nthreads, 1);
}

static int note_signals(void *argument)
{
    sigset_t blocked;
    (void)argument;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) &&
           sigismember(&blocked, SIGUSR1);
}

static int ask_for_signals(void *argument)
{
    struct scene *scene = argument;
    return coro_run_in_thread(note_signals, NULL, CORO_NEVER, &scene->result);
}

static void no_signal_reaches_a_thread(void **state)
{
    struct scene *scene = *state;
    run(scene, ask_for_signals, 0, 0);
    assert_int_equal(scene->result, 1);
}

/* --- nobody waits any more ------------------------------------------------ */

static int run_dropped(void *argument)
{
    struct scene *scene = argument;
    const struct coro_thread_work work = {
        .function = wait_for_leave, .argument = scene, .drop = drop};
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
        .function = wait_for_leave, .argument = scene, .drop = drop};
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
        .function = wait_for_leave, .argument = scene, .drop = drop};
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
        executor_test(a_result_comes_back_from_a_thread),
        executor_test(a_loop_that_needs_no_threads_has_none),
        executor_test(work_runs_in_as_many_threads_as_there_is_work),
        executor_test(there_are_no_more_threads_than_allowed),
        executor_test(what_waits_for_a_thread_is_served_in_its_order),
        executor_test(idle_threads_end_and_others_take_their_place),
        executor_test(an_idle_thread_is_used_again),
        executor_test(no_signal_reaches_a_thread),
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
