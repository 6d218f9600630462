#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/process/notify.h"

static char dir[] = "/tmp/test-notify-XXXXXX";
static struct sockaddr_un address;
static int fd = -1;

static void listen_at(const char *path, size_t len)
{
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, len);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
}

static void assert_received(const char *expected)
{
    char text[200] = "";
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    assert_int_equal(n, strlen(expected));
    assert_string_equal(text, expected);
}

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    if (fd >= 0)
        close(fd);
    fd = -1;
    if (address.sun_path[0] == '/')
        unlink(address.sun_path);
    rmdir(dir);
    return 0;
}

static void without_a_service_manager_nobody_is_told(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify("READY=1"), 0);
}

static void one_datagram_goes_to_the_socket(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/s", dir);
    listen_at(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify("READY=1\nSTATUS=Running"), 1);
    assert_received("READY=1\nSTATUS=Running");
    assert_int_equal(notify("STOPPING=1"), 1);
    assert_received("STOPPING=1");
}

static void an_at_sign_stands_for_an_abstract_socket(void **state)
{
    (void)state;
    char name[64];
    int len = snprintf(name, sizeof name, "@test-notify-%ld", (long)getpid());
    name[0] = '\0';
    listen_at(name, (size_t)len);
    name[0] = '@';
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify("READY=1"), 1);
    assert_received("READY=1");
}

static void a_name_that_can_not_be_one_is_refused(void **state)
{
    (void)state;
    char path[200];
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify("READY=1"), -EINVAL);
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof(address.sun_path)] = '\0';
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify("READY=1"), -EINVAL);
}

static void a_socket_that_nobody_has_is_told_as_such(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/none", dir);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify("READY=1"), -ENOENT);
}

static void a_full_socket_does_not_block_us(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/s", dir);
    listen_at(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    int status = 1;
    for (int i = 0; i < 100000 && status == 1; i++)
        status = notify("READY=1");
    assert_int_equal(status, -EAGAIN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_a_service_manager_nobody_is_told),
        TEST(one_datagram_goes_to_the_socket),
        TEST(an_at_sign_stands_for_an_abstract_socket),
        TEST(a_name_that_can_not_be_one_is_refused),
        TEST(a_socket_that_nobody_has_is_told_as_such),
        TEST(a_full_socket_does_not_block_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
