/*
 * A Redis that refuses, under load: each of its errors in turn. Processes wait,
 * say so once, and go on; as they live, no job is lost and none runs twice.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/load.h"
#include "tests/support/scale.h"

static void start(struct load *load, struct scene *scene)
{
    load_push(load, scene,
              test_scale_is_full() ? 20000 : test_scale(4000, 600));
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                              "--concurrency", "50"));
    load_see_progress(load, 1, 3);
}

/* A line for each change, not for each attempt: of those who ask there are a
 * handful, and for each the reason may change once or twice. */
#define MOST_LINES 12

static void judge(struct load *load, enum verdict_row row, const char *error)
{
    struct scene *scene = load->scene;
    load_judge(load, (struct verdict){.row = row, .note = error});
    assert_in_range(program_count_lines(&scene->corq, error), 1, MOST_LINES);
}

/* --- may not write -------------------------------------------------------- */

static void a_replica_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    start(&load, scene);
    redis_do(&scene->redis, "REPLICAOF 127.0.0.1 1");
    assert_true(scene_sees(scene, "READONLY"));
    redis_do(&scene->redis, "REPLICAOF NO ONE");
    judge(&load, VERDICT_REFUSING, "READONLY");
}

static void replicas_that_are_missing_are_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    start(&load, scene);
    redis_do(&scene->redis, "CONFIG SET min-replicas-to-write 1");
    assert_true(scene_sees(scene, "NOREPLICAS"));
    redis_do(&scene->redis, "CONFIG SET min-replicas-to-write 0");
    judge(&load, VERDICT_REFUSING, "NOREPLICAS");
}

static bool is_saved(struct scene *scene, const char *status)
{
    char *info = redis_text(&scene->redis, "INFO persistence");
    char line[60];
    snprintf(line, sizeof line, "rdb_last_bgsave_status:%s\r", status);
    bool is = strstr(info, line) && strstr(info, "rdb_bgsave_in_progress:0");
    free(info);
    return is;
}

static bool has_not_saved(void *argument)
{
    return is_saved(argument, "err");
}

static bool has_saved(void *argument)
{
    return is_saved(argument, "ok");
}

/* A directory lies where the snapshot is to be. */
static void a_redis_that_cannot_save_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    char path[64];
    start(&load, scene);
    snprintf(path, sizeof path, "%s/dump.rdb", scene->redis.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    redis_do(&scene->redis, "CONFIG SET save %s", "3600 1");
    redis_do(&scene->redis, "BGSAVE");
    assert_true(wait_until(has_not_saved, scene, PATIENCE_MS));
    assert_true(scene_sees(scene, "MISCONF"));
    assert_int_equal(rmdir(path), 0);
    redis_do(&scene->redis, "BGSAVE");
    assert_true(wait_until(has_saved, scene, PATIENCE_MS));
    judge(&load, VERDICT_REFUSING, "MISCONF");
}

static void without_memory_the_load_is_done(void **state)
{
    struct scene *scene = *state;
    struct load load;
    start(&load, scene);
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    judge(&load, VERDICT_REFUSING, "OOM");
}

/* --- answers nothing else ------------------------------------------------- */

/* Sends a script that does not end; its answer comes when it is killed. */
static void begin_to_be_busy(struct scene *scene)
{
    redisContext *context = scene->redis.context;
    int is_written = 0;
    assert_int_equal(
        redisAppendCommand(context, "EVAL %s 0", "while true do end"),
        REDIS_OK);
    while (!is_written)
        assert_int_equal(redisBufferWrite(context, &is_written), REDIS_OK);
}

static void end_to_be_busy(struct scene *scene)
{
    redisContext *other = redisConnectUnix(scene->redis.socket_path);
    assert_true(other && !other->err);
    redisReply *reply = redisCommand(other, "SCRIPT KILL");
    assert_true(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    redisFree(other);
    void *answer;
    assert_int_equal(redisGetReply(scene->redis.context, &answer), REDIS_OK);
    freeReplyObject(answer);
}

static void a_busy_redis_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    start(&load, scene);
    redis_do(&scene->redis, "CONFIG SET lua-time-limit 50");
    begin_to_be_busy(scene);
    assert_true(scene_sees(scene, "BUSY"));
    end_to_be_busy(scene);
    judge(&load, VERDICT_REFUSING, "BUSY");
}

/* It takes its time for each command of its log: the more, the fewer there
 * are. */
static int open_slow(void **state)
{
    char line[40];
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    snprintf(line, sizeof line, "key-load-delay %zu\n", test_scale(300, 3000));
    redis_server_start(&scene->redis, line);
    return 0;
}

static void a_redis_that_loads_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    start(&load, scene);
    redis_server_kill(&scene->redis);
    redis_server_again(&scene->redis); /* returns when it has loaded */
    judge(&load, VERDICT_REFUSING, "LOADING");
}

/* --- lets nobody in ------------------------------------------------------- */

static void a_password_that_changes_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    scene->redis.password = "later";
    start(&load, scene);
    redis_do(&scene->redis, "CONFIG SET requirepass later");
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_true(scene_sees(scene, "NOAUTH"));
    redis_do(&scene->redis, "CONFIG SET requirepass %s", "");
    judge(&load, VERDICT_PASSWORD, "NOAUTH");
}

/* The right one at the start, another one afterwards, and the first again. */
static void a_password_that_is_wrong_for_a_while_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct load load;
    char url[80];
    load_push(&load, scene, test_scale(2000, 300));
    redis_do(&scene->redis, "CONFIG SET requirepass first");
    scene->redis.password = "first";
    snprintf(url, sizeof url, "redis://:first@127.0.0.1:%u",
             (unsigned)scene->redis.port);
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", url, "--concurrency", "20"));
    load_see_progress(&load, 1, 3);
    redis_do(&scene->redis, "CONFIG SET requirepass second");
    redis_do(&scene->redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_true(scene_sees(scene, "WRONGPASS"));
    redis_do(&scene->redis, "CONFIG SET requirepass first");
    judge(&load, VERDICT_PASSWORD, "WRONGPASS");
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_replica_is_waited_for),
        scene_test(replicas_that_are_missing_are_waited_for),
        scene_test(a_redis_that_cannot_save_is_waited_for),
        scene_test(without_memory_the_load_is_done),
        scene_test(a_busy_redis_is_waited_for),
        cmocka_unit_test_setup_teardown(a_redis_that_loads_is_waited_for,
                                        open_slow, scene_close),
        scene_test(a_password_that_changes_is_waited_for),
        scene_test(a_password_that_is_wrong_for_a_while_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
