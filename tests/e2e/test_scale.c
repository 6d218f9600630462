/*
 * One queue and more and more processes: everything is run once, all get their
 * share, doing nothing costs little, and a push wakes one process and not all.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/ledger.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

/* Of each process; and how many jobs each of its coroutines gets to run, when
 * all get the same. */
#define CONCURRENCY 4
#define TURNS       25

/* Those of a process that does nothing, with what is done inside scripts: there
 * are 5 to 10, the latter where there is only one. */
#define IDLE_MOST_PER_S 20

#define NPUSHES 20

static size_t many(void)
{
    return test_scale_is_full() ? 64 : test_scale(8, 2);
}

static double info(struct scene *scene, const char *field)
{
    char *text = redis_text(&scene->redis, "INFO all");
    const char *at = strstr(text, field);
    double value = at ? strtod(at + strlen(field), NULL) : 0;
    free(text);
    return value;
}

/* All that can be blocked in the pops of @nprocesses; the one that leads waits
 * in another one for news besides. */
struct rest {
    struct scene *scene;
    size_t nprocesses;
};

static bool is_at_rest(void *argument)
{
    struct rest *rest = argument;
    return info(rest->scene, "blocked_clients:") == rest->nprocesses + 1;
}

static void see_rest(struct scene *scene, size_t nprocesses)
{
    struct rest rest = {scene, nprocesses};
    assert_true(wait_until(is_at_rest, &rest, PATIENCE_MS));
}

static void start(struct scene *scene, size_t nprocesses)
{
    char processes[24], concurrency[24];
    snprintf(processes, sizeof processes, "%zu", nprocesses);
    snprintf(concurrency, sizeof concurrency, "%d", CONCURRENCY);
    program_start(&scene->corq,
                  PROGRAM_ARGS("run", "--redis", redis_url(&scene->redis),
                               "--processes", processes, "--concurrency",
                               concurrency));
    see_rest(scene, nprocesses);
}

/* --- everything once, and all get their share ----------------------------- */

/* What each process has counted is kept for a minute after its end. One that
 * had nothing to count has kept nothing. */
static double least_share(struct scene *scene, size_t nprocesses, double njobs)
{
    redisReply *totals = redis_reply(
        &scene->redis, "EVAL %s 0",
        "local all = {} "
        "for _, key in ipairs(redis.call('KEYS', 'corq:mark:*:counted')) do "
        "  all[#all + 1] = tonumber(redis.call('HGET', key, 'processed') or 0) "
        "end "
        "return all");
    double least = INFINITY, sum = 0;
    for (size_t i = 0; i < totals->elements; i++) {
        sum += (double)totals->element[i]->integer;
        least = fmin(least, (double)totals->element[i]->integer);
    }
    if (totals->elements < nprocesses)
        least = 0;
    freeReplyObject(totals);
    assert_int_equal(sum, njobs);
    return least * (double)nprocesses / njobs;
}

static void share_a_backlog(struct scene *scene, size_t nprocesses)
{
    size_t njobs = nprocesses * CONCURRENCY * TURNS;
    struct ledger ledger;
    ledger_open(&ledger, "0.1", njobs);
    start(scene, nprocesses);
    scene_push_sleeps(scene, "stash", "0.1", njobs);
    redis_do(&scene->redis, "RENAME stash queue");
    assert_true(sees_drained(&scene->redis, QUEUES("queue")));
    assert_int_equal(scene_end(scene), 0);
    ledger_enter(&ledger, &scene->corq);
    assert_true(ledger_balances(&ledger, 0));
    double least = least_share(scene, nprocesses, (double)njobs);
    print_message("--- %zu processes: nobody had less than %.2f of the mean\n",
                  nprocesses, least);
    assert_true(least > 1.0 / 3);
    assert_true(nothing_is_left(&scene->redis));
    ledger_close(&ledger);
}

static void one_process_runs_everything_once(void **state)
{
    share_a_backlog(*state, 1);
}

static void many_processes_share_a_backlog(void **state)
{
    share_a_backlog(*state, many());
}

/* --- doing nothing -------------------------------------------------------- */

/* What the server was asked for, but for our own questions. */
static double count_commands(struct scene *scene)
{
    return info(scene, "total_commands_processed:") -
           info(scene, "cmdstat_info:calls=");
}

/* Redis before 6.2 knows only the older one. */
static double count_pops(struct scene *scene)
{
    return info(scene, "cmdstat_blmove:calls=") +
           info(scene, "cmdstat_brpoplpush:calls=");
}

struct pops {
    struct scene *scene;
    double wanted;
};

static bool have_popped(void *argument)
{
    struct pops *pops = argument;
    return count_pops(pops->scene) >= pops->wanted;
}

/* Watched for two rounds of pops, in which each process has begun anew. */
static void doing_nothing_costs_each_process_the_same_little(void **state)
{
    struct scene *scene = *state;
    size_t nprocesses = many();
    start(scene, nprocesses);
    int64_t start_ms = coro_now_ms();
    double ncommands = count_commands(scene);
    struct pops pops = {scene, count_pops(scene) + 2.0 * (double)nprocesses};
    assert_true(wait_until(have_popped, &pops, PATIENCE_MS));
    ncommands = count_commands(scene) - ncommands;
    double took_s = (double)(coro_now_ms() - start_ms) / 1000;
    double each = ncommands / took_s / (double)nprocesses;
    print_message("--- %zu idle processes: %.1f commands a second each\n",
                  nprocesses, each);
    assert_true(took_s > 5);
    assert_true(each < IDLE_MOST_PER_S);
    assert_int_equal(scene_end(scene), 0);
}

/* --- one push ------------------------------------------------------------- */

static redisContext *watch(struct scene *scene)
{
    redisContext *monitor = redisConnect("127.0.0.1", scene->redis.port);
    assert_true(monitor && monitor->err == 0);
    redisReply *reply = redisCommand(monitor, "MONITOR");
    assert_non_null(reply);
    freeReplyObject(reply);
    return monitor;
}

/* How often somebody asked for jobs since the last call. */
static size_t count_claims(struct scene *scene, redisContext *monitor)
{
    size_t n = 0;
    bool is_over = false;
    redis_do(&scene->redis, "ECHO the-end");
    while (!is_over) {
        void *line;
        assert_int_equal(redisGetReply(monitor, &line), REDIS_OK);
        redisReply *reply = line;
        is_over = strstr(reply->str, "the-end");
        n += strstr(reply->str, "\"EVALSHA\"") &&
             strstr(reply->str, "corq:inbox:");
        freeReplyObject(reply);
    }
    return n;
}

/* A process whose pop has just timed out asks as well, once in five seconds: so
 * now and then there are two. */
static void one_push_wakes_one_process(void **state)
{
    struct scene *scene = *state;
    size_t nprocesses = many(), nalone = 0, nclaims = 0;
    start(scene, nprocesses);
    redisContext *monitor = watch(scene);
    for (size_t i = 1; i <= NPUSHES; i++) {
        count_claims(scene, monitor);
        redis_do(&scene->redis, "LPUSH queue 0");
        assert_true(scene_sees_lines(scene, "Done 0", i));
        see_rest(scene, nprocesses);
        size_t n = count_claims(scene, monitor);
        assert_true(n >= 1);
        nalone += n == 1;
        nclaims += n;
    }
    redisFree(monitor);
    print_message("--- %zu processes: %d pushes, %zu claims, %zu times one\n",
                  nprocesses, NPUSHES, nclaims, nalone);
    assert_true(nalone >= NPUSHES * 3 / 4);
    assert_int_equal(scene_end(scene), 0);
    assert_true(nothing_is_left(&scene->redis));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(one_process_runs_everything_once),
        scene_test(many_processes_share_a_backlog),
        scene_test(doing_nothing_costs_each_process_the_same_little),
        scene_test(one_push_wakes_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
