/*
 * Many jobs at once, large ones, empty ones, and jobs of any bytes: run, and
 * given back untouched by whoever finds them.
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

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

#define start(program, ...) scene_run_as(program, PROGRAM_ARGS(__VA_ARGS__))

static void end(struct program *program)
{
    program_signal(program, SIGTERM);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
}

/* --- many ----------------------------------------------------------------- */

static void as_many_as_there_is_room_for_run_at_once(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(10000, 1000);
    char concurrency[24];
    snprintf(concurrency, sizeof concurrency, "%zu", njobs);
    struct ledger ledger;
    ledger_open(&ledger, "2.0", njobs);
    scene_push_sleeps(scene, "queue", "2.0", njobs);
    start(&scene->corq, RUN(scene), "--concurrency", concurrency);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->corq);
    ledger_enter(&ledger, &scene->corq);
    verdict_of_ledger((struct verdict){.row = VERDICT_CALM}, &ledger,
                      &scene->redis, QUEUES("queue"));
    assert_true(nothing_is_left(&scene->redis));
    ledger_close(&ledger);
}

/* --- large ---------------------------------------------------------------- */

/* Pushes jobs that have @nbytes each. */
static void push_large(struct scene *scene, const char *seconds, size_t nbytes,
                       size_t count)
{
    static const char script[] =
        "local head = '{\"class\":\"x\",\"args\":[' .. ARGV[1] .. '],"
        "\"pad\":\"' "
        "local job = head .. string.rep('x', ARGV[2] - #head - 2) .. '\"}' "
        "for i = 1, ARGV[3] do redis.call('LPUSH', KEYS[1], job) end";
    char bytes[24], number[24];
    snprintf(bytes, sizeof bytes, "%zu", nbytes);
    snprintf(number, sizeof number, "%zu", count);
    redis_do(&scene->redis, "EVAL %s 1 queue %s %s %s", script, seconds, bytes,
             number);
}

#define LARGEST ((size_t)16 << 20)

static void the_largest_jobs_survive_a_kill(void **state)
{
    struct scene *scene = *state;
    /* None may have ended before the last one has come. */
    const char *seconds = test_scale(1, 0) ? "6" : "30";
    char done[24];
    snprintf(done, sizeof done, "Done %s ", seconds);
    push_large(scene, seconds, LARGEST, 4);
    start(&scene->corq, RUN(scene), "--handler", "x=sleep");
    assert_true(scene_sees_lines(scene, "Wait ", 4));
    program_kill(&scene->corq);
    start(&scene->second, RUN(scene), "--handler", "x=sleep");
    assert_true(program_wait_for_lines(&scene->second, done, 4, PATIENCE_MS));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->second);
    assert_int_equal(scene_count_dead(scene), 0);
    verdict_give(&(struct verdict){
        .row = VERDICT_LARGE,
        .njobs = 4,
        .ntwice = 4,
        .most_twice = 4,
        .nleft = verdict_count_left(&scene->redis),
        .note = "killed with them",
    });
}

static long long peak_memory(struct scene *scene)
{
    char *info = redis_text(&scene->redis, "INFO memory");
    const char *peak = strstr(info, "used_memory_peak:");
    assert_non_null(peak);
    long long bytes = strtoll(peak + strlen("used_memory_peak:"), NULL, 10);
    free(info);
    return bytes;
}

/* Bursts have grown with small jobs when the large ones come. */
static void large_jobs_behind_small_ones_cost_redis_little(void **state)
{
    struct scene *scene = *state;
    size_t nlarge = test_scale(60, 30);
    start(&scene->corq, RUN(scene), "--handler", "x=noop", "--handler", "noop",
          "--concurrency", "1000");
    push_large(scene, "0", 100, 5000);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    program_freeze(&scene->corq);
    for (size_t i = 0; i < nlarge; i++)
        push_large(scene, "0", (size_t)4 << 20, 1);
    program_thaw(&scene->corq);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    long long peak = peak_memory(scene);
    print_message("--- %zu jobs of 4 MiB: Redis had %lld MiB at most\n", nlarge,
                  peak >> 20);
    /* What waits, and a few of them more than once while they are moved. */
    assert_true(peak < (long long)(nlarge * 4 + 220) << 20);
    end(&scene->corq);
}

/* --- of any bytes --------------------------------------------------------- */

struct bytes {
    const char *text;
    size_t len;
};

#define BYTES(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

static const struct bytes strange[] = {
    BYTES(""),
    BYTES("\0"),
    BYTES("\0\xff\xfe\r\n*3\r\n$"),
    BYTES("\xc3\x28 \xed\xa0\x80"),
    BYTES("{\"class\":\"x\",\"args\":[\"\xff\"]}"),
    BYTES("{\"class\":"),
    BYTES("[[[[[[[[[["),
    BYTES("-"),
};

#define NSTRANGE (sizeof strange / sizeof *strange)

static void jobs_of_any_bytes_run(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < NSTRANGE; i++)
        redis_do(&scene->redis, "LPUSH queue %b", strange[i].text,
                 strange[i].len);
    start(&scene->corq, RUN(scene), "--handler", "noop", "--handler", "x=noop");
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->corq);
    assert_int_equal(scene_count_dead(scene), 0);
    assert_true(nothing_is_left(&scene->redis));
    verdict_give(&(struct verdict){.row = VERDICT_BYTES, .njobs = NSTRANGE});
}

struct there {
    struct scene *scene;
    size_t count;
};

static bool are_there(void *argument)
{
    struct there *there = argument;
    return scene_count_waiting(there->scene, "queue") == there->count;
}

/* Of a process that nobody knows any more: the net finds them. The newest ones
 * are in its inbox. */
static void orphans_of_any_bytes_go_back_untouched(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < NSTRANGE / 2; i++)
        redis_do(&scene->redis,
                 "HSET corq:inflight:gone:1:0123456789abcdef:queue %s%d %b",
                 "000000000000000", (int)i, strange[i].text, strange[i].len);
    for (size_t i = NSTRANGE / 2; i < NSTRANGE; i++)
        redis_do(&scene->redis,
                 "LPUSH corq:inbox:gone:1:0123456789abcdef:queue %b",
                 strange[i].text, strange[i].len);
    start(&scene->corq, RUN(scene), "--queue", "another", "--lease", "3");
    assert_true(
        wait_until(are_there, &(struct there){scene, NSTRANGE}, PATIENCE_MS));
    redisReply *jobs = redis_reply(&scene->redis, "LRANGE queue 0 -1");
    size_t nequal = 0;
    for (size_t i = 0; i < NSTRANGE; i++) {
        const redisReply *job = jobs->element[NSTRANGE - 1 - i];
        nequal += job->len == strange[i].len &&
                  memcmp(job->str, strange[i].text, job->len) == 0;
    }
    freeReplyObject(jobs);
    assert_int_equal(nequal, NSTRANGE);
    end(&scene->corq);
    verdict_give(&(struct verdict){.row = VERDICT_BYTES, .njobs = NSTRANGE});
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(as_many_as_there_is_room_for_run_at_once),
        scene_test(the_largest_jobs_survive_a_kill),
        scene_test(large_jobs_behind_small_ones_cost_redis_little),
        scene_test(jobs_of_any_bytes_run),
        scene_test(orphans_of_any_bytes_go_back_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
