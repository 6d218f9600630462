/*
 * The examples that take jobs from Redis, with a real one.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/program.h"
#include "tests/support/redis_server.h"
#include "tests/support/wait.h"

struct scene {
    struct redis_server redis;
    struct program program;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    if (!scene)
        return -1;
    redis_server_start(&scene->redis, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    program_release(&scene->program);
    redis_server_release(&scene->redis);
    free(scene);
    return 0;
}

/* How often @text is in what was printed. */
static size_t count(struct scene *scene, const char *text)
{
    size_t n = 0;
    for (const char *at = program_output(&scene->program);
         (at = strstr(at, text)); at++)
        n++;
    return n;
}

struct output_wait {
    struct scene *scene;
    const char *text;
    size_t ntimes;
};

static bool is_over(void *argument)
{
    struct output_wait *wait = argument;
    return !program_is_running(&wait->scene->program) ||
           count(wait->scene, wait->text) >= wait->ntimes;
}

/* Waits until @text was printed so many times. */
static void assert_prints(struct scene *scene, const char *text, size_t ntimes)
{
    struct output_wait wait = {scene, text, ntimes};
    wait_until(is_over, &wait, PATIENCE_MS);
    assert_int_equal(count(scene, text), ntimes);
}

static int interrupt(struct scene *scene)
{
    program_signal(&scene->program, SIGINT);
    return program_wait_exit(&scene->program, PATIENCE_MS);
}

static void start(struct scene *scene, const char *name, const char *unit,
                  const char *form)
{
    program_start_with(
        &scene->program,
        &(struct program_options){
            .name = name,
            .arguments = PROGRAM_ARGS(unit, redis_url(&scene->redis), form)});
}

/* --- master and worker ---------------------------------------------------- */

static void take_and_work(struct scene *scene, const char *form)
{
    redis_do(&scene->redis, "LPUSH queue 6 4");
    start(scene, "examples/master_worker", "0.05", form);
    assert_prints(scene, "Done after ", 2);
    const char *four = strstr(program_output(&scene->program), "after 4s");
    const char *six = strstr(program_output(&scene->program), "after 6s");
    assert_non_null(four);
    assert_non_null(six);
    assert_true(four < six);
    redis_do(&scene->redis, "LPUSH queue 1 1 1");
    assert_prints(scene, "Done after ", 5);
    assert_int_equal(redis_integer(&scene->redis, "LLEN queue"), 0);
    assert_int_equal(interrupt(scene), 130);
    assert_int_equal(count(scene, "cancelled 0\n"), 1);
}

static void the_master_takes_and_the_worker_works(void **state)
{
    take_and_work(*state, "--rpop");
}

static void the_master_waits_for_jobs_without_asking_again(void **state)
{
    take_and_work(*state, "--brpop");
}

static void ctrl_c_cancels_what_the_worker_has_not_done(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue 9 9 9");
    start(scene, "examples/master_worker", "1000", "--brpop");
    assert_prints(scene, "Waiting 9\n", 3);
    assert_int_equal(interrupt(scene), 130);
    assert_int_equal(count(scene, "Done"), 0);
    assert_int_equal(count(scene, "cancelled 3\n"), 1);
}

/* --- consumers ------------------------------------------------------------ */

static void ten_consumers_work_at_once(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue 1 1 1 1 1 1 1 1 1 1");
    start(scene, "examples/consumers", "0.5", NULL);
    assert_prints(scene, "Start worker\n", 10);
    /* All of them have begun before the first has done. */
    assert_prints(scene, "Done  1\n", 10);
    const char *done = strstr(program_output(&scene->program), "Done");
    const char *last = program_output(&scene->program);
    for (const char *at = last; (at = strstr(at, "Wait  1")); at++)
        last = at;
    assert_true(last < done);
    assert_int_equal(interrupt(scene), 130);
    assert_int_equal(count(scene, "10 workers ended\n"), 1);
}

static void ctrl_c_ends_all_consumers_in_the_midst_of_it(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue 5 5 5");
    start(scene, "examples/consumers", "1000", NULL);
    assert_prints(scene, "Wait  5\n", 3);
    assert_int_equal(interrupt(scene), 130);
    assert_int_equal(count(scene, "Done"), 0);
    assert_int_equal(count(scene, "10 workers ended\n"), 1);
}

#define example_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        example_test(the_master_takes_and_the_worker_works),
        example_test(the_master_waits_for_jobs_without_asking_again),
        example_test(ctrl_c_cancels_what_the_worker_has_not_done),
        example_test(ten_consumers_work_at_once),
        example_test(ctrl_c_ends_all_consumers_in_the_midst_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
