/*
 * Jobs that are large, and jobs that are many: memory grows with what is in
 * flight, and not with what waits.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/core/sanitize.h"
#include "tests/support/group.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

#define start(program, ...) scene_run_as(program, PROGRAM_ARGS(__VA_ARGS__))

#define MIB ((size_t)1 << 20)

/* The checkers have more of it than the program. */
static bool is_memory_ours(void)
{
#if defined(CORO_ASAN) || defined(CORO_TSAN)
    return false;
#else
    return test_scale(1, 0) == 1;
#endif
}

/* --- large ---------------------------------------------------------------- */

#define LARGEST (16 * MIB)

/* What there may be beside the jobs in flight, in jobs: one that arrives, as
 * hiredis has it, and its copies. */
#define COPIES 3

/* In flight at once, of jobs of 16 MiB each. */
#define NLARGE 4

static const char push_script[] =
    "local head = '{\"class\":\"x\",\"args\":[0],\"pad\":\"' "
    "local job = head .. string.rep('x', ARGV[1] - #head - 2) .. '\"}' "
    "for i = 1, ARGV[2] do redis.call('LPUSH', KEYS[1], job) end";

static void push(struct scene *scene, size_t nbytes, size_t count)
{
    char bytes[24], number[24];
    snprintf(bytes, sizeof bytes, "%zu", nbytes);
    snprintf(number, sizeof number, "%zu", count);
    redis_do(&scene->redis, "EVAL %s 1 queue %s %s", push_script, bytes,
             number);
}

static size_t count_done(struct scene *scene)
{
    const char *at = strstr(program_log(&scene->corq), "ended done=");
    assert_non_null(at);
    return (size_t)strtoull(at + strlen("ended done="), NULL, 10);
}

/* Each of the jobs has been done, or still waits. */
static void judge(struct scene *scene, enum verdict_row row, size_t njobs,
                  const char *note)
{
    size_t nfound = count_done(scene) + scene_count_waiting(scene, "queue");
    verdict_give(&(struct verdict){
        .row = row,
        .njobs = njobs,
        .nlost = njobs > nfound ? njobs - nfound : 0,
        .ntwice = nfound > njobs ? nfound - njobs : 0,
        .nleft = verdict_count_left(&scene->redis),
        .note = note,
    });
}

static void the_largest_jobs_take_as_much_memory_as_is_in_flight(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale_is_full() ? 50 : test_scale(10, 6);
    char note[100];
    start(&scene->corq, RUN(scene), "--handler", "x=noop", "--concurrency",
          "4");
    size_t base = group_status_bytes(scene->corq.pid, "VmRSS");
    for (size_t i = 0; i < njobs; i++)
        push(scene, LARGEST, 1);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    size_t peak = group_status_bytes(scene->corq.pid, "VmHWM");
    assert_int_equal(scene_end(scene), 0);
    snprintf(note, sizeof note,
             "%zu MiB at most with 4 in flight, %zu with none", peak / MIB,
             base / MIB);
    judge(scene, VERDICT_LARGE, njobs, note);
    assert_int_equal(scene_count_dead(scene), 0);
    if (is_memory_ours())
        assert_in_range(peak, 0, base + (NLARGE + COPIES) * LARGEST);
}

/* One byte more than may be. */
static void a_job_that_is_too_large_is_set_aside_whole(void **state)
{
    struct scene *scene = *state;
    push(scene, LARGEST + 1, 1);
    push(scene, 100, 1);
    start(&scene->corq, RUN(scene), "--handler", "x=noop");
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_true(scene_sees_dead(scene, 1));
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(count_done(scene), 1);
    size_t nbytes = (size_t)redis_integer(
        &scene->redis, "EVAL %s 0",
        "return #redis.call('ZRANGE', 'corq:dead', 0, 0)[1]");
    assert_in_range(nbytes, LARGEST + 1, LARGEST + 2000);
    verdict_give(&(struct verdict){.row = VERDICT_LARGE,
                                   .njobs = 2,
                                   .nleft = verdict_count_left(&scene->redis),
                                   .note = "beyond --max-payload: set aside"});
}

/* --- many ----------------------------------------------------------------- */

static void push_many(struct scene *scene, size_t count)
{
    while (count > 0) {
        size_t part = count < 10000 ? count : 10000;
        push(scene, 100, part);
        count -= part;
    }
}

/* What it takes while @njobs wait, when @nrun of them have been run. */
static size_t memory_with(struct scene *scene, size_t njobs, size_t nrun)
{
    push_many(scene, njobs);
    start(&scene->corq, RUN(scene), "--handler", "x=noop");
    assert_true(scene_sees_waiting(scene, "queue", njobs - nrun));
    return group_status_bytes(scene->corq.pid, "VmHWM");
}

static void a_million_that_wait_take_no_memory(void **state)
{
    struct scene *scene = *state;
    size_t nmany = test_scale(1000000, 20000);
    size_t nrun = test_scale(50000, 5000);
    size_t few = memory_with(scene, nrun, nrun);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    size_t many = memory_with(scene, nmany, nrun);
    bool is_full = test_scale_is_full();
    if (is_full)
        assert_true(scene_sees_waiting(scene, "queue", nmany / 2));
    if (is_full)
        assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    size_t last = group_status_bytes(scene->corq.pid, "VmHWM");
    assert_int_equal(scene_end(scene), 0);
    char note[120];
    snprintf(note, sizeof note, "%.1f MiB, with %zu instead %.1f MiB",
             (double)(last > many ? last : many) / (double)MIB, nrun,
             (double)few / (double)MIB);
    judge(scene, VERDICT_MILLION, nmany, note);
    if (is_memory_ours())
        assert_in_range(last, 0, few + few / 10 + 2 * MIB);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(the_largest_jobs_take_as_much_memory_as_is_in_flight),
        scene_test(a_job_that_is_too_large_is_set_aside_whole),
        scene_test(a_million_that_wait_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
