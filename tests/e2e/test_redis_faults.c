/*
 * Redis that goes away, freezes or refuses while jobs run.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* --- gone and back -------------------------------------------------------- */

#define CONCURRENCY      20
#define CONCURRENCY_TEXT "20"

static size_t start_load(struct scene *scene)
{
    size_t njobs = test_scale(1500, 600);
    scene_push_sleeps(scene, "queue", "0.02", njobs);
    scene_run(scene, "--concurrency", CONCURRENCY_TEXT);
    return njobs;
}

static bool is_queue_empty(void *argument)
{
    struct scene *scene = argument;
    return scene_count_waiting(scene, "queue") == 0;
}

/* How many of the jobs are done; fails when one is twice. */
static size_t count_done_once(struct scene *scene, size_t njobs)
{
    bool *are_done = calloc(njobs + 1, sizeof *are_done);
    assert_non_null(are_done);
    size_t ndone = 0;
    const char *at = program_log(&scene->corq);
    while ((at = strstr(at, "Done 0.02"))) {
        at += strlen("Done 0.02");
        size_t number = (size_t)strtoul(at, NULL, 10);
        assert_in_range(number, 1, njobs);
        assert_false(are_done[number]);
        are_done[number] = true;
        ndone++;
    }
    free(are_done);
    return ndone;
}

/* At the end of it each job ran once, but for those that came so late that they
 * went back, and @nlost_most that an answer cut in the middle may have taken
 * along. */
static void assert_load_is_done(struct scene *scene, size_t njobs,
                                size_t nlost_most)
{
    assert_true(wait_until(is_queue_empty, scene, PATIENCE_MS));
    assert_int_equal(scene_end(scene), 0);
    size_t ndone = count_done_once(scene, njobs);
    assert_int_equal(program_count_lines(&scene->corq, "Wait "), ndone);
    size_t nback = scene_count_waiting(scene, "queue");
    assert_in_range(ndone + nback, njobs - nlost_most, njobs);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void it_goes_on_when_redis_is_killed_and_comes_back(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_load(scene);
    for (size_t i = 1; i <= 2; i++) {
        assert_true(scene_sees_lines(scene, "Done ", i * njobs / 4));
        redis_server_kill(&scene->redis);
        assert_true(scene_sees_lines(scene, "trying again", i));
        redis_server_again(&scene->redis);
        assert_true(scene_sees_lines(scene, "redis: connected to", i + 1));
    }
    assert_load_is_done(scene, njobs, 2 * CONCURRENCY);
}

static void it_goes_on_when_redis_is_restarted(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_load(scene);
    assert_true(scene_sees_lines(scene, "Done ", njobs / 4));
    redis_server_stop(&scene->redis);
    assert_true(scene_sees(scene, "trying again"));
    redis_server_again(&scene->redis);
    assert_load_is_done(scene, njobs, CONCURRENCY);
    assert_true(program_count_lines(&scene->corq, " warn ") <= 4);
}

static void it_goes_on_when_its_connections_are_killed(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_load(scene);
    for (size_t i = 1; i <= 4; i++) {
        assert_true(scene_sees_lines(scene, "Done ", i * njobs / 8));
        redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
        assert_true(scene_sees_lines(scene, "redis: connected to", i + 1));
    }
    assert_load_is_done(scene, njobs, 4 * CONCURRENCY);
}

static void an_idle_one_goes_on_when_its_connections_are_killed(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    for (size_t i = 1; i <= 3; i++) {
        redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
        redis_do(&scene->redis, "LPUSH queue 0.1");
        assert_true(scene_sees_lines(scene, "Done 0.1 ", i));
    }
    assert_int_equal(scene_end(scene), 0);
}

/* --- frozen --------------------------------------------------------------- */

static void a_frozen_redis_is_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    redis_do(&scene->redis, "LPUSH queue 4");
    assert_true(scene_sees(scene, "Wait 4 "));
    redis_server_pause(&scene->redis);
    assert_true(scene_sees(scene, "Done 4 "));
    redis_server_resume(&scene->redis);
    redis_do(&scene->redis, "LPUSH queue 0.1 0.1 0.1");
    assert_true(scene_sees_lines(scene, "Done 0.1 ", 3));
    assert_int_equal(program_count_lines(&scene->corq, "redis: connected"), 1);
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 0);
    assert_int_equal(scene_end(scene), 0);
}

/* Longer than a pop blocks: it is overdue, and the server is asked whether it
 * is there, just when that answers again. */
static void a_redis_that_is_frozen_for_long_is_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    redis_do(&scene->redis, "LPUSH queue 9.5");
    assert_true(scene_sees(scene, "Wait 9.5 "));
    redis_server_pause(&scene->redis);
    assert_true(scene_sees(scene, "Done 9.5 "));
    redis_server_resume(&scene->redis);
    redis_do(&scene->redis, "LPUSH queue 0.1 0.1 0.1");
    assert_true(scene_sees_lines(scene, "Done 0.1 ", 3));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "redis: connected"), 1);
}

static void a_redis_that_freezes_under_load_loses_nothing(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue 2");
    size_t njobs = start_load(scene);
    assert_true(scene_sees_lines(scene, "Done 0.02", njobs / 4));
    redis_server_pause(&scene->redis);
    assert_true(scene_sees(scene, "Done 2 "));
    redis_server_resume(&scene->redis);
    assert_true(wait_until(is_queue_empty, scene, PATIENCE_MS));
    assert_true(scene_sees_lines(scene, "Done ", njobs + 1));
    assert_int_equal(program_count_lines(&scene->corq, "redis: connected"), 1);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "Wait "), njobs + 1);
}

static void paused_clients_are_served_afterwards(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_load(scene);
    assert_true(scene_sees_lines(scene, "Done ", njobs / 4));
    redis_do(&scene->redis, "CLIENT PAUSE 2000 ALL");
    assert_load_is_done(scene, njobs, 0);
    assert_int_equal(program_count_lines(&scene->corq, "redis: connected"), 1);
}

/* --- refusing ------------------------------------------------------------- */

static void with_its_memory_full_jobs_still_reach_the_dead_set(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue abc abd 0.1 abe");
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    redisReply *reply = redis_reply(&scene->redis, "LPUSH queue x");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    scene_run(scene, "--concurrency", "1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_true(scene_sees_dead(scene, 3));
    assert_int_equal(scene_end(scene), 0);
}

static void a_replica_is_waited_for_until_it_can_be_written_to(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    redis_do(&scene->redis, "REPLICAOF 127.0.0.1 1");
    assert_true(scene_sees(scene, "READONLY"));
    redis_do(&scene->redis, "REPLICAOF NO ONE");
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_int_equal(scene_end(scene), 0);
}

/* Each attempt of a server that can't be written to is one that fails. */
static bool has_tried_often(void *argument)
{
    struct scene *scene = argument;
    char *info = redis_text(&scene->redis, "INFO errorstats");
    const char *count = strstr(info, "errorstat_READONLY:count=");
    long n = count ? strtol(strchr(count, '=') + 1, NULL, 10) : 0;
    free(info);
    return n >= 20;
}

static void a_replica_is_not_complained_of_with_each_attempt(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "REPLICAOF 127.0.0.1 1");
    scene_run(scene, "--concurrency", "2");
    assert_true(wait_until(has_tried_often, scene, PATIENCE_MS));
    assert_true(scene_sees(scene, "READONLY"));
    /* Each of those who write says it once: jobs, times, the record. */
    assert_in_range(program_count_lines(&scene->corq, "READONLY"), 1, 6);
    assert_int_equal(scene_end(scene), 0);
}

static void a_password_set_at_run_time_makes_it_wait(void **state)
{
    struct scene *scene = *state;
    scene->redis.password = "later";
    scene_run(scene, "--concurrency", "2");
    redis_do(&scene->redis, "CONFIG SET requirepass later");
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_true(scene_sees(scene, "NOAUTH"));
    assert_true(program_is_running(&scene->corq));
    redis_do(&scene->redis, "CONFIG SET requirepass %s", "");
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    redis_do(&scene->redis, "CONFIG SET requirepass later");
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_true(scene_sees_lines(scene, "NOAUTH", 2));
    assert_int_equal(scene_end(scene), 0);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(it_goes_on_when_redis_is_killed_and_comes_back),
        scene_test(it_goes_on_when_redis_is_restarted),
        scene_test(it_goes_on_when_its_connections_are_killed),
        scene_test(an_idle_one_goes_on_when_its_connections_are_killed),
        scene_test(a_frozen_redis_is_waited_for),
        scene_test(a_redis_that_is_frozen_for_long_is_waited_for),
        scene_test(a_redis_that_freezes_under_load_loses_nothing),
        scene_test(paused_clients_are_served_afterwards),
        scene_test(with_its_memory_full_jobs_still_reach_the_dead_set),
        scene_test(a_replica_is_waited_for_until_it_can_be_written_to),
        scene_test(a_replica_is_not_complained_of_with_each_attempt),
        scene_test(a_password_set_at_run_time_makes_it_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
