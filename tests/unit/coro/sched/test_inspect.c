/*
 * What can be seen of one task: what it waits for, who waits for it, since
 * when, how deep, where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/core/symbol.h"
#include "coro/sched/await.h"
#include "coro/sched/gather.h"
#include "coro/sched/group.h"
#include "tests/unit/coro/sched/dump_scene.h"

static const char *calls_of(const struct coro_inspection *inspection)
{
    static char text[1000];
    struct coro_symbols symbols;
    coro_symbols_open(&symbols);
    coro_inspection_calls(inspection, &symbols, text, sizeof text);
    coro_symbols_close(&symbols);
    return text;
}

/* --- one task ------------------------------------------------------------ */

static void a_task_that_waits_in_a_list_tells_its_name(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(consume);
    assert_int_equal(inspection.state, CORO_TASK_WAITING);
    assert_string_equal(inspection.waits_for, "scene.shelf");
    assert_true(inspection.deadline_ms == CORO_NEVER);
    assert_string_equal(inspection.name, "inspected");
    assert_true(inspection.id > 0);
}

static void a_task_that_waits_for_a_future_says_so(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(await);
    assert_string_equal(inspection.waits_for, "future");
}

static void a_task_that_sleeps_tells_until_when(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(doze);
    assert_string_equal(inspection.waits_for, "sleep");
    assert_in_range(inspection.deadline_ms - inspection.since_ms, 4900, 5100);
}

static void a_task_that_has_not_run_waits_for_nothing(void **state)
{
    (void)state;
    struct coro_inspection inspection;
    struct coro_task *task = spawn(consume, "new");
    coro_task_inspect(task, &inspection);
    coro_task_unref(task);
    assert_int_equal(inspection.state, CORO_TASK_NEW);
    assert_string_equal(inspection.waits_for, "");
    assert_string_equal(coro_task_state_name(inspection.state), "new");
}

static void a_task_that_has_ended_is_where_nobody_is(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(let_run);
    assert_int_equal(inspection.state, CORO_TASK_DONE);
    assert_int_equal(inspection.nframes, 0);
    assert_string_equal(calls_of(&inspection), "");
}

static void its_calls_go_from_where_it_waits_to_its_entry(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(consume);
    const char *calls = calls_of(&inspection);
    assert_non_null(strstr(calls, "take_item < consume < "
                                  "task_main"));
    assert_null(strstr(calls, "suspend"));
}

static void calls_that_do_not_fit_are_left_out(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(consume);
    struct coro_symbols symbols;
    char text[24];
    coro_symbols_open(&symbols);
    coro_inspection_calls(&inspection, &symbols, text, sizeof text);
    coro_symbols_close(&symbols);
    assert_true(strlen(text) < sizeof text);
    assert_non_null(strstr(text, "…"));
    assert_null(strstr(text, "task_main"));
}

static struct coro_inspection seen;

static __attribute__((noinline)) void look_at_myself(void)
{
    coro_task_inspect(coro_task_current(), &seen);
    KEEP;
}

static int look(void *argument)
{
    (void)argument;
    look_at_myself();
    KEEP;
    return 0;
}

static void a_task_can_look_at_itself(void **state)
{
    (void)state;
    inspect(look);
    assert_int_equal(seen.state, CORO_TASK_RUNNING);
    assert_non_null(strstr(calls_of(&seen), "look_at_myself < look < "));
}

static __attribute__((noinline)) int use_much_stack(void)
{
    volatile char block[20000];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 1;
    return block[100];
}

static int use_much_and_wait(void *argument)
{
    (void)argument;
    use_much_stack();
    return coro_sleep_until(CORO_NEVER);
}

static void the_deepest_that_its_stack_ever_was_is_told(void **state)
{
    (void)state;
    struct coro_inspection shallow = inspect(doze);
    struct coro_inspection deep = inspect(use_much_and_wait);
    assert_in_range(shallow.high_water_bytes, 1, 20000);
    assert_in_range(deep.high_water_bytes, 20000, 60000);
    assert_in_range(deep.stack_bytes, deep.high_water_bytes, 65536);
}

/* --- who waits for whom -------------------------------------------------- */

static int await_item_of(void *task)
{
    int status = coro_await(task, CORO_NEVER);
    KEEP;
    return status;
}

static struct coro_task *spawn_with(coro_task_fn *function, void *argument,
                                    const char *name)
{
    struct coro_task *task = NULL;
    const struct coro_spawn_options options = {.name = name};
    assert_int_equal(
        coro_spawn(scene.loop, function, argument, &options, &task), 0);
    return task;
}

static struct coro_inspection inspect_task(const struct coro_task *task)
{
    struct coro_inspection inspection;
    coro_task_inspect(task, &inspection);
    return inspection;
}

static void a_task_tells_whose_end_it_waits_for(void **state)
{
    (void)state;
    struct coro_task *awaited = spawn(consume, "awaited");
    struct coro_task *awaiter = spawn_with(await_item_of, awaited, "awaiter");
    struct coro_task *another = spawn_with(await_item_of, awaited, "another");
    settle();
    struct coro_inspection waits = inspect_task(awaiter);
    struct coro_inspection is_awaited = inspect_task(awaited);
    assert_string_equal(waits.waits_for, "task 1 'awaited'");
    assert_string_equal(waits.awaited_by, "");
    assert_string_equal(is_awaited.waits_for, "scene.shelf");
    assert_string_equal(is_awaited.awaited_by, "task 2 'awaiter' and 1 more");
    coro_wake_first(&scene.shelf, 0);
    settle();
    assert_string_equal(inspect_task(awaiter).waits_for, "");
    coro_task_unref(awaited);
    coro_task_unref(awaiter);
    coro_task_unref(another);
}

#define NMANY 3

static int gather_items(void *argument)
{
    int status =
        coro_gather(argument, NMANY, CORO_RAISE_ERRORS, CORO_NEVER, NULL);
    KEEP;
    return status;
}

static void a_gather_tells_how_many_are_left(void **state)
{
    (void)state;
    struct coro_task *tasks[NMANY];
    for (size_t i = 0; i < NMANY; i++)
        tasks[i] = spawn(consume, "item");
    struct coro_task *gatherer = spawn_with(gather_items, tasks, "gatherer");
    settle();
    assert_string_equal(inspect_task(gatherer).waits_for,
                        "task 1 'item' and 2 more");
    assert_string_equal(inspect_task(tasks[2]).awaited_by, "task 4 'gatherer'");
    coro_wake_first(&scene.shelf, 0);
    settle();
    assert_string_equal(inspect_task(gatherer).waits_for,
                        "task 2 'item' and 1 more");
    coro_task_unref(gatherer);
    for (size_t i = 0; i < NMANY; i++)
        coro_task_unref(tasks[i]);
    coro_loop_free(scene.loop);
    scene.loop = NULL;
}

static int own_a_group(void *argument)
{
    struct coro_group group;
    const struct coro_spawn_options options = {.name = "member"};
    coro_group_begin(&group);
    int status = coro_group_spawn(&group, consume, argument, &options);
    if (status == 0)
        status = coro_group_spawn(&group, consume, argument, &options);
    return coro_group_end(&group, status);
}

static void the_owner_of_a_group_waits_for_its_members(void **state)
{
    (void)state;
    struct coro_task *owner = spawn(own_a_group, "owner");
    settle();
    settle();
    assert_string_equal(inspect_task(owner).waits_for,
                        "task 3 'member' and 1 more");
    coro_task_unref(owner);
    coro_dump(scene.loop, collect, NULL);
    const char *member = strstr(scene.text, "task 3 'member' has waited for "
                                            "scene.shelf for 0.");
    assert_non_null(member);
    assert_non_null(strstr(member, "s; awaited by task 1 'owner'; stack "));
}

static void those_that_are_alike_tell_each_for_whom_they_wait(void **state)
{
    (void)state;
    struct coro_task *tasks[NMANY];
    for (size_t i = 0; i < NMANY; i++)
        tasks[i] = spawn(consume, "item");
    for (size_t i = 0; i < NMANY; i++)
        coro_task_unref(spawn_with(await_item_of, tasks[i], "awaiter"));
    settle();
    coro_dump(scene.loop, collect, NULL);
    const char *first = strstr(scene.text, "task 4 'awaiter' has waited for "
                                           "task 1 'item' for 0.");
    assert_non_null(first);
    assert_non_null(strstr(first, "    and 2 more like it: 5→2 6→3\n"));
    for (size_t i = 0; i < NMANY; i++)
        coro_task_unref(tasks[i]);
}

static int await_work(void *argument)
{
    (void)argument;
    return coro_remote_await(scene.remote, CORO_NEVER);
}

static void a_wait_for_a_thread_or_another_loop_says_so(void **state)
{
    (void)state;
    struct coro_loop *other;
    assert_int_equal(coro_loop_new(NULL, &other), 0);
    assert_int_equal(coro_submit(other, let_run, NULL, &scene.remote), 0);
    struct coro_inspection inspection = inspect(await_work);
    assert_string_equal(inspection.waits_for, "a task of another loop");
    coro_loop_free(other);
    /* Whoever waits for it uses it until it has ended. */
    coro_loop_free(scene.loop);
    scene.loop = NULL;
    coro_remote_unref(scene.remote);
}

/* --- generators ---------------------------------------------------------- */

static int resume_generator(void *argument, void **ret_value)
{
    struct coro_gen *gen;
    (void)ret_value;
    int status = coro_gen_new(wait_in_generator, argument, NULL, &gen);
    if (status < 0)
        return status;
    status = coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    return status;
}

static int resume_two(void *argument)
{
    struct coro_gen *gen;
    int status = coro_gen_new(resume_generator, argument, NULL, &gen);
    if (status < 0)
        return status;
    status = coro_gen_next(gen, NULL);
    coro_gen_free(gen);
    return status;
}

static void calls_in_a_generator_go_on_where_it_was_resumed(void **state)
{
    (void)state;
    struct coro_inspection inspection = inspect(resume_two);
    const char *calls = calls_of(&inspection);
    const char *inner = strstr(calls, "await < wait_in_generator < gen_main");
    assert_non_null(inner);
    const char *outer = strstr(inner, "resume_generator < gen_main");
    assert_non_null(outer);
    assert_non_null(strstr(outer, "resume_two < task_main"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        dump_test(a_task_that_waits_in_a_list_tells_its_name),
        dump_test(a_task_that_waits_for_a_future_says_so),
        dump_test(a_task_that_sleeps_tells_until_when),
        dump_test(a_task_that_has_not_run_waits_for_nothing),
        dump_test(a_task_that_has_ended_is_where_nobody_is),
        dump_test(its_calls_go_from_where_it_waits_to_its_entry),
        dump_test(calls_that_do_not_fit_are_left_out),
        dump_test(a_task_can_look_at_itself),
        dump_test(the_deepest_that_its_stack_ever_was_is_told),
        dump_test(a_task_tells_whose_end_it_waits_for),
        dump_test(a_gather_tells_how_many_are_left),
        dump_test(the_owner_of_a_group_waits_for_its_members),
        dump_test(those_that_are_alike_tell_each_for_whom_they_wait),
        dump_test(a_wait_for_a_thread_or_another_loop_says_so),
        dump_test(calls_in_a_generator_go_on_where_it_was_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
