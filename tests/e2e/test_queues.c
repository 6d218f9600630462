/*
 * Several queues, several processes: whose turn it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

/* How many of the first @nlines Wait lines are of @queue. */
static size_t count_first_waits(struct scene *scene, size_t nlines,
                                const char *queue)
{
    size_t n = 0;
    const char *at = program_log(&scene->corq);
    for (size_t i = 0; i < nlines && (at = strstr(at, "Wait ")); i++) {
        size_t len = strcspn(at, "\n");
        if (memmem(at, len, queue, strlen(queue)))
            n++;
        at += len;
    }
    return n;
}

static void an_earlier_queue_goes_before_a_later_one(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "later", "0.0", 20);
    scene_push_sleeps(scene, "earlier", "0.0", 20);
    scene_run(scene, "--queue", "earlier", "--queue", "later", "--concurrency",
              "1");
    assert_true(scene_sees_lines(scene, "Done ", 40));
    assert_int_equal(count_first_waits(scene, 20, "queue=earlier"), 20);
    assert_int_equal(count_first_waits(scene, 40, "queue=later"), 20);
}

static void jobs_of_one_queue_start_in_their_order(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "queue", "0.0", 30);
    scene_run(scene, "--concurrency", "1");
    assert_true(scene_sees_lines(scene, "Done ", 30));
    const char *at = program_log(&scene->corq);
    for (int i = 1; i <= 30; i++) {
        char line[32];
        snprintf(line, sizeof line, "Wait 0.0%05d ", i);
        at = strstr(at, "Wait ");
        assert_non_null(at);
        assert_int_equal(strncmp(at, line, strlen(line)), 0);
        at++;
    }
}

static void queues_with_weights_all_get_on(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "one", "0.0", 100);
    scene_push_sleeps(scene, "other", "0.0", 100);
    scene_run(scene, "--queue", "one=1", "--queue", "other=1", "--concurrency",
              "1");
    assert_true(scene_sees_lines(scene, "Done ", 200));
    size_t nones = count_first_waits(scene, 60, "queue=one");
    assert_in_range(nones, 1, 59);
}

static void a_key_that_is_no_list_stops_only_itself(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET bad x");
    scene_run(scene, "--queue", "bad", "--queue", "good");
    redis_do(&scene->redis, "LPUSH good 0.01");
    assert_true(scene_sees(scene, "Done 0.01 "));
    assert_true(scene_sees(scene, "bad: WRONGTYPE"));
    redis_do(&scene->redis, "LPUSH good 0.02");
    assert_true(scene_sees(scene, "Done 0.02 "));
    assert_int_equal(program_count_lines(&scene->corq, "WRONGTYPE"), 1);
    redis_do(&scene->redis, "DEL bad");
    redis_do(&scene->redis, "LPUSH bad 0.03");
    assert_true(scene_sees(scene, "Done 0.03 "));
    assert_true(scene_sees(scene, "works again"));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_key_that_becomes_no_list_while_it_is_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--queue", "bad", "--queue", "good");
    redis_do(&scene->redis, "SET bad x");
    redis_do(&scene->redis, "LPUSH good 0.01");
    assert_true(scene_sees(scene, "Done 0.01 "));
    redis_do(&scene->redis, "LPUSH good 0.02");
    assert_true(scene_sees(scene, "Done 0.02 "));
    redis_do(&scene->redis, "DEL bad");
    redis_do(&scene->redis, "LPUSH bad 0.03");
    assert_true(scene_sees(scene, "Done 0.03 "));
    assert_int_equal(scene_end(scene), 0);
}

struct pair {
    struct scene *scene;
    size_t nwaits;
};

static bool have_started(void *argument)
{
    struct pair *pair = argument;
    return program_count_lines(&pair->scene->corq, "Wait ") +
               program_count_lines(&pair->scene->second, "Wait ") >=
           pair->nwaits;
}

static void no_process_holds_a_job_that_another_could_run(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "5");
    scene_run_as(&scene->second,
                 PROGRAM_ARGS(SCENE_RUN(scene), "--concurrency", "5"));
    for (size_t i = 0; i < 10; i++)
        redis_do(&scene->redis, "LPUSH queue 600");
    assert_true(
        wait_until(have_started, &(struct pair){scene, 10}, PATIENCE_MS));
    assert_int_equal(program_count_lines(&scene->corq, "Wait "), 5);
    assert_int_equal(program_count_lines(&scene->second, "Wait "), 5);
    /* Both are full: what comes now waits in Redis. */
    redis_do(&scene->redis, "LPUSH queue 600 600 600");
    assert_int_equal(scene_count_waiting(scene, "queue"), 3);
}

static void a_process_that_has_no_room_leaves_jobs_to_others(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue 600 600 600 600");
    scene_run(scene, "--concurrency", "2");
    assert_true(scene_sees_lines(scene, "Wait ", 2));
    assert_int_equal(scene_count_waiting(scene, "queue"), 2);
    scene_run_as(&scene->second,
                 PROGRAM_ARGS(SCENE_RUN(scene), "--concurrency", "5"));
    assert_true(
        program_wait_for_lines(&scene->second, "Wait ", 2, PATIENCE_MS));
    assert_int_equal(scene_count_waiting(scene, "queue"), 0);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(an_earlier_queue_goes_before_a_later_one),
        scene_test(jobs_of_one_queue_start_in_their_order),
        scene_test(queues_with_weights_all_get_on),
        scene_test(a_key_that_is_no_list_stops_only_itself),
        scene_test(a_key_that_becomes_no_list_while_it_is_waited_for),
        scene_test(no_process_holds_a_job_that_another_could_run),
        scene_test(a_process_that_has_no_room_leaves_jobs_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
