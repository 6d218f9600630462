/*
 * The end of the service, by each way that leads there.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/scale.h"
#include "tests/support/scene.h"

#define NWAITING 1000

/* Much less than the time-out, and time enough under any checker. */
#define SOON_MS 20000

/* --- under load ----------------------------------------------------------- */

/* Each job that scene_push_sleeps() has made is in one place only. */
static void assert_each_once(struct scene *scene, const char *prefix,
                             size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        char line[48], payload[32];
        snprintf(payload, sizeof payload, "%s%05zu", prefix, i);
        snprintf(line, sizeof line, "Wait %s ", payload);
        size_t nstarted = program_count_lines(&scene->corq, line);
        redisReply *reply =
            redis_reply(&scene->redis, "LPOS queue %s COUNT 0", payload);
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_int_equal(nstarted + reply->elements, 1);
        freeReplyObject(reply);
    }
}

/* So many run, and 1,000 wait. Returns how many there are. */
static size_t start_loaded(struct scene *scene, const char *prefix,
                           const char *timeout)
{
    size_t nrunning = test_scale(100, 20);
    char concurrency[24];
    snprintf(concurrency, sizeof concurrency, "%zu", nrunning);
    scene_push_sleeps(scene, "queue", prefix, nrunning + NWAITING);
    scene_run(scene, "--concurrency", concurrency, "--shutdown-timeout",
              timeout);
    assert_true(scene_sees_lines(scene, "Wait ", nrunning));
    return nrunning + NWAITING;
}

static void term_lets_running_jobs_finish(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_loaded(scene, "2.0", "600");
    assert_int_equal(scene_end(scene), 0);
    size_t ndone = program_count_lines(&scene->corq, "Done ");
    assert_true(ndone >= test_scale(100, 20));
    assert_int_equal(program_count_lines(&scene->corq, "Wait "), ndone);
    assert_int_equal(scene_count_waiting(scene, "queue") + ndone, njobs);
    assert_each_once(scene, "2.0", njobs);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_timeout_of_0_interrupts_what_runs(void **state)
{
    struct scene *scene = *state;
    size_t njobs = start_loaded(scene, "600.0", "0");
    size_t nrunning = njobs - NWAITING;
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), NWAITING);
    assert_int_equal(program_count_lines(&scene->corq, "Done "), 0);
    assert_int_equal(scene_count_dead(scene), nrunning);
    assert_each_once(scene, "600.0", njobs);
    for (size_t i = 0; i < nrunning; i++) {
        char *entry = scene_dead_entry(scene, i);
        unsigned number = 0;
        const char *payload = strstr(entry, "\"payload\":\"600.0");
        assert_non_null(payload);
        assert_int_equal(sscanf(payload + 16, "%5u\"", &number), 1);
        assert_in_range(number, 1, nrunning);
        assert_non_null(strstr(entry, "\"error_class\":\"Interrupted\""));
        free(entry);
    }
}

static void a_second_term_does_not_wait(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--shutdown-timeout", "600");
    redis_do(&scene->redis, "LPUSH queue 600");
    assert_true(scene_sees(scene, "Wait 600"));
    program_signal(&scene->corq, SIGTERM);
    assert_true(scene_sees(scene, "Waiting up to 600.0 s for 1 jobs"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_true(scene_dead_is(scene, 0, "600", 3, "interrupted"));
}

static void the_timeout_is_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--shutdown-timeout", "1s");
    redis_do(&scene->redis, "LPUSH queue 600 0.5");
    assert_true(scene_sees_lines(scene, "Wait ", 2));
    int64_t start_ms = coro_now_ms();
    assert_int_equal(scene_end(scene), 0);
    assert_true(coro_now_ms() - start_ms >= 1000);
    assert_true(scene_sees(scene, "Done 0.5"));
    assert_int_equal(scene_count_dead(scene), 1);
    assert_true(scene_dead_is(scene, 0, "600", 3, "interrupted"));
}

static void term_when_idle_ends_at_once(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--shutdown-timeout", "600");
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, SOON_MS), 0);
    assert_true(scene_sees(scene, "ended done=1 failed=0 interrupted=0"));
}

/* --- with a Redis of its own ---------------------------------------------- */

static void start_embedded(struct scene *scene)
{
    char dir[80];
    snprintf(dir, sizeof dir, "--embedded-redis=%s/data/of/it",
             scene->redis.dir);
    char url[80];
    snprintf(url, sizeof url, "unix://%s", scene->redis.socket_path);
    scene_run_as(&scene->corq,
                 PROGRAM_ARGS("run", "--redis", url, dir, "--concurrency", "1",
                              "--delivery", "at-most-once"));
}

static pid_t embedded_pid(struct scene *scene)
{
    char *info = redis_text(&scene->redis, "INFO server");
    const char *line = strstr(info, "process_id:");
    assert_non_null(line);
    pid_t pid = (pid_t)strtol(line + strlen("process_id:"), NULL, 10);
    free(info);
    assert_true(pid > 1);
    return pid;
}

static void int_leaves_no_redis_and_loses_no_job(void **state)
{
    struct scene *scene = *state;
    start_embedded(scene);
    redis_do(&scene->redis, "LPUSH queue 1 1.1 1.2");
    pid_t pid = embedded_pid(scene);
    assert_int_equal(kill(pid, 0), 0);
    assert_true(scene_sees(scene, "Wait 1 "));
    program_signal(&scene->corq, SIGINT);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_true(kill(pid, 0) < 0 && errno == ESRCH);
    assert_int_equal(program_count_lines(&scene->corq, "Done "), 1);

    start_embedded(scene);
    assert_true(scene_sees_lines(scene, "Done ", 2));
    assert_int_equal(program_count_lines(&scene->corq, "Wait 1 "), 0);
    pid = embedded_pid(scene);
    assert_int_equal(scene_end(scene), 0);
    assert_true(kill(pid, 0) < 0 && errno == ESRCH);
}

struct process {
    pid_t pid;
};

static bool is_gone(void *argument)
{
    const struct process *process = argument;
    return kill(process->pid, 0) < 0;
}

static void its_redis_does_not_outlive_a_killed_corq(void **state)
{
    struct scene *scene = *state;
    start_embedded(scene);
    struct process redis = {embedded_pid(scene)};
    program_signal(&scene->corq, SIGKILL);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS),
                     1000 + SIGKILL);
    assert_true(wait_until(is_gone, &redis, PATIENCE_MS));
}

/* --- other signals -------------------------------------------------------- */

static void tstp_takes_no_more_jobs(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "2");
    redis_do(&scene->redis, "LPUSH queue 2");
    assert_true(scene_sees(scene, "Wait 2 "));
    program_signal(&scene->corq, SIGTSTP);
    assert_true(scene_sees(scene, "quiet: "));
    /* The pop that was under way may still bring one. */
    redis_do(&scene->redis, "LPUSH queue 0.1 0.1 0.1 0.1");
    assert_true(scene_sees(scene, "Done 2 "));
    assert_true(program_is_running(&scene->corq));
    size_t nwaiting = scene_count_waiting(scene, "queue");
    assert_in_range(nwaiting, 3, 4);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), nwaiting);
    assert_int_equal(program_count_lines(&scene->corq, "Done 0.1"),
                     4 - nwaiting);
    assert_int_equal(scene_count_dead(scene), 0);
}

/* The fetcher waits for jobs, and who moves due ones for news of them; until
 * then either may be just about to run. */
static bool are_both_blocked(void *argument)
{
    return scene_count_blocked(argument) == 2;
}

static void usr2_tells_every_job_that_runs(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "7");
    redis_do(&scene->redis, "LPUSH queue 600 601");
    assert_true(scene_sees_lines(scene, "Wait ", 2));
    assert_true(wait_until(are_both_blocked, scene, PATIENCE_MS));
    program_signal(&scene->corq, SIGUSR2);
    assert_true(scene_sees_lines(scene, "runs a job state=waiting", 2));
    assert_true(scene_sees(scene, "queue=queue job=1 age="));
    assert_true(scene_sees(scene, "queue=queue job=2 age="));
    assert_true(scene_sees(scene, "7 coroutines: 2 run a job, 5 wait"));
    assert_true(scene_sees(scene, "2 jobs with the worker"));
    assert_true(scene_sees(scene, "task 'fetch' waits for "));
    assert_true(scene_sees_lines(scene, " waits_for=sleep waited=", 2));
    assert_true(scene_sees_lines(scene, "registry_run < work < task_main", 2));
}

static void hup_does_not_end_it(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--concurrency", "1");
    program_signal(&scene->corq, SIGHUP);
    assert_true(scene_sees(scene, "SIGHUP"));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1"));
    assert_int_equal(scene_end(scene), 0);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
#define bare_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_without_redis, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(term_lets_running_jobs_finish),
        scene_test(a_timeout_of_0_interrupts_what_runs),
        scene_test(a_second_term_does_not_wait),
        scene_test(the_timeout_is_waited_for),
        scene_test(term_when_idle_ends_at_once),
        bare_test(int_leaves_no_redis_and_loses_no_job),
        bare_test(its_redis_does_not_outlive_a_killed_corq),
        scene_test(tstp_takes_no_more_jobs),
        scene_test(usr2_tells_every_job_that_runs),
        scene_test(hup_does_not_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
