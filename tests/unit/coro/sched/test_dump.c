/*
 * The whole dump: every task and every generator, those alike together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/coro/sched/dump_scene.h"

/* --- generators that stand still ------------------------------------------ */

static int yield_for_ever(void *argument, void **ret_value)
{
    int status;
    (void)ret_value;
    do
        status = coro_yield(argument, NULL);
    while (status == 0);
    return status;
}

static struct coro_gen *make_gen(const char *name, bool begins)
{
    struct coro_gen *gen = NULL;
    const struct coro_gen_options options = {.name = name};
    assert_int_equal(coro_gen_new(yield_for_ever, NULL, &options, &gen), 0);
    if (begins)
        assert_int_equal(coro_gen_next(gen, NULL), 1);
    return gen;
}

static void generators_outside_of_tasks_are_listed(void **state)
{
    (void)state;
    struct coro_gen *gens[4];
    for (size_t i = 0; i < 3; i++)
        gens[i] = make_gen("counter", true);
    gens[3] = make_gen("fresh", false);
    coro_dump(scene.loop, collect, NULL);
    for (size_t i = 0; i < 4; i++)
        coro_gen_free(gens[i]);
    assert_as_expected();
    assert_int_equal(strncmp(scene.text, "0 tasks\n4 generators\n", 21), 0);
    const char *first =
        strstr(scene.text, "generator 'counter' is suspended; made outside of "
                           "tasks; stack ");
    assert_non_null(first);
    first = strstr(first, "    yield_for_ever+0x");
    assert_non_null(first);
    assert_null(strstr(scene.text, "coro_yield+"));
    first = strstr(first, "    and 2 more like it\n");
    assert_non_null(first);
    assert_non_null(strstr(first, "generator 'fresh' is created; made "));
    scene.len = 0;
    coro_dump(scene.loop, collect, NULL);
    assert_string_equal(scene.text, "0 tasks\n");
}

static int wait_in_named_generator(void *argument)
{
    struct coro_gen *gen, *closed;
    (void)argument;
    const struct coro_gen_options options = {.name = "waiter"};
    const struct coro_gen_options closes = {.name = "over"};
    int status = coro_gen_new(wait_in_generator, NULL, &options, &gen);
    if (status < 0)
        return status;
    status = coro_gen_new(yield_for_ever, NULL, &closes, &closed);
    if (status == 0) {
        coro_gen_close(closed);
        status = coro_gen_next(gen, NULL);
        coro_gen_free(closed);
    }
    coro_gen_free(gen);
    return status;
}

static void generators_in_tasks_tell_in_which(void **state)
{
    (void)state;
    coro_task_unref(spawn(wait_in_named_generator, "user"));
    settle();
    coro_dump(scene.loop, collect, NULL);
    assert_as_expected();
    const char *list = strstr(scene.text, "\n2 generators\n");
    assert_non_null(list);
    assert_non_null(strstr(list, "generator 'waiter' is running in task 1 "
                                 "'user'; made by task 1; stack "));
    assert_non_null(strstr(list, "generator 'over' is closed; made by task 1"));
}

/* --- the whole dump ------------------------------------------------------ */

static void a_dump_tells_of_each_task(void **state)
{
    (void)state;
    coro_task_unref(spawn(consume, "consumer"));
    coro_task_unref(spawn(doze, "dozer"));
    settle();
    coro_task_unref(spawn(await, "newcomer"));
    coro_dump(scene.loop, collect, NULL);
    assert_as_expected();
    assert_int_equal(strncmp(scene.text, "3 tasks\n", 8), 0);
    assert_non_null(strstr(scene.text, "task 1 'consumer' has waited for "
                                       "scene.shelf for 0."));
    assert_non_null(strstr(scene.text, "    take_item+0x"));
    const char *dozer = strstr(scene.text, "task 2 'dozer' has waited for "
                                           "sleep for 0.");
    assert_non_null(dozer);
    assert_non_null(strstr(dozer, "s, at most "));
    assert_non_null(strstr(dozer, "task 4 'newcomer' has been new for 0."));
}

static void tasks_that_are_alike_are_told_of_together(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        coro_task_unref(spawn(consume, "consumer"));
    coro_task_unref(spawn(consume, "another"));
    settle();
    coro_dump(scene.loop, collect, NULL);
    assert_as_expected();
    assert_int_equal(strncmp(scene.text, "101 tasks\n", 10), 0);
    assert_non_null(strstr(scene.text, "and 99 more like it: 2 3 4 5 "));
    assert_non_null(strstr(scene.text, " 17 …\n"));
    const char *first = strstr(scene.text, "'consumer'");
    assert_non_null(first);
    assert_null(strstr(first + 1, "'consumer'"));
    assert_non_null(strstr(scene.text, "task 101 'another'"));
}

static int dump_from_inside(void *argument)
{
    (void)argument;
    coro_dump(scene.loop, collect, NULL);
    KEEP;
    return 0;
}

static void a_task_can_ask_for_it(void **state)
{
    (void)state;
    struct coro_task *task = spawn(dump_from_inside, "asker");
    coro_loop_run_until_complete(scene.loop, task, NULL);
    coro_task_unref(task);
    assert_as_expected();
    assert_non_null(strstr(scene.text, "'asker' has been running for"));
    assert_non_null(strstr(scene.text, "    dump_from_inside+0x"));
}

static void it_can_go_to_a_descriptor(void **state)
{
    (void)state;
    int ends[2];
    char text[100] = "";
    coro_task_unref(spawn(consume, "consumer"));
    assert_int_equal(pipe(ends), 0);
    coro_dump_fd(scene.loop, ends[1]);
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    assert_int_equal(strncmp(text, "1 tasks\ntask 1 'consumer'", 25), 0);
}

static void looking_resumes_nobody_and_takes_no_memory_of_theirs(void **state)
{
    (void)state;
    struct coro_inspection before = inspect(await);
    struct coro_task *task = spawn(await, "another");
    settle();
    for (int i = 0; i < 10; i++)
        coro_dump(scene.loop, collect, NULL);
    struct coro_inspection after;
    coro_task_inspect(task, &after);
    coro_task_unref(task);
    assert_int_equal(after.state, CORO_TASK_WAITING);
    assert_int_equal(after.nframes, before.nframes);
    assert_true(after.high_water_bytes <= before.high_water_bytes);
    coro_future_set(&scene.future, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        dump_test(generators_outside_of_tasks_are_listed),
        dump_test(generators_in_tasks_tell_in_which),
        dump_test(a_dump_tells_of_each_task),
        dump_test(tasks_that_are_alike_are_told_of_together),
        dump_test(a_task_can_ask_for_it),
        dump_test(it_can_go_to_a_descriptor),
        dump_test(looking_resumes_nobody_and_takes_no_memory_of_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
