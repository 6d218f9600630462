/*
 * A Redis that stands still or allows little, and too little memory.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/core/sanitize.h"
#include "tests/support/scene.h"

/* Less than a blocking pop blocks, so that it has not ended by itself. */
#define AT_ONCE_MS 3000

/* A number that stands behind @name in what INFO @section tells; 0: nowhere. */
static size_t info_number(struct scene *scene, const char *section,
                          const char *name)
{
    char *info = redis_text(&scene->redis, "INFO %s", section);
    const char *at = strstr(info, name);
    size_t number = at ? (size_t)strtoul(at + strlen(name), NULL, 10) : 0;
    free(info);
    return number;
}

/* How many blocking pops there are: one for jobs and, as there is no other
 * process to do it, one for news of jobs that become due. */
static bool is_blocked(void *argument)
{
    return scene_count_blocked(argument) == 2;
}

static bool is_not_blocked(void *argument)
{
    return scene_count_blocked(argument) < 2;
}

/* --- standing still ------------------------------------------------------- */

/* Sends a command that is answered only when the server goes on. */
static void push_while_frozen(struct scene *scene, const char *payload)
{
    redisContext *context = scene->redis.context;
    int is_written = 0;
    assert_int_equal(redisAppendCommand(context, "LPUSH queue %s", payload),
                     REDIS_OK);
    while (!is_written)
        assert_int_equal(redisBufferWrite(context, &is_written), REDIS_OK);
}

static void see_answer(struct scene *scene)
{
    void *reply;
    assert_int_equal(redisGetReply(scene->redis.context, &reply), REDIS_OK);
    freeReplyObject(reply);
}

/* One job tells the time; the other place waits in a pop that blocks. The
 * times end shortly after a pop is overdue, and after each look whether the
 * server is there, the first and the second. */
static void a_redis_that_freezes_again_and_again_loses_nothing(void **state)
{
    static const char *const seconds[] = {"8.3", "11.3", "14.2"};
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    for (size_t i = 0; i < 3; i++) {
        char line[32];
        redis_do(&scene->redis, "LPUSH queue %s", seconds[i]);
        snprintf(line, sizeof line, "Wait %s ", seconds[i]);
        assert_true(scene_sees(scene, line));
        assert_true(wait_until(is_blocked, scene, PATIENCE_MS));
        redis_server_pause(&scene->redis);
        snprintf(line, sizeof line, "Done %s ", seconds[i]);
        assert_true(scene_sees(scene, line));
        push_while_frozen(scene, "0.1");
        redis_server_resume(&scene->redis);
        see_answer(scene);
        redis_do(&scene->redis, "LPUSH queue 0.1 0.1");
        assert_true(scene_sees_lines(scene, "Done 0.1 ", 3 * (i + 1)));
    }
    assert_int_equal(program_count_lines(&scene->corq, "connecting anew"), 0);
    assert_int_equal(scene_count_dead(scene), 0);
    assert_int_equal(scene_end(scene), 0);
    assert_true(scene_sees(scene, "ended done=12 failed=0 interrupted=0"));
}

/* --- not allowed to block ------------------------------------------------- */

static int open_with_user(void **state)
{
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    redis_server_start(&scene->redis,
                       "user ann on >pw ~* &* +@all -@blocking\n");
    return 0;
}

static void without_blocking_pops_it_asks_now_and_then(void **state)
{
    struct scene *scene = *state;
    char url[80];
    snprintf(url, sizeof url, "redis://ann:pw@127.0.0.1:%u",
             (unsigned)scene->redis.port);
    int64_t start_ms = coro_now_ms();
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", url, "--queue",
                                            "a", "--queue", "b"));
    assert_true(scene_sees(scene, "can't wait for jobs, asking "
                                  "twice a second instead: NOPERM"));
    redis_do(&scene->redis, "LPUSH a 2");
    assert_true(scene_sees(scene, "Done 2 "));
    redis_do(&scene->redis, "LPUSH b 0.2");
    assert_true(scene_sees(scene, "Done 0.2 "));
    size_t ncalls =
        info_number(scene, "commandstats", "cmdstat_evalsha:calls=");
    size_t took_ms = (size_t)(coro_now_ms() - start_ms);
    /* Two queues twice a second, some more at first: far from a busy loop. */
    assert_in_range(ncalls, 2, 30 + took_ms / 100);
    /* One for jobs, one for news of those that become due, and again when the
     * reason is another. */
    assert_in_range(program_count_lines(&scene->corq, " warn "), 1, 4);
    assert_int_equal(program_count_lines(&scene->corq, "works again"), 0);
    assert_int_equal(scene_end(scene), 0);
}

/* --- one connection only -------------------------------------------------- */

static void one_connection_will_do(void **state)
{
    struct scene *scene = *state;
    /* Ours, and one. */
    redis_do(&scene->redis, "CONFIG SET maxclients 2");
    scene_run(scene, "--concurrency", "2");
    assert_true(scene_sees(scene, "no second connection, asking twice a "
                                  "second instead: ERR max number of clients"));
    for (size_t i = 1; i <= 3; i++) {
        redis_do(&scene->redis, "LPUSH queue 0.3 0.2");
        assert_true(scene_sees_lines(scene, "Done 0.", 2 * i));
    }
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 1);
    redis_do(&scene->redis, "CONFIG SET maxclients 100");
    assert_true(wait_until(is_blocked, scene, PATIENCE_MS));
    assert_true(scene_sees(scene, "works again"));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 1);
}

/* --- quiet ---------------------------------------------------------------- */

static void see_it_takes_nothing(struct scene *scene, size_t njobs)
{
    /* Two turns of its loop and more. */
    program_signal(&scene->corq, SIGUSR2);
    assert_true(scene_sees(scene, "0 jobs with the worker"));
    program_signal(&scene->corq, SIGHUP);
    assert_true(scene_sees(scene, "SIGHUP"));
    assert_int_equal(scene_count_waiting(scene, "queue"), njobs);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), njobs);
    assert_true(scene_sees(scene, "ended done=0 "));
}

static void tstp_ends_the_pop_that_blocks(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--handler", "noop");
    assert_true(wait_until(is_blocked, scene, PATIENCE_MS));
    program_signal(&scene->corq, SIGTSTP);
    assert_true(scene_sees(scene, "quiet: "));
    assert_true(wait_until(is_not_blocked, scene, AT_ONCE_MS));
    redis_do(&scene->redis, "LPUSH queue 1");
    see_it_takes_nothing(scene, 1);
}

static void tstp_while_redis_is_waited_for_is_not_forgotten(void **state)
{
    struct scene *scene = *state;
    redis_server_again(&scene->redis);
    redis_do(&scene->redis, "LPUSH queue 1 2 3");
    redis_server_stop(&scene->redis);
    program_start(&scene->corq,
                  PROGRAM_ARGS(SCENE_RUN(scene), "--handler", "noop"));
    assert_true(scene_sees(scene, "trying again until it answers"));
    program_signal(&scene->corq, SIGTSTP);
    redis_server_again(&scene->redis);
    assert_true(scene_sees(scene, "ready: "));
    assert_true(scene_sees(scene, "quiet: "));
    see_it_takes_nothing(scene, 3);
}

/* --- too little memory ---------------------------------------------------- */

/* The checkers reserve more addresses than there is memory. */
#if !defined(CORO_ASAN) && !defined(CORO_TSAN) && !defined(CORO_VALGRIND)
#    define CAN_LIMIT_MEMORY

#    define MEMORY_BYTES ((rlim_t)256 << 20)
#    define NJOBS        10000

/* The program inherits the limit. */
static void start_with_little_memory(struct scene *scene)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit little = {MEMORY_BYTES, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    program_start(&scene->corq,
                  PROGRAM_ARGS(SCENE_RUN(scene), "--concurrency", "20000",
                               "--shutdown-timeout", "0"));
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

struct balance {
    struct scene *scene;
    size_t nleft;
};

static bool has_left(void *argument)
{
    struct balance *balance = argument;
    return scene_count_waiting(balance->scene, "queue") == balance->nleft;
}

static void as_many_jobs_are_taken_as_memory_allows(void **state)
{
    struct scene *scene = *state;
    scene_push_sleeps(scene, "queue", "600.0", NJOBS);
    start_with_little_memory(scene);
    assert_true(scene_sees(scene, "no memory for more than "));
    const char *line =
        strstr(program_log(&scene->corq), "no memory for more than ");
    size_t nmost, nwanted;
    assert_int_equal(
        sscanf(line, "no memory for more than %zu of %zu ", &nmost, &nwanted),
        2);
    assert_int_equal(nwanted, 20000);
    assert_in_range(nmost, 1, NJOBS - 1);
    struct balance balance = {scene, NJOBS - nmost};
    assert_true(wait_until(has_left, &balance, PATIENCE_MS));
    assert_true(scene_sees_lines(scene, "Wait 600.0", nmost));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(program_count_lines(&scene->corq, "Wait 600.0"), nmost);
    assert_int_equal(scene_count_waiting(scene, "queue"), NJOBS - nmost);
    assert_int_equal(scene_count_dead(scene), nmost);
}
#endif

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
#define bare_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_without_redis, scene_close)
#define user_test(name) \
    cmocka_unit_test_setup_teardown(name, open_with_user, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        user_test(without_blocking_pops_it_asks_now_and_then),
        scene_test(one_connection_will_do),
        scene_test(tstp_ends_the_pop_that_blocks),
        bare_test(tstp_while_redis_is_waited_for_is_not_forgotten),
#ifdef CAN_LIMIT_MEMORY
        scene_test(as_many_jobs_are_taken_as_memory_allows),
#endif
        scene_test(a_redis_that_freezes_again_and_again_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
