/*
 * Redis in its moods, under load: out of memory, with a queue that is no list,
 * forgetting scripts, closing connections, pausing, restarted, without BLMOVE.
 * Whatever it does, no job is lost, and as the processes live none runs twice.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define PREFIX      "0.02"
#define CONCURRENCY "50"

/* Jobs that run for some seconds. */
static size_t load_size(void)
{
    return test_scale_is_full() ? 20000 : test_scale(5000, 1000);
}

#define start(scene, program, ...)                                          \
    scene_run_as(program,                                                   \
                 PROGRAM_ARGS("run", "--redis", redis_url(&(scene)->redis), \
                              "--concurrency", CONCURRENCY, __VA_ARGS__))

static void end(struct program *program)
{
    program_signal(program, SIGTERM);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
}

static void see_progress(struct scene *scene, size_t nleft)
{
    assert_true(scene_sees_waiting(scene, "queue", nleft));
}

static void assert_all_ran_once(struct scene *scene, size_t njobs,
                                enum verdict_row row)
{
    struct ledger ledger;
    ledger_open(&ledger, PREFIX, njobs);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->corq);
    ledger_enter(&ledger, &scene->corq);
    if (scene->second.is_started) {
        end(&scene->second);
        ledger_enter(&ledger, &scene->second);
    }
    verdict_of_ledger((struct verdict){.row = row}, &ledger, &scene->redis,
                      QUEUES("queue"));
    assert_true(nothing_but_owners_is_left(&scene->redis));
    ledger_close(&ledger);
}

/* Does @trouble so many times while jobs run, and counts them. */
static void run_through(struct scene *scene, enum verdict_row row,
                        size_t ntimes,
                        void (*trouble)(struct scene *scene, size_t time))
{
    size_t njobs = load_size();
    scene_push_sleeps(scene, "queue", PREFIX, njobs);
    start(scene, &scene->corq, "--queue", "queue");
    for (size_t i = 1; i <= ntimes; i++) {
        see_progress(scene, njobs - i * njobs / (ntimes + 1));
        trouble(scene, i);
    }
    assert_all_ran_once(scene, njobs, row);
}

/* --- no memory ------------------------------------------------------------ */

static void fill_memory(struct scene *scene, size_t time)
{
    (void)time;
    scene_push_sleeps(scene, "late", "0.01", 50);
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    redisReply *reply = redis_reply(&scene->redis, "LPUSH queue x");
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    /* One that is only started now has to drain its queue as well: not that of
     * the first one, who may be through with it before this one is there. */
    start(scene, &scene->second, "--queue", "late");
    assert_true(
        program_wait_for_lines(&scene->second, "Done 0.01", 50, PATIENCE_MS));
}

static void without_memory_the_queue_drains(void **state)
{
    struct scene *scene = *state;
    run_through(scene, VERDICT_REFUSING, 1, fill_memory);
}

static void without_memory_failed_jobs_are_set_aside(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "LPUSH queue a b c");
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    start(scene, &scene->corq, "--handler", "fail", "--retry", "0");
    assert_true(scene_sees_dead(scene, 3));
    end(&scene->corq);
    assert_true(nothing_is_left(&scene->redis));
}

static void without_memory_what_ran_goes_back(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "queue", "600.0", 50);
    start(scene, &scene->corq, "--shutdown-timeout", "0");
    assert_true(scene_sees_lines(scene, "Wait 600.0", 50));
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    end(&scene->corq);
    assert_int_equal(scene_count_waiting(scene, "queue"), 50);
    assert_true(nothing_is_left(&scene->redis));
}

/* --- no list -------------------------------------------------------------- */

static void a_queue_that_is_no_list_is_the_only_one_that_suffers(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET bad text");
    start(scene, &scene->corq, "--queue", "bad", "--queue", "good");
    for (size_t i = 1; i <= 20; i++) {
        redis_do(&scene->redis, "LPUSH good 0.01");
        assert_true(scene_sees_lines(scene, "Done 0.01 ", i));
    }
    assert_in_range(program_count_lines(&scene->corq, "WRONGTYPE"), 1, 2);
    redis_do(&scene->redis, "DEL bad");
    redis_do(&scene->redis, "LPUSH bad 0.02 0.02");
    assert_true(scene_sees_lines(scene, "Done 0.02 ", 2));
    end(&scene->corq);
    assert_true(nothing_is_left(&scene->redis));
}

static void a_queue_that_becomes_something_else_keeps_its_jobs(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "queue", PREFIX, 2000);
    start(scene, &scene->corq, "--queue", "queue", "--queue", "good");
    see_progress(scene, 1500);
    redis_do(&scene->redis, "EVAL %s 2 queue elsewhere",
             "redis.call('RENAME', KEYS[1], KEYS[2]) "
             "redis.call('SET', KEYS[1], 'text')");
    redis_do(&scene->redis, "LPUSH good 0.5");
    assert_true(scene_sees(scene, "Done 0.5 "));
    redis_do(&scene->redis, "RENAME elsewhere queue");
    assert_all_ran_once(scene, 2000, VERDICT_WRONG_TYPE);
}

/* --- forgetting, closing, pausing ----------------------------------------- */

static void forget_scripts(struct scene *scene, size_t time)
{
    (void)time;
    redis_do(&scene->redis, "SCRIPT FLUSH");
}

static void forgotten_scripts_are_told_again(void **state)
{
    struct scene *scene = *state;
    run_through(scene, VERDICT_REFUSING, 50, forget_scripts);
    assert_int_equal(program_count_lines(&scene->corq, "NOSCRIPT"), 0);
}

static void kill_clients(struct scene *scene, size_t time)
{
    (void)time;
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
}

static void closed_connections_lose_nothing(void **state)
{
    run_through(*state, VERDICT_CUT, 4, kill_clients);
}

static void pause_clients(struct scene *scene, size_t time)
{
    redis_do(&scene->redis, "CLIENT PAUSE 700 %s", time % 2 ? "ALL" : "WRITE");
}

static void paused_clients_lose_nothing(void **state)
{
    run_through(*state, VERDICT_REDIS_FROZEN, 4, pause_clients);
}

/* --- restarted ------------------------------------------------------------ */

static void restart(struct scene *scene, size_t time)
{
    if (time % 2)
        redis_server_kill(&scene->redis);
    else
        redis_server_stop(&scene->redis);
    redis_server_again(&scene->redis);
}

static void a_redis_restarted_under_load_loses_nothing(void **state)
{
    run_through(*state, VERDICT_RESTARTED, test_scale_is_full() ? 8 : 4,
                restart);
}

/* --- without BLMOVE ------------------------------------------------------- */

static int open_without_blmove(void **state)
{
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    redis_server_start(&scene->redis, "rename-command BLMOVE \"\"\n");
    return 0;
}

static bool has_blocked(void *argument)
{
    struct scene *scene = argument;
    char *info = redis_text(&scene->redis, "INFO commandstats");
    bool has = strstr(info, "cmdstat_brpoplpush:") != NULL;
    free(info);
    return has;
}

static void without_blmove_it_blocks_the_old_way(void **state)
{
    struct scene *scene = *state;
    start(scene, &scene->corq, "--queue", "queue");
    for (size_t i = 1; i <= 50; i++) {
        redis_do(&scene->redis, "LPUSH queue 0.01");
        assert_true(scene_sees_lines(scene, "Done 0.01 ", i));
    }
    assert_true(wait_until(has_blocked, scene, PATIENCE_MS));
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 0);
    scene_push_sleeps(scene, "queue", PREFIX, 500);
    assert_all_ran_once(scene, 500, VERDICT_CALM);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(without_memory_the_queue_drains),
        scene_test(without_memory_failed_jobs_are_set_aside),
        scene_test(without_memory_what_ran_goes_back),
        scene_test(a_queue_that_is_no_list_is_the_only_one_that_suffers),
        scene_test(a_queue_that_becomes_something_else_keeps_its_jobs),
        scene_test(forgotten_scripts_are_told_again),
        scene_test(closed_connections_lose_nothing),
        scene_test(paused_clients_lose_nothing),
        scene_test(a_redis_restarted_under_load_loses_nothing),
        cmocka_unit_test_setup_teardown(without_blmove_it_blocks_the_old_way,
                                        open_without_blmove, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
