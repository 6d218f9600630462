/*
 * The executor: blocking work in threads, and how many threads there are.
 */
#include <pthread.h>
#include <signal.h>

#include "coro/sched/group.h"
#include "tests/unit/coro/sched/executor_scene.h"

struct job {
    struct scene *scene;
    int number;
};

/* --- work ----------------------------------------------------------------- */

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
