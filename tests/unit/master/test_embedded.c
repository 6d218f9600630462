#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "master/process/embedded.h"
#include "tests/support/wait.h"

static char dir[] = "/tmp/test-embedded-XXXXXX";
static char data[64];
static char why[300];
static struct embedded embedded;

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    snprintf(data, sizeof data, "%s/a/b", dir);
    why[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    embedded_stop(&embedded);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bind(fd, (struct sockaddr *)&address, len);
    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

static struct coro_redis_address at_port(uint16_t port)
{
    static char host[] = "127.0.0.1";
    return (struct coro_redis_address){.host = host, .port = port};
}

/* Whether a command there, after logging in, gives a status or an integer. */
static bool answers(redisContext *context, const char *password)
{
    if (password)
        freeReplyObject(redisCommand(context, "AUTH %s", password));
    redisReply *reply = redisCommand(context, "INCR n");
    bool is_good = reply && reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    redisFree(context);
    return is_good;
}

static void it_serves_with_its_data_in_its_directory(void **state)
{
    (void)state;
    struct coro_redis_address address = at_port(free_port());
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     0);
    assert_true(embedded.pid > 0);
    assert_true(answers(redisConnect("127.0.0.1", address.port), NULL));
    char path[128];
    snprintf(path, sizeof path, "%s/appendonlydir", data);
    bool has_directory = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/appendonly.aof", data);
    assert_true(has_directory || access(path, F_OK) == 0);
    pid_t pid = embedded.pid;
    embedded_stop(&embedded);
    assert_int_equal(embedded.pid, 0);
    assert_int_equal(kill(pid, 0), -1);
    embedded_stop(&embedded);
}

static long long count_starts(redisContext *context)
{
    redisReply *reply = redisCommand(context, "INCR starts");
    long long nstarts = reply->integer;
    freeReplyObject(reply);
    return nstarts;
}

static bool has_read_its_data(void *context)
{
    redisReply *reply = redisCommand(context, "GET starts");
    bool has_read = reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    return has_read;
}

static void its_data_is_there_again_the_next_time(void **state)
{
    (void)state;
    struct coro_redis_address address = at_port(free_port());
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(
            embedded_start(&embedded, &address, data, why, sizeof why), 0);
        redisContext *context = redisConnect("127.0.0.1", address.port);
        assert_true(wait_until(has_read_its_data, context, PATIENCE_MS));
        long long nstarts = count_starts(context);
        redisFree(context);
        embedded_stop(&embedded);
        assert_int_equal(nstarts, i);
    }
}

static void a_server_that_is_there_is_left_alone(void **state)
{
    (void)state;
    struct embedded second;
    struct coro_redis_address address = at_port(free_port());
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     0);
    assert_int_equal(embedded_start(&second, &address, data, why, sizeof why),
                     0);
    assert_int_equal(second.pid, 0);
    embedded_stop(&second);
    assert_true(answers(redisConnect("127.0.0.1", address.port), NULL));
}

static void a_password_is_asked_for(void **state)
{
    (void)state;
    static char password[] = "a \"b\\ \n#c";
    struct coro_redis_address address = at_port(free_port());
    address.password = password;
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     0);
    assert_false(answers(redisConnect("127.0.0.1", address.port), NULL));
    assert_true(answers(redisConnect("127.0.0.1", address.port), password));
}

static void it_listens_on_a_unix_socket(void **state)
{
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "%s/so cket", dir);
    struct coro_redis_address address = {.path = path};
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     0);
    assert_true(answers(redisConnectUnix(path), NULL));
}

static void a_host_elsewhere_is_refused(void **state)
{
    (void)state;
    static char host[] = "10.0.0.1";
    struct coro_redis_address address = {.host = host, .port = 6379};
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     -EINVAL);
    assert_string_equal(why, "--embedded-redis needs a loopback address or a "
                             "unix socket, found host '10.0.0.1'");
}

static void a_directory_that_can_not_be_made_is_named(void **state)
{
    (void)state;
    struct coro_redis_address address = at_port(free_port());
    assert_true(
        embedded_start(&embedded, &address, "/proc/none", why, sizeof why) < 0);
    assert_non_null(strstr(why, "can't make the directory /proc/none: "));
    assert_int_equal(embedded.pid, 0);
}

static void a_server_that_ends_at_once_is_told_with_its_log(void **state)
{
    (void)state;
    static char path[] = "/nonexistent/socket";
    struct coro_redis_address address = {.path = path};
    assert_int_equal(embedded_start(&embedded, &address, data, why, sizeof why),
                     -ECHILD);
    assert_non_null(strstr(why, "the private Redis ended at once; see "));
    assert_non_null(strstr(why, "/a/b/redis.log"));
}

static void without_an_installed_server_that_is_said(void **state)
{
    (void)state;
    struct coro_redis_address address = at_port(free_port());
    char *before = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    int status = embedded_start(&embedded, &address, data, why, sizeof why);
    setenv("PATH", before, 1);
    free(before);
    assert_int_equal(status, -ENOENT);
    assert_string_equal(why, "can't start redis-server: neither redis-server "
                             "nor valkey-server is installed");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_serves_with_its_data_in_its_directory),
        TEST(its_data_is_there_again_the_next_time),
        TEST(a_server_that_is_there_is_left_alone),
        TEST(a_password_is_asked_for),
        TEST(it_listens_on_a_unix_socket),
        TEST(a_host_elsewhere_is_refused),
        TEST(a_directory_that_can_not_be_made_is_named),
        TEST(a_server_that_ends_at_once_is_told_with_its_log),
        TEST(without_an_installed_server_that_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
