/*
 * From the start to the first job: what Redis may be like, and what it wants.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/scene.h"
#include "tests/support/verdict.h"

#define SECRET "s3cr3t-w0rd"

/* Runs corq with @url in place of the scene's and returns its exit status. */
static int run_to_the_end(struct scene *scene, const char *url)
{
    return program_run(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
}

static void assert_secret_is_kept(struct scene *scene)
{
    assert_null(strstr(program_log(&scene->corq), SECRET));
    assert_null(strstr(program_output(&scene->corq), SECRET));
}

/* A URL of the scene's server with something before its host and behind it. */
static const char *url_with(struct scene *scene, char *url, size_t size,
                            const char *before, const char *behind)
{
    snprintf(url, size, "redis://%s127.0.0.1:%u%s", before,
             (unsigned)scene->redis.port, behind);
    return url;
}

static void assert_a_job_runs(struct scene *scene)
{
    redis_do(&scene->redis, "LPUSH queue 0.1");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_int_equal(scene_end(scene), 0);
}

/* --- not there ------------------------------------------------------------ */

/* Three attempts at the least, as the other side of the port sees them. */
static void see_attempts(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    for (int i = 0; i < 3; i++) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(connection >= 0);
        /* Reset, so that the port is free for the server afterwards. */
        struct linger linger = {.l_onoff = 1};
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(connection);
    }
    close(fd);
}

static void an_absent_redis_is_waited_for_quietly(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(SCENE_RUN(scene)));
    assert_true(scene_sees(scene, "Connection refused; trying again"));
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 1);
    see_attempts(scene->redis.port);
    /* A line for each reason, not for each attempt. */
    assert_true(program_count_lines(&scene->corq, " warn ") <= 2);
    assert_int_equal(program_count_lines(&scene->corq, "ready: "), 0);
    redis_server_again(&scene->redis);
    assert_true(scene_sees(scene, "ready: "));
    assert_a_job_runs(scene);
    verdict_give(&(struct verdict){.row = VERDICT_ABSENT, .njobs = 1});
}

static void without_redis_nothing_is_ready(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq, PROGRAM_ARGS(SCENE_RUN(scene)));
    assert_true(scene_sees(scene, "trying again until it answers"));
    assert_int_equal(program_count_lines(&scene->corq, "ready: "), 0);
    program_signal(&scene->corq, SIGTERM);
    assert_int_equal(program_wait_exit(&scene->corq, PATIENCE_MS), 0);
    assert_int_equal(program_count_lines(&scene->corq, " warn "), 1);
    assert_int_equal(program_count_lines(&scene->corq, " error "), 0);
}

static void without_waiting_an_absent_redis_is_an_error(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(
        program_run(&scene->corq,
                    PROGRAM_ARGS(SCENE_RUN(scene), "--wait-redis", "0")),
        75);
    assert_true(scene_sees(scene, "no Redis within the time of --wait-redis"));
    verdict_give(&(struct verdict){.row = VERDICT_ABSENT,
                                   .note = "--wait-redis 0: status 75"});
}

static void a_redis_that_stays_away_is_given_up_in_time(void **state)
{
    struct scene *scene = *state;
    int64_t start_ms = coro_now_ms();
    assert_int_equal(
        program_run(&scene->corq,
                    PROGRAM_ARGS(SCENE_RUN(scene), "--wait-redis", "700ms")),
        75);
    assert_true(coro_now_ms() - start_ms >= 700);
}

static void a_name_that_is_not_known_is_told(void **state)
{
    struct scene *scene = *state;
    program_start(&scene->corq,
                  PROGRAM_ARGS("run", "--redis", "redis://nowhere.invalid"));
    assert_true(scene_sees(scene, "resolve the name 'nowhere.invalid'"));
    assert_int_equal(scene_end(scene), 0);
}

/* --- passwords ------------------------------------------------------------ */

static int open_with_password(void **state)
{
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    scene->redis.password = SECRET;
    redis_server_start(&scene->redis, "requirepass " SECRET "\n"
                                      "user ann on >" SECRET "2 ~* +@all\n");
    return 0;
}

static void a_wrong_password_ends_it_and_is_told_to_nobody(void **state)
{
    struct scene *scene = *state;
    char url[100];
    assert_int_equal(run_to_the_end(scene, url_with(scene, url, sizeof url,
                                                    ":" SECRET "-wrong@", "")),
                     78);
    assert_true(scene_sees(scene, "Redis refuses us: WRONGPASS"));
    assert_secret_is_kept(scene);
    verdict_give(
        &(struct verdict){.row = VERDICT_PASSWORD, .note = "wrong: status 78"});
}

static void a_missing_password_ends_it(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run_to_the_end(scene, redis_url(&scene->redis)), 78);
    assert_true(scene_sees(scene, "NOAUTH"));
    verdict_give(&(struct verdict){.row = VERDICT_PASSWORD,
                                   .note = "missing: status 78"});
}

static void the_right_password_lets_it_in(void **state)
{
    struct scene *scene = *state;
    char url[100];
    url_with(scene, url, sizeof url, ":" SECRET "@", "");
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
    assert_a_job_runs(scene);
    assert_secret_is_kept(scene);
}

static void a_user_with_a_password_gets_in(void **state)
{
    struct scene *scene = *state;
    char url[100];
    url_with(scene, url, sizeof url, "ann:" SECRET "2@", "");
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
    char *list = redis_text(&scene->redis, "CLIENT LIST");
    assert_non_null(strstr(list, "user=ann"));
    free(list);
    assert_a_job_runs(scene);
    assert_secret_is_kept(scene);
}

static void a_password_from_the_environment_does(void **state)
{
    struct scene *scene = *state;
    char variable[120], url[100];
    url_with(scene, url, sizeof url, ":" SECRET "@", "");
    snprintf(variable, sizeof variable, "CORQ_REDIS_URL=%s", url);
    program_start_with(&scene->corq, &(struct program_options){
                                         .arguments = PROGRAM_ARGS("run"),
                                         .environment = PROGRAM_ARGS(variable),
                                     });
    assert_true(scene_sees(scene, "ready: "));
    assert_a_job_runs(scene);
    assert_secret_is_kept(scene);
}

/* --- where it is ---------------------------------------------------------- */

static void the_database_of_the_url_is_used(void **state)
{
    struct scene *scene = *state;
    char url[100];
    url_with(scene, url, sizeof url, "", "/3");
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
    redis_do(&scene->redis, "LPUSH queue 0.2");
    redis_do(&scene->redis, "SELECT 3");
    redis_do(&scene->redis, "LPUSH queue 0.1 abc");
    assert_true(scene_sees(scene, "Done 0.1 "));
    assert_true(scene_sees_dead(scene, 1));
    redis_do(&scene->redis, "SELECT 0");
    assert_int_equal(scene_count_waiting(scene, "queue"), 1);
    assert_int_equal(scene_count_dead(scene), 0);
}

static void a_database_that_is_not_there_ends_it(void **state)
{
    struct scene *scene = *state;
    char url[100];
    url_with(scene, url, sizeof url, "", "/99");
    assert_int_equal(run_to_the_end(scene, url), 78);
    assert_true(scene_sees(scene, "Redis refuses us: ERR DB index"));
}

static void a_unix_socket_will_do(void **state)
{
    struct scene *scene = *state;
    char url[100];
    snprintf(url, sizeof url, "unix://%s?db=2", scene->redis.socket_path);
    scene_run_as(&scene->corq, PROGRAM_ARGS("run", "--redis", url));
    redis_do(&scene->redis, "SELECT 2");
    assert_a_job_runs(scene);
}

static int open_with_cluster(void **state)
{
    scene_open_without_redis(state);
    struct scene *scene = *state;
    redis_server_release(&scene->redis);
    redis_server_start(&scene->redis, "cluster-enabled yes\n");
    return 0;
}

static void a_cluster_is_refused(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run_to_the_end(scene, redis_url(&scene->redis)), 78);
    assert_true(scene_sees(scene, "Redis Cluster is not supported"));
}

/* One for commands, one to wait for jobs, one for news of jobs that become due,
 * as long as no other process does that; and ours. */
static bool has_three_connections(void *argument)
{
    struct scene *scene = argument;
    char *info = redis_text(&scene->redis, "INFO clients");
    bool has_three = strstr(info, "connected_clients:4\r\n");
    free(info);
    return has_three;
}

static void three_connections_are_all_it_has(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "--queue", "a", "--queue", "b");
    redis_do(&scene->redis, "LPUSH b 0.01");
    assert_true(scene_sees(scene, "Done 0.01 "));
    assert_true(wait_until(has_three_connections, scene, PATIENCE_MS));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
#define bare_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open_without_redis, scene_close)
#define password_test(name) \
    cmocka_unit_test_setup_teardown(name, open_with_password, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(an_absent_redis_is_waited_for_quietly),
        bare_test(without_redis_nothing_is_ready),
        bare_test(without_waiting_an_absent_redis_is_an_error),
        bare_test(a_redis_that_stays_away_is_given_up_in_time),
        bare_test(a_name_that_is_not_known_is_told),
        password_test(a_wrong_password_ends_it_and_is_told_to_nobody),
        password_test(a_missing_password_ends_it),
        password_test(the_right_password_lets_it_in),
        password_test(a_user_with_a_password_gets_in),
        password_test(a_password_from_the_environment_does),
        scene_test(the_database_of_the_url_is_used),
        scene_test(a_database_that_is_not_there_ends_it),
        scene_test(a_unix_socket_will_do),
        cmocka_unit_test_setup_teardown(a_cluster_is_refused, open_with_cluster,
                                        scene_close),
        scene_test(three_connections_are_all_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
