/*
 * corq push: jobs with a class, with a time, with retries of their own; what
 * is in Redis then, and what is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/scene.h"

/* Pushes with more words; the exit status. */
#define push(scene, ...)                                                    \
    program_run(&(scene)->corq,                                             \
                PROGRAM_ARGS("push", "--redis", redis_url(&(scene)->redis), \
                             __VA_ARGS__))

/* The exit status is 2, and @text is on standard error. */
#define assert_misused(scene, text, ...)                         \
    do {                                                         \
        assert_int_equal(push(scene, __VA_ARGS__), 2);           \
        if (!strstr(program_log(&(scene)->corq), text))          \
            fail_msg("'%s' is not in:\n%s", text,                \
                     program_log(&(scene)->corq));               \
        assert_string_equal(program_output(&(scene)->corq), ""); \
    } while (0)

/* Takes what was printed: a jid and nothing else. */
static const char *printed_jid(struct scene *scene)
{
    static char jid[32];
    snprintf(jid, sizeof jid, "%s", program_output(&scene->corq));
    assert_int_equal(strlen(jid), 25);
    assert_int_equal(jid[24], '\n');
    jid[24] = '\0';
    assert_string_equal(program_log(&scene->corq), "");
    return jid;
}

static void assert_silent(struct scene *scene)
{
    assert_string_equal(program_output(&scene->corq), "");
    assert_string_equal(program_log(&scene->corq), "");
}

/* The next job of @key has all of @parts, up to NULL. */
static void assert_job(struct scene *scene, const char *key,
                       const char *const *parts)
{
    char *job = redis_text(&scene->redis, "RPOP %s", key);
    assert_non_null(job);
    for (size_t i = 0; parts[i]; i++)
        if (!strstr(job, parts[i]))
            fail_msg("'%s' is not in: %s", parts[i], job);
    free(job);
}

/* The only entry of @set has all of @parts; its score. */
static double assert_waits(struct scene *scene, const char *set,
                           const char *const *parts)
{
    redisReply *reply =
        redis_reply(&scene->redis, "ZRANGE %s 0 -1 WITHSCORES", set);
    assert_int_equal(reply->elements, 2);
    for (size_t i = 0; parts[i]; i++)
        if (!strstr(reply->element[0]->str, parts[i]))
            fail_msg("'%s' is not in: %s", parts[i], reply->element[0]->str);
    double score = strtod(reply->element[1]->str, NULL);
    freeReplyObject(reply);
    return score;
}

static double now_s(void)
{
    return (double)coro_wall_us() / 1e6;
}

/* --- with a class --------------------------------------------------------- */

static void a_class_makes_a_job_and_its_id_is_printed(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(
        push(scene, "mail", "--class", "Welcome", "--args", "[7,\"a b\"]"), 0);
    char jid[48];
    snprintf(jid, sizeof jid, "\"jid\":\"%s\"}", printed_jid(scene));
    assert_job(
        scene, "mail",
        PROGRAM_ARGS("{\"class\":\"Welcome\",\"args\":[7,\"a b\"],", jid));
    assert_int_equal(push(scene, "mail", "--class", "Bare"), 0);
    assert_job(scene, "mail", PROGRAM_ARGS("\"args\":[]"));
}

static void a_job_for_all_is_listed_and_complete(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "queue:mail", "--class", "A", "--retry", "3"),
                     0);
    printed_jid(scene);
    assert_job(scene, "queue:mail",
               PROGRAM_ARGS("\"queue\":\"mail\"", "\"retry\":3",
                            "\"created_at\":", "\"enqueued_at\":"));
    assert_int_equal(redis_integer(&scene->redis, "SISMEMBER queues mail"), 1);
    assert_int_equal(push(scene, "queue:mail", "{\"class\":\"A\"}"), 0);
    assert_silent(scene);
    assert_job(scene, "queue:mail", PROGRAM_ARGS("\"retry\":true"));
}

static void a_job_is_pushed_though_its_queue_cant_be_listed(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET queues nonsense");
    assert_int_equal(push(scene, "queue:mail", "{\"class\":\"A\"}"), 0);
    assert_non_null(strstr(program_log(&scene->corq),
                           "its queue is not listed in 'queues': WRONGTYPE"));
    assert_int_equal(redis_integer(&scene->redis, "LLEN queue:mail"), 1);
}

static void other_keys_get_the_bytes_as_they_are(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "mail", "{\"class\":\"A\"}"), 0);
    assert_silent(scene);
    char *job = redis_text(&scene->redis, "RPOP mail");
    assert_string_equal(job, "{\"class\":\"A\"}");
    free(job);
    assert_int_equal(push(scene, "queue:raw", "5"), 0);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS queues"), 0);
}

/* --- with a time ---------------------------------------------------------- */

static void a_raw_job_waits_in_our_own_set(void **state)
{
    struct scene *scene = *state;
    double before = now_s();
    assert_int_equal(push(scene, "mail", "5", "--in", "100s"), 0);
    char jid[48];
    snprintf(jid, sizeof jid, "\"jid\":\"%s\"", printed_jid(scene));
    double score =
        assert_waits(scene, "corq:schedule",
                     PROGRAM_ARGS(jid, "\"key\":\"mail\",\"payload\":\"5\""));
    assert_true(score >= before + 99.999 && score <= now_s() + 100.001);
    assert_int_equal(redis_integer(&scene->redis, "LLEN corq:wake"), 1);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS mail"), 0);
}

static void a_job_for_all_waits_where_all_look(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "queue:mail", "--class", "A", "--at",
                          "9999-11-25T10:00:00.5Z"),
                     0);
    printed_jid(scene);
    double score =
        assert_waits(scene, "schedule",
                     PROGRAM_ARGS("\"queue\":\"mail\"", "\"created_at\":"));
    assert_true(score == 253399140000.5);
    assert_int_equal(redis_integer(&scene->redis, "EXISTS queues queue:mail"),
                     0);
}

static void a_time_that_has_come_is_now(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "mail", "5", "--at", "1000"), 0);
    assert_silent(scene);
    assert_int_equal(push(scene, "mail", "6", "--in=0"), 0);
    assert_job(scene, "mail", PROGRAM_ARGS("5"));
    assert_job(scene, "mail", PROGRAM_ARGS("6"));
    assert_int_equal(redis_integer(&scene->redis, "DBSIZE"), 0);
}

static void a_set_of_the_wrong_type_is_told(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "SET corq:schedule nonsense");
    assert_int_equal(push(scene, "mail", "5", "--in", "1h"), 1);
    assert_non_null(strstr(program_log(&scene->corq), "WRONGTYPE"));
    assert_string_equal(program_output(&scene->corq), "");
}

static void a_full_server_takes_no_new_job(void **state)
{
    struct scene *scene = *state;
    redis_do(&scene->redis, "CONFIG SET maxmemory 1");
    assert_int_equal(push(scene, "mail", "5", "--in", "1h"), 1);
    assert_non_null(strstr(program_log(&scene->corq), "OOM"));
}

/* --- with retries --------------------------------------------------------- */

static void a_raw_job_with_retries_gets_an_envelope(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(push(scene, "mail", "5", "--retry", "2"), 0);
    assert_silent(scene);
    assert_job(scene, "mail", PROGRAM_ARGS("\"payload\":\"5\"", "\"retry\":2"));
}

static void retries_of_the_environment_are_not_for_push(void **state)
{
    struct scene *scene = *state;
    const char *const *arguments =
        PROGRAM_ARGS("push", "--redis", redis_url(&scene->redis), "mail", "5");
    program_start_with(&scene->corq,
                       &(struct program_options){
                           .arguments = arguments,
                           .environment = PROGRAM_ARGS("CORQ_RETRY=2"),
                       });
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    char *job = redis_text(&scene->redis, "RPOP mail");
    assert_string_equal(job, "5");
    free(job);
}

/* --- mistakes ------------------------------------------------------------- */

static void what_does_not_go_together_is_refused(void **state)
{
    struct scene *scene = *state;
    assert_misused(scene, "found --in and --at: expected one of them", "q", "5",
                   "--in", "1", "--at", "2");
    assert_misused(scene, "found --args without --class", "q", "5", "--args",
                   "[]");
    assert_misused(scene, "found '5' after the queue: expected either --class",
                   "q", "5", "--class", "A");
    assert_misused(scene, "found no queue", "--class", "A");
    assert_misused(scene, "--args: found '{}', expected a JSON array", "q",
                   "--class", "A", "--args", "{}");
    assert_misused(scene, "--class: expected valid UTF-8", "q", "--class",
                   "\xff");
    assert_misused(scene, "--at: found 'soon', expected seconds since 1970",
                   "q", "5", "--at", "soon");
    assert_misused(scene, "the job is too long", "q", "--class", "A", "--args",
                   "[1,2,3,4]", "--max-payload", "20");
    assert_int_equal(redis_integer(&scene->redis, "DBSIZE"), 0);
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_class_makes_a_job_and_its_id_is_printed),
        scene_test(a_job_for_all_is_listed_and_complete),
        scene_test(a_job_is_pushed_though_its_queue_cant_be_listed),
        scene_test(other_keys_get_the_bytes_as_they_are),
        scene_test(a_raw_job_waits_in_our_own_set),
        scene_test(a_job_for_all_waits_where_all_look),
        scene_test(a_time_that_has_come_is_now),
        scene_test(a_set_of_the_wrong_type_is_told),
        scene_test(a_full_server_takes_no_new_job),
        scene_test(a_raw_job_with_retries_gets_an_envelope),
        scene_test(retries_of_the_environment_are_not_for_push),
        scene_test(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
