/*
 * What a dump tells of tasks: what each waits for, since when, how deep, where.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/core/symbol.h"
#include "coro/sched/dump.h"
#include "coro/sched/future.h"
#include "coro/sched/generator.h"
#include "coro/sched/schedule.h"
#include "tests/support/record.h"

static struct {
    struct coro_loop *loop;
    struct list shelf; /* of tasks that wait for an item */
    struct coro_future future;
    char text[65536];
    size_t len;
} scene;

static void collect(void *argument, const char *text, size_t len)
{
    (void)argument;
    expect_that(len > 0 && text[len - 1] == '\n');
    expect_that(!memchr(text, '\n', len - 1));
    if (scene.len + len >= sizeof scene.text)
        return;
    memcpy(scene.text + scene.len, text, len);
    scene.len += len;
    scene.text[scene.len] = '\0';
}

static int begin(void **state)
{
    (void)state;
    scene.len = 0;
    scene.text[0] = '\0';
    coro_future_init(&scene.future);
    list_init(&scene.shelf);
    return coro_loop_new(NULL, &scene.loop) < 0;
}

static int end(void **state)
{
    (void)state;
    coro_loop_free(scene.loop);
    return 0;
}

/* Frames that are there: what follows the call keeps it from being a jump. */
#define KEEP __asm__ volatile("" : : : "memory")

static __attribute__((noinline)) int take_item(void)
{
    int status = coro_park(&scene.shelf, CORO_NEVER);
    KEEP;
    return status;
}

static int consume(void *argument)
{
    (void)argument;
    int status = take_item();
    KEEP;
    return status;
}

static int doze(void *argument)
{
    (void)argument;
    int status = coro_sleep(5000);
    KEEP;
    return status;
}

static __attribute__((noinline)) int await(void *argument)
{
    (void)argument;
    int status = coro_future_wait(&scene.future, CORO_NEVER);
    KEEP;
    return status;
}

static struct coro_task *spawn(coro_task_fn *function, const char *name)
{
    struct coro_task *task = NULL;
    const struct coro_spawn_options options = {.name = name};
    assert_int_equal(coro_spawn(scene.loop, function, NULL, &options, &task),
                     0);
    return task;
}

static int let_run(void *argument)
{
    (void)argument;
    return coro_relax();
}

/* Lets all tasks run until they wait. */
static void settle(void)
{
    struct coro_task *task = spawn(let_run, "settle");
    coro_loop_run_until_complete(scene.loop, task, NULL);
    coro_task_unref(task);
}

static struct coro_inspection inspect(coro_task_fn *function)
{
    struct coro_inspection inspection;
    struct coro_task *task = spawn(function, "inspected");
    settle();
    coro_task_inspect(task, &inspection);
    coro_task_unref(task);
    return inspection;
}

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

/* --- generators ---------------------------------------------------------- */

static int wait_in_generator(void *argument, void **ret_value)
{
    (void)ret_value;
    int status = await(argument);
    KEEP;
    return status;
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_that_waits_in_a_list_tells_its_name),
        TEST(a_task_that_waits_for_a_future_says_so),
        TEST(a_task_that_sleeps_tells_until_when),
        TEST(a_task_that_has_not_run_waits_for_nothing),
        TEST(a_task_that_has_ended_is_where_nobody_is),
        TEST(its_calls_go_from_where_it_waits_to_its_entry),
        TEST(calls_that_do_not_fit_are_left_out),
        TEST(a_task_can_look_at_itself),
        TEST(the_deepest_that_its_stack_ever_was_is_told),
        TEST(calls_in_a_generator_go_on_where_it_was_resumed),
        TEST(a_dump_tells_of_each_task),
        TEST(tasks_that_are_alike_are_told_of_together),
        TEST(a_task_can_ask_for_it),
        TEST(it_can_go_to_a_descriptor),
        TEST(looking_resumes_nobody_and_takes_no_memory_of_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
