/*
 * TLS with a real server: who is trusted and who is not. The certificates are
 * made here, by the openssl command, in the server's directory.
 */
#include <signal.h>

#include "tests/integration/redis_stage.h"
#include "tests/support/program.h"

/* Makes a certificate signed by ca.crt: its name, and whom it is for. */
#define SIGN(name, host)                                                       \
    "openssl req -x509 -CA ca.crt -CAkey ca.key $new -keyout " name            \
    ".key -out " name ".crt -subj /CN=" name                                   \
    " -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=" host \
    " && "

static void make_certificates(const char *dir)
{
    char command[2000];
    snprintf(command, sizeof command,
             "cd %s && exec 2>openssl.log && "
             "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1' "
             "&& openssl req -x509 $new -keyout ca.key -out ca.crt -subj "
             "/CN=ca && " SIGN("right", "DNS:localhost,IP:127.0.0.1")
                 SIGN("other", "DNS:elsewhere.example")
                     SIGN("client", "DNS:client") "true",
             dir);
    assert_int_equal(system(command), 0);
}

static int open_with_tls(void **state)
{
    static struct stage stage;
    struct redis_server *server = &stage.server;
    redis_server_prepare(server, NULL);
    make_certificates(server->dir);
    free(server->config);
    int len =
        asprintf(&server->config,
                 "port 0\ntls-port %u\n"
                 "tls-cert-file %s/right.crt\ntls-key-file %s/right.key\n"
                 "tls-ca-cert-file %s/ca.crt\ntls-auth-clients no\n",
                 (unsigned)server->port, server->dir, server->dir, server->dir);
    assert_true(len > 0);
    redis_server_again(server);
    *state = &stage;
    return 0;
}

static int with_proxy(void **state)
{
    struct stage *stage = *state;
    stage->proxy = proxy_start(stage->server.port);
    return 0;
}

/* The server shows another certificate from now on. */
static void show(struct stage *stage, const char *name)
{
    redis_do(&stage->server,
             "CONFIG SET tls-cert-file %s/%s.crt tls-key-file %s/%s.key",
             stage->server.dir, name, stage->server.dir, name);
}

/* --- connections ---------------------------------------------------------- */

/* The path of a file in the server's directory; one of four at a time. */
static char *path_of(struct stage *stage, const char *name)
{
    static char paths[4][64];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", stage->server.dir, name);
    return path;
}

static void aim(struct stage *stage, uint16_t port)
{
    static char host[] = "localhost";
    stage_aim(stage, port);
    stage->address.host = host;
    stage->address.tls = true;
    stage->address.cafile = path_of(stage, "ca.crt");
}

static bool has_failed(void *argument)
{
    return stage_nevents(argument, CORO_REDIS_DOWN) >= 1;
}

/* Tries to connect; expects to fail for a reason with @text. */
static void fail_by(struct stage *stage, const char *text, bool is_for_good)
{
    stage->nevents = 0;
    struct coro_redis *redis = stage_start_redis(stage);
    expect_that(stage_wait_until(has_failed, stage));
    expect_that(stage_nevents(stage, CORO_REDIS_UP) == 0);
    if (!expect_that(strstr(stage->reasons[0], text)))
        print_error("--- found the reason '%s'\n", stage->reasons[0]);
    expect_that(stage->events[0].refused_us == is_for_good);
    coro_redis_stop(redis);
}

static void work(struct stage *stage)
{
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    expect_that(stage_nevents(stage, CORO_REDIS_DOWN) == 0);
    coro_redis_stop(redis);
}

/* --- what works ----------------------------------------------------------- */

static int trusted(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    stage->options.client_name = "name";
    work(stage);
    return 0;
}

static void a_server_that_we_trust_is_talked_to(void **state)
{
    stage_play(*state, trusted);
}

static int by_number(void *argument)
{
    static char host[] = "127.0.0.1";
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    stage->address.host = host;
    work(stage);
    return 0;
}

static void an_address_may_be_in_the_certificate(void **state)
{
    stage_play(*state, by_number);
}

static int large(void *argument)
{
    enum { SIZE = 16 << 20 };
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    char *bytes = malloc(SIZE);
    if (!expect_that(bytes))
        return 0;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 31 >> 3);
    const char *argv[] = {"ECHO", bytes};
    const size_t lens[] = {SIZE_MAX, SIZE};
    struct coro_redis_reply *reply = NULL;
    expect_that(coro_redis_call(redis, 2, argv, lens, coro_after(PATIENCE_MS),
                                &reply) == 0);
    size_t len = 0;
    const char *text = reply ? coro_redis_reply_text(reply, &len) : "";
    expect_that(len == SIZE && memcmp(text, bytes, SIZE) == 0);
    coro_redis_reply_free(reply);
    free(bytes);
    coro_redis_stop(redis);
    return 0;
}

static void sixteen_mebibytes_go_and_come(void **state)
{
    stage_play(*state, large);
}

static int bytewise(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_BYTEWISE);
    aim(stage, proxy_port(stage->proxy));
    work(stage);
    return 0;
}

static void bytes_that_come_one_at_a_time_do_as_well(void **state)
{
    stage_play(*state, bytewise);
}

static int lose(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    struct coro_redis *redis = stage_start_redis(stage);
    stage_wait_up(stage);
    redis_do(&stage->server, "CLIENT KILL TYPE normal SKIPME yes");
    expect_that(coro_redis_call(redis, 3, CORO_REDIS_ARGS("BLPOP", "none", "0"),
                                coro_after(PATIENCE_MS), NULL) == -ECONNRESET);
    stage_wait_up(stage);
    expect_that(stage_text_is(redis, "PONG", "PING"));
    expect_that(coro_redis_generation(redis) == 2);
    coro_redis_stop(redis);
    return 0;
}

static void a_lost_connection_is_made_anew(void **state)
{
    stage_play(*state, lose);
}

static int stop_on_the_way(void *argument)
{
    struct stage *stage = argument;
    for (int nturns = 0; nturns < 16; nturns++) {
        aim(stage, stage->server.port);
        struct coro_redis *redis = stage_start_redis(stage);
        for (int i = 0; i < nturns; i++)
            coro_sleep(i % 2);
        coro_redis_stop(redis);
    }
    return 0;
}

static void it_can_be_stopped_at_every_step_of_coming_up(void **state)
{
    stage_play(*state, stop_on_the_way);
}

static void a_job_runs(void **state)
{
    struct stage *stage = *state;
    static struct program corq;
    char url[160];
    snprintf(url, sizeof url, "rediss://localhost:%u?cafile=%s",
             (unsigned)stage->server.port, path_of(stage, "ca.crt"));
    redis_do(&stage->server, "LPUSH queue 0.1");
    program_start(&corq, PROGRAM_ARGS("run", "--redis", url, "--delivery",
                                      "at-most-once"));
    assert_true(program_wait_for_line(&corq, "Done 0.1 ", PATIENCE_MS));
    program_signal(&corq, SIGTERM);
    assert_int_equal(program_wait_exit(&corq, PATIENCE_MS), 0);
    program_release(&corq);
}

/* --- who is not trusted --------------------------------------------------- */

static int unknown(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    stage->address.cafile = NULL;
    fail_by(stage, "the server's certificate is not accepted: ", true);
    return 0;
}

static void whom_the_system_does_not_trust_is_refused(void **state)
{
    stage_play(*state, unknown);
}

static int another(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    fail_by(stage, "certificate is not accepted: hostname mismatch", true);
    return 0;
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    struct stage *stage = *state;
    show(stage, "other");
    stage_play(stage, another);
    show(stage, "right");
}

static int no_file(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    stage->address.cafile = path_of(stage, "none");
    char text[120];
    snprintf(text, sizeof text, "can't use the file %s: No such file",
             stage->address.cafile);
    fail_by(stage, text, true);
    stage->address.cafile = path_of(stage, "redis.conf");
    fail_by(stage, "redis.conf: ", true);
    return 0;
}

static void a_file_that_is_of_no_use_is_named(void **state)
{
    stage_play(*state, no_file);
}

static int anonymous(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    fail_by(stage, "no TLS with the server: ", false);
    return 0;
}

static int with_certificate(void *argument)
{
    struct stage *stage = argument;
    aim(stage, stage->server.port);
    stage->address.cert = path_of(stage, "client.crt");
    stage->address.key = path_of(stage, "client.key");
    work(stage);
    stage->address.key = path_of(stage, "right.key");
    fail_by(stage, "right.key: ", true);
    return 0;
}

/* The server hangs up on what we write. */
static void push_in_vain(struct stage *stage)
{
    static struct program corq;
    char url[160];
    snprintf(url, sizeof url, "rediss://localhost:%u?cafile=%s",
             (unsigned)stage->server.port, path_of(stage, "ca.crt"));
    assert_int_equal(
        program_run(&corq, PROGRAM_ARGS("push", "--redis", url, "--wait-redis",
                                        "0", "queue", "1")),
        75);
    assert_non_null(strstr(program_log(&corq), "no TLS with the server: "));
    program_release(&corq);
}

static void a_server_may_want_a_certificate_of_ours(void **state)
{
    struct stage *stage = *state;
    redis_do(&stage->server, "CONFIG SET tls-auth-clients yes");
    push_in_vain(stage);
    stage_play(stage, anonymous);
    stage_play(stage, with_certificate);
    redis_do(&stage->server, "CONFIG SET tls-auth-clients no");
}

/* --- who speaks no TLS ---------------------------------------------------- */

static int plain(void *argument)
{
    struct stage *stage = argument;
    aim(stage, *(uint16_t *)stage->own);
    fail_by(stage, "no TLS with the server: ", false);
    return 0;
}

static void a_server_without_tls_is_told_from_one_that_is_away(void **state)
{
    struct stage *stage = *state;
    static struct redis_server server;
    redis_server_start(&server, NULL);
    stage->own = &server.port;
    stage_play(stage, plain);
    redis_server_release(&server);
}

static int silent(void *argument)
{
    struct stage *stage = argument;
    proxy_set_mode(stage->proxy, PROXY_BLACK);
    aim(stage, proxy_port(stage->proxy));
    stage->options.connect_timeout_ms = 100;
    fail_by(stage, "no TLS with the server: no answer from the server", false);
    return 0;
}

static void a_server_that_says_nothing_is_given_up_in_time(void **state)
{
    stage_play(*state, silent);
}

int main(void)
{
#define PROXY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, with_proxy, stage_clear)
    const struct CMUnitTest tests[] = {
        STAGE_TEST(a_server_that_we_trust_is_talked_to),
        STAGE_TEST(an_address_may_be_in_the_certificate),
        STAGE_TEST(sixteen_mebibytes_go_and_come),
        PROXY_TEST(bytes_that_come_one_at_a_time_do_as_well),
        STAGE_TEST(a_lost_connection_is_made_anew),
        STAGE_TEST(it_can_be_stopped_at_every_step_of_coming_up),
        STAGE_TEST(a_job_runs),
        STAGE_TEST(whom_the_system_does_not_trust_is_refused),
        STAGE_TEST(a_certificate_for_another_host_is_refused),
        STAGE_TEST(a_file_that_is_of_no_use_is_named),
        STAGE_TEST(a_server_may_want_a_certificate_of_ours),
        STAGE_TEST(a_server_without_tls_is_told_from_one_that_is_away),
        PROXY_TEST(a_server_that_says_nothing_is_given_up_in_time),
    };
    return cmocka_run_group_tests(tests, open_with_tls, stage_close);
}
