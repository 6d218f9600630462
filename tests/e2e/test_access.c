/* What Redis does not let us do, and what hurts only itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static int open_with(void **state, const char *config_lines)
{
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    redis_server_start(&scene->redis, config_lines);
    return 0;
}

/* One who may not run scripts, and one who may not touch the queue. */
static int open_with_users(void **state)
{
    return open_with(state, "user ann on >pw ~* &* +@all -evalsha -eval\n"
                            "user bob on >pw ~corq:* ~mail &* +@all\n");
}

static const char *url_of(struct scene *scene, const char *user,
                          char url[static 80])
{
    snprintf(url, 80, "redis://%s:pw@127.0.0.1:%u", user,
             (unsigned)scene->redis.port);
    return url;
}

/* --- not allowed ---------------------------------------------------------- */

static void who_may_not_take_jobs_is_told_at_the_start(void **state)
{
    struct scene *scene = *state;
    char url[80];
    assert_int_equal(
        program_run(&scene->corq,
                    PROGRAM_ARGS("run", "--redis", url_of(scene, "ann", url))),
        78);
    assert_true(program_count_lines(&scene->corq,
                                    "does not let us take jobs from 'queue': "
                                    "NOPERM") == 1);
    assert_int_equal(program_count_lines(&scene->corq, "ready: "), 0);
}

static void a_forbidden_queue_is_told_by_its_name(void **state)
{
    struct scene *scene = *state;
    char url[80];
    static const char *const deliveries[] = {"at-least-once", "at-most-once"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            program_run(&scene->corq,
                        PROGRAM_ARGS("run", "--redis",
                                     url_of(scene, "bob", url), "--delivery",
                                     deliveries[i], "--queue", "mail",
                                     "--queue", "secret")),
            78);
        assert_int_equal(program_count_lines(&scene->corq,
                                             "take jobs from 'secret': NOPERM"),
                         1);
        program_release(&scene->corq);
        scene->corq = (struct program){.pid = 0};
    }
}

/* --- sets that can't be written to ---------------------------------------- */

static bool has_own_dead(void *argument)
{
    return scene_count_dead(argument) == 2;
}

static void a_broken_set_holds_up_only_what_goes_there(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET dead nonsense");
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--queue", "queue:a", "--queue", "b"));
    redis_do(&scene->redis, "LPUSH queue:a %s",
             "{\"class\":\"None\",\"args\":[]}");
    assert_true(scene_sees(scene, "can't write to retry or dead"));
    redis_do(&scene->redis, "LPUSH b abc");
    redis_do(&scene->redis, "LPUSH queue:a abc");
    assert_true(wait_until(has_own_dead, scene, PATIENCE_MS));
    redis_do(&scene->redis, "DEL dead");
    assert_true(scene_sees(scene, "settling jobs: works again"));
    assert_int_equal(redis_integer(&scene->redis, "ZCARD dead"), 1);
    assert_int_equal(scene_end(scene), 0);
}

/* --- both promises in one database ---------------------------------------- */

static bool has_run(void *argument)
{
    struct scene *scene = argument;
    return program_count_lines(&scene->second, "Done 0.05 ") == 1;
}

/* The lease's value of a process of another machine. */
static void move_elsewhere(struct scene *scene)
{
    redisReply *keys = redis_reply(&scene->redis, "KEYS corq:lease:*");
    assert_int_equal(keys->elements, 1);
    redis_do(&scene->redis, "SET %s 1:elsewhere PX 500", keys->element[0]->str);
    freeReplyObject(keys);
}

static void a_leader_that_delivers_at_most_once_finds_orphans(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--lease", "3s", "--queue", "other");
    assert_true(scene_sees(scene, "this process moves due jobs"));
    struct program dying = {.pid = 0};
    scene_run_as(&dying,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--concurrency", "1"));
    redis_do(&scene->redis, "LPUSH queue 600");
    assert_true(program_wait_for_line(&dying, "Wait 600", PATIENCE_MS));
    program_release(&dying);
    move_elsewhere(scene);
    assert_true(scene_sees(scene, "given back, of a process that is gone"));
    redis_do(&scene->redis, "DEL queue");
    redis_do(&scene->redis, "LPUSH queue 0.05");
    scene_run_as(&scene->second,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis)));
    assert_true(wait_until(has_run, scene, PATIENCE_MS));
    assert_int_equal(scene_end(scene), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            who_may_not_take_jobs_is_told_at_the_start, open_with_users,
            scene_close),
        cmocka_unit_test_setup_teardown(a_forbidden_queue_is_told_by_its_name,
                                        open_with_users, scene_close),
        cmocka_unit_test_setup_teardown(
            a_broken_set_holds_up_only_what_goes_there, scene_open,
            scene_close),
        cmocka_unit_test_setup_teardown(
            a_leader_that_delivers_at_most_once_finds_orphans, scene_open,
            scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
