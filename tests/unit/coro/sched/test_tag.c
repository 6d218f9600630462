#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coro/coro.h"
#include "tests/support/task_test.h"
#include "tests/unit/coro/sched/thread_loop.h"

static int read_tag(void *ret_tag)
{
    *(uint64_t *)ret_tag = coro_tag();
    return 0;
}

static void note_tag(void *ret_tag)
{
    *(uint64_t *)ret_tag = coro_tag();
}

/* --- whom it reaches ------------------------------------------------------ */

static int a_task_has_the_tag_of_the_one_that_spawned_it(void *argument)
{
    (void)argument;
    uint64_t before = 1, with = 0;
    expect_that(coro_tag() == 0);
    struct coro_task *early = task_start(read_tag, &before);
    coro_tag_set(7);
    struct coro_task *late = task_start(read_tag, &with);
    coro_tag_set(8);
    task_end(early);
    task_end(late);
    expect_that(before == 0);
    expect_that(with == 7);
    expect_that(coro_tag() == 8);
    return 0;
}

/* Changes its tag whenever another task has run. */
static int change_tag(void *argument)
{
    uint64_t first = *(uint64_t *)argument;
    for (uint64_t tag = first; tag < first + 100; tag++) {
        coro_tag_set(tag);
        coro_relax();
        expect_that(coro_tag() == tag);
    }
    return 0;
}

static int each_task_has_its_own(void *argument)
{
    (void)argument;
    uint64_t first[] = {1000, 2000, 3000};
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    for (int i = 0; i < 3; i++)
        coro_group_spawn(&group, change_tag, &first[i], NULL);
    coro_group_wait(&group, CORO_NEVER);
    expect_that(coro_tag() == 0);
    return 0;
}

static int spawn_in_group(void *argument)
{
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    coro_group_spawn(&group, read_tag, argument, NULL);
    return coro_group_wait(&group, CORO_NEVER);
}

static int a_group_s_tasks_and_theirs_have_it_too(void *argument)
{
    (void)argument;
    uint64_t found = 0;
    coro_tag_set(7);
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    coro_group_spawn(&group, spawn_in_group, &found, NULL);
    coro_group_wait(&group, CORO_NEVER);
    expect_that(found == 7);
    return 0;
}

static int work_in_a_thread_has_it_while_it_runs(void *argument)
{
    (void)argument;
    uint64_t with = 0, without = 1;
    coro_tag_set(7);
    coro_run_in_thread(read_tag, &with, CORO_NEVER, NULL);
    coro_tag_set(0);
    coro_run_in_thread(read_tag, &without, CORO_NEVER, NULL);
    expect_that(with == 7);
    expect_that(without == 0);
    return 0;
}

/* What a thread's work asks of the loop. */
struct request {
    struct coro_loop *loop;
    uint64_t in_task;
    uint64_t in_call;
    uint64_t in_own_loop;
};

static int ask_the_loop(void *argument)
{
    struct request *request = argument;
    struct coro_remote *remote;
    expect_that(coro_call_soon_threadsafe(request->loop, note_tag,
                                          &request->in_call) == 0);
    expect_that(
        coro_submit(request->loop, read_tag, &request->in_task, &remote) == 0);
    coro_remote_result(remote, CORO_NEVER, NULL);
    coro_remote_unref(remote);
    coro_run(read_tag, &request->in_own_loop, NULL);
    return 0;
}

static int what_such_work_asks_of_a_loop_has_it_again(void *argument)
{
    (void)argument;
    struct request request = {.loop = coro_loop_current()};
    coro_tag_set(7);
    coro_run_in_thread(ask_the_loop, &request, CORO_NEVER, NULL);
    expect_that(request.in_task == 7);
    expect_that(request.in_call == 7);
    expect_that(request.in_own_loop == 7);
    return 0;
}

static int a_call_has_the_tag_of_who_ordered_it(void *argument)
{
    (void)argument;
    uint64_t soon = 0, later = 0;
    struct coro_call first = {0}, second = {0};
    coro_tag_set(7);
    coro_call_soon(coro_loop_current(), &first, note_tag, &soon);
    coro_call_later(coro_loop_current(), &second, 1, note_tag, &later);
    coro_tag_set(8);
    coro_sleep(2);
    expect_that(soon == 7);
    expect_that(later == 7);
    return 0;
}

static int what_is_done_on_the_loop_s_stack_has_it(void *argument)
{
    (void)argument;
    uint64_t found = 0;
    coro_tag_set(7);
    coro_call_on_loop_stack(note_tag, &found);
    expect_that(found == 7);
    expect_that(coro_tag() == 7);
    return 0;
}

static int return_place(void *ret_tag)
{
    coro_tag_set(9);
    return coro_task_return(ret_tag, note_tag);
}

static int a_value_is_freed_with_the_tag_of_the_task_that_returned_it(
    void *argument)
{
    (void)argument;
    uint64_t found = 0;
    coro_tag_set(7);
    task_end(task_start(return_place, &found));
    expect_that(found == 9);
    expect_that(coro_tag() == 7);
    return 0;
}

static int yield_tags(void *argument, void **ret_value)
{
    uint64_t *found = argument;
    (void)ret_value;
    found[0] = coro_tag();
    coro_yield(NULL, NULL);
    found[1] = coro_tag();
    return 0;
}

static int resume(void *generator)
{
    coro_tag_set(8);
    return coro_gen_next(generator, NULL);
}

static int a_generator_does_the_work_of_who_resumes_it(void *argument)
{
    (void)argument;
    uint64_t found[2] = {0};
    struct coro_gen *gen;
    coro_tag_set(7);
    coro_gen_new(yield_tags, found, NULL, &gen);
    coro_gen_next(gen, NULL);
    task_end(task_start(resume, gen));
    coro_gen_free(gen);
    expect_that(found[0] == 7);
    expect_that(found[1] == 8);
    return 0;
}

static int defer_note(void *ret_tag)
{
    coro_tag_set(7);
    expect_that(coro_defer(note_tag, ret_tag) == 0);
    while (coro_sleep_until(CORO_NEVER) < 0)
        ;
    return 0;
}

static int start_stubborn(void *ret_tag)
{
    task_settle();
    coro_spawn(coro_loop_current(), defer_note, ret_tag, NULL, NULL);
    return coro_relax();
}

static void a_task_that_is_dropped_cleans_up_with_its_own(void **state)
{
    (void)state;
    uint64_t found = 0;
    coro_run(start_stubborn, &found, NULL);
    assert_int_equal(found, 7);
    assert_int_equal(coro_tag(), 0);
    assert_as_expected();
}

/* --- in a signal handler -------------------------------------------------- */

static volatile uint64_t seen_by_handler;

static void on_signal(int number)
{
    (void)number;
    seen_by_handler = coro_tag();
}

static int a_signal_handler_can_read_it(void *argument)
{
    (void)argument;
    signal(SIGUSR1, on_signal);
    coro_tag_set(7);
    raise(SIGUSR1);
    expect_that(seen_by_handler == 7);
    signal(SIGUSR1, SIG_DFL);
    return 0;
}

/* --- the pulse ------------------------------------------------------------ */

/* A loop in another thread, in which a task does what it is told. */
struct watched {
    struct thread_loop other;
    struct coro_remote *remote;
    atomic_int stage;
    atomic_int wanted; /* it goes on when this is reached */
};

static void hold(struct watched *watched, int stage)
{
    atomic_store(&watched->stage, stage);
    while (atomic_load(&watched->wanted) < stage)
        sched_yield();
}

static void hold_third(void *argument)
{
    hold(argument, 3);
}

static int be_watched(void *argument)
{
    struct watched *watched = argument;
    coro_tag_set(7);
    hold(watched, 1);
    coro_relax();
    hold(watched, 2);
    coro_call_on_loop_stack(hold_third, watched);
    hold(watched, 4);
    coro_tag_set(8);
    hold(watched, 5);
    return 0;
}

static struct coro_pulse pulse_at(struct watched *watched, int stage)
{
    struct coro_pulse pulse;
    atomic_store(&watched->wanted, stage - 1);
    while (atomic_load(&watched->stage) < stage)
        sched_yield();
    coro_loop_pulse(watched->other.loop, &pulse);
    return pulse;
}

static void start_watched(struct watched *watched)
{
    thread_loop_start(&watched->other, NULL);
    /* A loop that does not run yet refuses nothing. */
    assert_int_equal(
        coro_submit(watched->other.loop, be_watched, watched, &watched->remote),
        0);
}

static void end_watched(struct watched *watched)
{
    atomic_store(&watched->wanted, 5);
    coro_remote_result(watched->remote, CORO_NEVER, NULL);
    coro_remote_unref(watched->remote);
    thread_loop_stop(&watched->other);
    coro_loop_free(watched->other.loop);
}

static bool are_equal(struct coro_pulse a, struct coro_pulse b)
{
    return a.turns == b.turns && a.task == b.task && a.tag == b.tag;
}

static void a_pulse_stands_still_as_long_as_one_task_runs(void **state)
{
    (void)state;
    struct watched watched = {0};
    start_watched(&watched);
    struct coro_pulse first = pulse_at(&watched, 1);
    assert_true(first.task != 0);
    assert_int_equal(first.tag, 7);
    assert_false(first.is_asleep);
    assert_true(are_equal(first, pulse_at(&watched, 1)));
    struct coro_pulse second = pulse_at(&watched, 2);
    assert_true(second.turns > first.turns);
    assert_true(second.task == first.task);
    /* Neither the loop's stack nor the way back from there is a switch. */
    assert_true(are_equal(second, pulse_at(&watched, 3)));
    assert_true(are_equal(second, pulse_at(&watched, 4)));
    struct coro_pulse last = pulse_at(&watched, 5);
    assert_int_equal(last.turns, second.turns);
    assert_int_equal(last.tag, 8);
    end_watched(&watched);
}

static void a_loop_with_nothing_to_do_is_seen_asleep(void **state)
{
    (void)state;
    struct thread_loop other;
    struct coro_pulse pulse;
    thread_loop_start(&other, NULL);
    do
        coro_loop_pulse(other.loop, &pulse);
    while (!pulse.is_asleep);
    assert_int_equal(pulse.task, 0);
    assert_int_equal(pulse.tag, 0);
    thread_loop_stop(&other);
    coro_loop_free(other.loop);
}

#define SWARM 20000

static int relax_with_tag(void *argument)
{
    (void)argument;
    coro_tag_set(7);
    return coro_relax();
}

static int swarm(void *argument)
{
    atomic_bool *is_over = argument;
    for (int i = 0; i < SWARM; i++)
        task_end(task_start(relax_with_tag, NULL));
    atomic_store(is_over, true);
    return 0;
}

/* Tasks come and go meanwhile, and each has the tag 7 or none. */
static void a_pulse_can_be_read_while_tasks_come_and_go(void **state)
{
    (void)state;
    struct thread_loop other;
    atomic_bool is_over = false;
    thread_loop_start(&other, NULL);
    assert_int_equal(coro_submit(other.loop, swarm, &is_over, NULL), 0);
    while (!atomic_load(&is_over)) {
        struct coro_pulse pulse;
        coro_loop_pulse(other.loop, &pulse);
        if (!record_expectation(pulse.tag == 0 || pulse.tag == 7, "tag",
                                __FILE__, __LINE__))
            break;
    }
    thread_loop_stop(&other);
    coro_loop_free(other.loop);
    assert_as_expected();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(a_task_has_the_tag_of_the_one_that_spawned_it),
        task_test(each_task_has_its_own),
        task_test(a_group_s_tasks_and_theirs_have_it_too),
        task_test(work_in_a_thread_has_it_while_it_runs),
        task_test(what_such_work_asks_of_a_loop_has_it_again),
        task_test(a_call_has_the_tag_of_who_ordered_it),
        task_test(what_is_done_on_the_loop_s_stack_has_it),
        task_test(a_value_is_freed_with_the_tag_of_the_task_that_returned_it),
        task_test(a_generator_does_the_work_of_who_resumes_it),
        cmocka_unit_test(a_task_that_is_dropped_cleans_up_with_its_own),
        task_test(a_signal_handler_can_read_it),
        cmocka_unit_test(a_pulse_stands_still_as_long_as_one_task_runs),
        cmocka_unit_test(a_loop_with_nothing_to_do_is_seen_asleep),
        cmocka_unit_test(a_pulse_can_be_read_while_tasks_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
