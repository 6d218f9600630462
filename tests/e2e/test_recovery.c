/*
 * Jobs of processes that are gone, or seem to be: killed and never restarted,
 * restarted on the same host, frozen; and of a recovery that is killed itself.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

/* The shortest that there is. */
#define LEASE      "3"
#define LEASE_MS   3000
#define SLACK_MS   4000 /* for machines that have other things to do */
#define RECOVERED  "given back, of a process that is gone"
#define RUN(scene) "run", "--redis", redis_url(&(scene)->redis)

#define start(program, ...) scene_run_as(program, PROGRAM_ARGS(__VA_ARGS__))

static void end(struct program *program)
{
    program_signal(program, SIGTERM);
    assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
}

/* The lock of the one that looks for the dead runs out by itself; not to have
 * to wait for that. */
static void free_leadership(struct scene *scene)
{
    redis_do(&scene->redis, "DEL corq:leader");
}

struct count {
    struct scene *scene;
    size_t count;
};

static bool are_waiting(void *argument)
{
    struct count *wait = argument;
    return scene_count_waiting(wait->scene, "queue") >= wait->count;
}

static bool sees_waiting(struct scene *scene, size_t count, int64_t timeout_ms)
{
    return wait_until(are_waiting, &(struct count){scene, count}, timeout_ms);
}

/* The jobs 1 to @njobs are in the queue, the first one next in line. */
static bool is_in_order(struct scene *scene, const char *prefix, size_t njobs)
{
    redisReply *jobs = redis_reply(&scene->redis, "LRANGE queue 0 -1");
    bool is_equal = jobs->elements == njobs;
    if (!is_equal)
        print_error("--- %zu jobs, expected %zu\n", jobs->elements, njobs);
    for (size_t i = 0; i < njobs && is_equal; i++) {
        char expected[32];
        const char *found = jobs->element[njobs - 1 - i]->str;
        snprintf(expected, sizeof expected, "%s%05zu", prefix, i + 1);
        is_equal = strcmp(found, expected) == 0;
        if (!is_equal)
            print_error("--- job %zu is %s\n", i + 1, found);
    }
    freeReplyObject(jobs);
    return is_equal;
}

/* --- killed --------------------------------------------------------------- */

/* As if it had run on another machine. */
static void move_elsewhere(struct scene *scene)
{
    redis_do(&scene->redis, "EVAL %s 0",
             "for _, key in ipairs(redis.call('KEYS', 'corq:lease:*')) do "
             "  redis.call('SET', key, '1:elsewhere', 'KEEPTTL') "
             "end");
}

static void killed_for_good_another_takes_over(void **state)
{
    struct scene *scene = *state;
    struct ledger ledger;
    char note[80];
    ledger_open(&ledger, "0.5", 50);
    scene_push_sleeps(scene, "queue", "0.5", 50);
    start(&scene->corq, RUN(scene), "--lease", LEASE);
    assert_true(scene_sees_lines(scene, "Wait 0.5", 50));
    program_freeze(&scene->corq);
    move_elsewhere(scene);
    program_kill(&scene->corq);
    int64_t start_ms = coro_now_ms();
    free_leadership(scene);
    start(&scene->second, RUN(scene), "--lease", LEASE);
    assert_true(program_wait_for_lines(&scene->second, "Done 0.5", 50,
                                       2 * LEASE_MS + SLACK_MS));
    snprintf(note, sizeof note, "by another after %.1f s, the lease is %s s",
             (double)(coro_now_ms() - start_ms) / 1000, LEASE);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->second);
    ledger_enter(&ledger, &scene->corq);
    ledger_enter(&ledger, &scene->second);
    verdict_of_ledger((struct verdict){.row = VERDICT_KILLED_FOR_GOOD,
                                       .most_twice = 50,
                                       .note = note},
                      &ledger, &scene->redis, QUEUES("queue"));
    ledger_close(&ledger);
    assert_int_equal(program_count_lines(&scene->second, RECOVERED), 1);
}

static void restarted_on_the_same_host_it_goes_on_at_once(void **state)
{
    struct scene *scene = *state;
    char note[40];
    scene_push_sleeps(scene, "queue", "600.0", 50);
    start(&scene->corq, RUN(scene));
    assert_true(scene_sees_lines(scene, "Wait 600.0", 50));
    program_kill(&scene->corq);
    int64_t start_ms = coro_now_ms();
    start(&scene->second, RUN(scene), "--shutdown-timeout", "0");
    assert_true(
        program_wait_for_lines(&scene->second, "Wait 600.0", 50, SLACK_MS));
    snprintf(note, sizeof note, "run again after %.2f s",
             (double)(coro_now_ms() - start_ms) / 1000);
    end(&scene->second);
    assert_true(is_in_order(scene, "600.0", 50));
    verdict_give(&(struct verdict){.row = VERDICT_KILLED,
                                   .njobs = 50,
                                   .ntwice = 50,
                                   .most_twice = 50,
                                   .note = note});
}

/* --- the recovery is killed ----------------------------------------------- */

static void a_recovery_killed_in_the_middle_doubles_nothing(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(10000, 1000);
    size_t nkills = test_scale_is_full() ? 20 : test_scale(4, 1);
    char concurrency[24];
    struct coro_rng rng;
    coro_rng_init_random(&rng);
    snprintf(concurrency, sizeof concurrency, "%zu", njobs);
    scene_push_sleeps(scene, "queue", "600.0", njobs);
    start(&scene->corq, RUN(scene), "--concurrency", concurrency);
    assert_true(scene_sees_lines(scene, "Wait 600.0", njobs));
    program_kill(&scene->corq);
    size_t nmiddle = 0;
    for (size_t i = 0; i < nkills; i++) {
        size_t nback = scene_count_waiting(scene, "queue");
        size_t step = (njobs - nback) / (nkills - i + 1) / 2;
        if (step == 0)
            break; /* it was faster than we */
        free_leadership(scene);
        program_start(&scene->second, PROGRAM_ARGS(RUN(scene), "--lease", LEASE,
                                                   "--queue", "another"));
        assert_true(sees_waiting(scene,
                                 nback + 1 + (size_t)coro_rng_below(&rng, step),
                                 PATIENCE_MS));
        program_kill(&scene->second);
        nmiddle += scene_count_waiting(scene, "queue") < njobs;
    }
    start(&scene->second, RUN(scene), "--lease", LEASE, "--queue", "another");
    free_leadership(scene);
    assert_true(sees_waiting(scene, njobs, PATIENCE_MS));
    end(&scene->second);
    assert_true(nmiddle > 0);
    assert_true(is_in_order(scene, "600.0", njobs));
    char note[60];
    snprintf(note, sizeof note, "a recovery killed in its middle %zu times",
             nmiddle);
    verdict_give(
        &(struct verdict){.row = VERDICT_KILLED, .njobs = njobs, .note = note});
}

/* --- Redis is frozen ------------------------------------------------------ */

static void after_a_freeze_of_redis_nobody_is_taken_for_dead(void **state)
{
    struct scene *scene = *state;
    size_t njobs = test_scale(4000, 1000);
    struct ledger ledger;
    ledger_open(&ledger, "0.05", njobs);
    redis_do(&scene->redis, "LPUSH queue 8.5");
    start(&scene->corq, RUN(scene), "--lease", LEASE, "--concurrency", "50");
    assert_true(scene_sees(scene, "Wait 8.5 "));
    start(&scene->second, RUN(scene), "--lease", LEASE, "--concurrency", "50");
    scene_push_sleeps(scene, "queue", "0.05", njobs);
    assert_true(scene_sees_lines(scene, "Done 0.05", njobs / 8));
    redis_server_pause(&scene->redis);
    assert_true(scene_sees(scene, "Done 8.5 ")); /* longer than all leases */
    redis_server_resume(&scene->redis);
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->corq);
    end(&scene->second);
    ledger_enter(&ledger, &scene->corq);
    ledger_enter(&ledger, &scene->second);
    verdict_of_ledger((struct verdict){.row = VERDICT_REDIS_FROZEN}, &ledger,
                      &scene->redis, QUEUES("queue"));
    assert_int_equal(program_count_lines(&scene->corq, RECOVERED), 0);
    assert_int_equal(program_count_lines(&scene->second, RECOVERED), 0);
    assert_true(nothing_is_left(&scene->redis));
    ledger_close(&ledger);
}

/* How often the one that looks for the dead has looked. */
static long count_looks(struct scene *scene)
{
    char *info = redis_text(&scene->redis, "INFO commandstats");
    const char *calls = strstr(info, "cmdstat_sscan:calls=");
    long n = calls ? strtol(strchr(calls, '=') + 1, NULL, 10) : 0;
    free(info);
    return n;
}

static bool has_looked(void *argument)
{
    struct count *wait = argument;
    return count_looks(wait->scene) >= (long)wait->count;
}

static void see_looks(struct scene *scene, long nlooks)
{
    struct count wait = {scene, (size_t)nlooks};
    assert_true(wait_until(has_looked, &wait, PATIENCE_MS));
}

static bool is_lease_gone(void *argument)
{
    struct scene *scene = argument;
    return redis_integer(&scene->redis, "EVAL %s 0",
                         "return #redis.call('KEYS', 'corq:lease:*')") == 1;
}

/* The lease is known to be missing already when Redis freezes: what was seen
 * before that counts for nothing, a thawed process has time to say that it
 * lives. */
static void what_was_seen_before_a_freeze_counts_for_nothing(void **state)
{
    struct scene *scene = *state;
    start(&scene->second, RUN(scene), "--lease", "5", "--queue", "another");
    scene_push_sleeps(scene, "queue", "0.5", 10);
    start(&scene->corq, RUN(scene), "--lease", "5");
    assert_true(scene_sees_lines(scene, "Wait 0.5", 10));
    program_freeze(&scene->corq);
    assert_true(wait_until(is_lease_gone, scene, PATIENCE_MS));
    see_looks(scene, count_looks(scene) + 1);
    redis_do(&scene->redis, "LPUSH another 3.5");
    assert_true(
        program_wait_for_line(&scene->second, "Wait 3.5 ", PATIENCE_MS));
    long nlooks = count_looks(scene);
    redis_server_pause(&scene->redis);
    assert_true(
        program_wait_for_line(&scene->second, "Done 3.5 ", PATIENCE_MS));
    redis_server_resume(&scene->redis);
    see_looks(scene, nlooks + 2); /* the first of them is over */
    program_thaw(&scene->corq);
    assert_true(scene_sees_lines(scene, "Done 0.5", 10));
    assert_true(sees_drained(&scene->redis, QUEUES("queue", "another")));
    assert_int_equal(program_count_lines(&scene->second, RECOVERED), 0);
    end(&scene->corq);
    end(&scene->second);
    assert_int_equal(program_count_lines(&scene->corq, "Wait 0.5"), 10);
}

/* --- a process is frozen -------------------------------------------------- */

static size_t count_in_flight(struct scene *scene)
{
    return (size_t)redis_integer(
        &scene->redis, "EVAL %s 0",
        "local n = 0 "
        "for _, key in ipairs(redis.call('KEYS', 'corq:inflight:*')) do "
        "  n = n + redis.call('HLEN', key) "
        "end "
        "return n");
}

static void thawed_too_late_its_acks_change_nothing(void **state)
{
    struct scene *scene = *state;
    struct ledger ledger;
    ledger_open(&ledger, "4.0", 10);
    scene_push_sleeps(scene, "queue", "4.0", 10);
    start(&scene->corq, RUN(scene), "--lease", LEASE);
    assert_true(scene_sees_lines(scene, "Wait 4.0", 10));
    start(&scene->second, RUN(scene), "--lease", LEASE);
    program_freeze(&scene->corq);
    free_leadership(scene);
    assert_true(
        program_wait_for_lines(&scene->second, "Wait 4.0", 10, PATIENCE_MS));
    program_thaw(&scene->corq);
    assert_true(scene_sees_lines(scene, "Done 4.0", 10));
    assert_true(scene_sees(scene, "had been given to another process"));
    assert_true(scene_sees(scene, "the lease of this process ran out"));
    assert_int_equal(count_in_flight(scene), 10);
    assert_true(
        program_wait_for_lines(&scene->second, "Done 4.0", 10, PATIENCE_MS));
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    end(&scene->second);
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    end(&scene->corq);
    assert_int_equal(program_count_lines(&scene->second, "given to another"),
                     0);
    assert_true(nothing_is_left(&scene->redis));
    ledger_enter(&ledger, &scene->corq);
    ledger_enter(&ledger, &scene->second);
    verdict_of_ledger(
        (struct verdict){.row = VERDICT_PROCESS_FROZEN, .most_twice = 10},
        &ledger, &scene->redis, QUEUES("queue"));
    ledger_close(&ledger);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(killed_for_good_another_takes_over),
        scene_test(restarted_on_the_same_host_it_goes_on_at_once),
        scene_test(a_recovery_killed_in_the_middle_doubles_nothing),
        scene_test(after_a_freeze_of_redis_nobody_is_taken_for_dead),
        scene_test(what_was_seen_before_a_freeze_counts_for_nothing),
        scene_test(thawed_too_late_its_acks_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
