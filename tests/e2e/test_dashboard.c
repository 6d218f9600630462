/*
 * The built program as dashboards for the Sidekiq job format see it, and as
 * their buttons reach it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/dashboard.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* A beat, and a moment for what it asks for. */
#define ONE_BEAT_MS 13000

static bool has_identity(void *argument)
{
    struct scene *scene = argument;
    char *identity = dashboard_identity(&scene->redis);
    bool is_there = identity;
    free(identity);
    return is_there;
}

/* Of the one process that runs. Ownership: free(). */
static char *wait_for_identity(struct scene *scene)
{
    assert_true(wait_until(has_identity, scene, PATIENCE_MS));
    return dashboard_identity(&scene->redis);
}

static void press(struct scene *scene, const char *identity, const char *name)
{
    redis_do(&scene->redis, "LPUSH %s-signals %s", identity, name);
    redis_do(&scene->redis, "EXPIRE %s-signals 60", identity);
}

/* --- the busy page -------------------------------------------------------- */

static void a_process_is_shown_from_its_start(void **state)
{
    struct scene *scene = *state;
    int64_t start_ms = coro_now_ms();
    scene_run(scene, "--concurrency", "7", "--queue", "queue:mail=3", "--queue",
              "mine=1");
    char *identity = wait_for_identity(scene);
    assert_true(coro_now_ms() - start_ms < PATIENCE_MS);
    struct dashboard_process process;
    assert_true(dashboard_read(&scene->redis, identity, &process));
    assert_int_equal(process.concurrency, 7);
    assert_int_equal(process.busy, 0);
    assert_false(process.is_quiet);
    char host[80] = "";
    gethostname(host, sizeof host - 1);
    assert_string_equal(process.hostname, host);
    json_t *mail = json_object_get(
        json_array_get(json_object_get(process.info, "weights"), 0), "mail");
    assert_int_equal(json_integer_value(mail), 3);
    dashboard_release(&process);
    free(identity);
}

struct busy_wait {
    struct scene *scene;
    const char *identity;
    size_t njobs;
};

/* Jobs start while a beat is put together: only a later one may count all that
 * it shows. */
static bool are_shown(void *argument)
{
    struct busy_wait *wait = argument;
    struct redis_server *redis = &wait->scene->redis;
    char *busy = redis_text(redis, "HGET %s busy", wait->identity);
    bool are = busy && strtoul(busy, NULL, 10) == wait->njobs &&
               redis_integer(redis, "HLEN %s:work", wait->identity) ==
                   (long long)wait->njobs;
    free(busy);
    return are;
}

static void running_jobs_are_shown(void **state)
{
    static const char described[] =
        "{\"class\":\"Nap\",\"args\":[100],\"jid\":\"aa\",\"x\":1.50}";
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3", "--handler", "sleep", "--handler",
              "Nap=sleep", "--shutdown-timeout", "0");
    redis_do(&scene->redis, "LPUSH queue %s 99 98 97", described);
    char *identity = wait_for_identity(scene);
    assert_true(wait_until(are_shown, &(struct busy_wait){scene, identity, 3},
                           PATIENCE_MS));
    struct dashboard_process process;
    assert_true(dashboard_read(&scene->redis, identity, &process));
    assert_int_equal(process.busy, 3);
    const struct dashboard_job *job = dashboard_job(&process, described);
    assert_non_null(job);
    assert_string_equal(job->queue, "queue");
    job = dashboard_job(&process, "99");
    assert_non_null(job);
    assert_string_equal(job->class, "(raw)");
    assert_null(dashboard_job(&process, "97"));
    dashboard_release(&process);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS %s:work", identity),
                     0);
    free(identity);
}

/* --- the figures ---------------------------------------------------------- */

static void right_after_a_stop_all_is_counted(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    free(wait_for_identity(scene));
    redis_do(&scene->redis, "LPUSH queue 0.01 nonsense 0.02 0.03");
    assert_true(scene_sees_lines(scene, "Done ", 3));
    assert_true(scene_sees_dead(scene, 1));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(dashboard_stat(&scene->redis, "processed"), 4);
    assert_int_equal(dashboard_stat(&scene->redis, "failed"), 1);
    assert_int_equal(dashboard_stat_today(&scene->redis, "processed"), 4);
    assert_int_equal(dashboard_stat_today(&scene->redis, "failed"), 1);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS processes"), 0);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS queues"), 0);
}

static void a_stop_before_any_job_counts_nothing(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS processes"), 0);
    redisReply *keys = redis_reply(&scene->redis, "KEYS stat:*");
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
}

/* --- the buttons ---------------------------------------------------------- */

static bool is_shown_quiet(void *argument)
{
    struct busy_wait *wait = argument;
    char *quiet =
        redis_text(&wait->scene->redis, "HGET %s quiet", wait->identity);
    bool is_quiet = quiet && strcmp(quiet, "true") == 0;
    free(quiet);
    return is_quiet;
}

static void the_buttons_quiet_and_stop_work(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    char *identity = wait_for_identity(scene);
    press(scene, identity, "TSTP");
    press(scene, identity, "TTIN");
    press(scene, identity, "TERM");
    int64_t start_ms = coro_now_ms();
    assert_true(scene_sees(scene, "quiet: taking no more jobs"));
    assert_true(wait_until(
        is_shown_quiet, &(struct busy_wait){scene, identity, 0}, PATIENCE_MS));
    assert_true(scene_sees(scene, "task 'heartbeat'"));
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    int64_t took_ms = coro_now_ms() - start_ms;
    assert_true(took_ms < (int64_t)test_scale(ONE_BEAT_MS, PATIENCE_MS));
    assert_true(scene_sees(scene, "SIGTERM received"));
    assert_int_equal(redis_integer(&scene->redis, "EXISTS processes"), 0);
    free(identity);
}

/* --- death ---------------------------------------------------------------- */

struct grave {
    struct scene *scene;
    const char *identity;
};

static bool is_forgotten(void *argument)
{
    struct grave *grave = argument;
    return redis_integer(&grave->scene->redis, "SISMEMBER processes %s",
                         grave->identity) == 0;
}

static void a_process_that_was_killed_is_forgotten(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "3");
    char *identity = wait_for_identity(scene);
    struct grave grave = {scene, identity};
    program_kill(&scene->corq);
    assert_false(is_forgotten(&grave));
    /* A minute later: */
    redis_do(&scene->redis, "DEL %s process_cleanup", identity);
    scene_run_as(&scene->second,
                 PROGRAM_ARGS(SCENE_RUN(scene), "--concurrency", "3"));
    assert_true(wait_until(is_forgotten, &grave, PATIENCE_MS));
    assert_int_equal(redis_integer(&scene->redis, "SCARD processes"), 1);
    free(identity);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_process_is_shown_from_its_start),
        scene_test(running_jobs_are_shown),
        scene_test(right_after_a_stop_all_is_counted),
        scene_test(a_stop_before_any_job_counts_nothing),
        scene_test(the_buttons_quiet_and_stop_work),
        scene_test(a_process_that_was_killed_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
