/*
 * The proxy of the fault tests itself: each mood and each cut, seen from the
 * client and from the server behind it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "tests/support/proxy.h"
#include "tests/support/wait.h"

/* Long enough to see that nothing comes. */
#define QUIET_MS 200

/* A server of one connection, and its client. */
struct pair {
    int listener;
    int client;
    int server; /* -1: nobody is connected */
    uint16_t port;
    struct proxy *proxy;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_pair(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    *state = pair;
    pair->client = pair->server = -1;
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    pair->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(pair->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(pair->listener, 8), 0);
    getsockname(pair->listener, (struct sockaddr *)&address, &len);
    pair->port = ntohs(address.sin_port);
    pair->proxy = proxy_start(pair->port);
    return 0;
}

static void hang_up(struct pair *pair)
{
    if (pair->client >= 0)
        close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    pair->client = pair->server = -1;
}

static int close_pair(void **state)
{
    struct pair *pair = *state;
    hang_up(pair);
    proxy_stop(pair->proxy);
    close(pair->listener);
    free(pair);
    return 0;
}

/* Begins to connect; what comes of it shows in poll(). */
static void dial(struct pair *pair)
{
    struct sockaddr_in address = loopback(proxy_port(pair->proxy));
    pair->client =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int status =
        connect(pair->client, (struct sockaddr *)&address, sizeof address);
    assert_true(status == 0 || errno == EINPROGRESS || errno == ECONNREFUSED);
}

static bool comes(int fd, short events, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = events};
    return poll(&polled, 1, timeout_ms) == 1;
}

static void join(struct pair *pair)
{
    dial(pair);
    assert_true(comes(pair->client, POLLOUT, PATIENCE_MS));
    assert_true(comes(pair->listener, POLLIN, PATIENCE_MS));
    pair->server = accept4(pair->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair->server >= 0);
}

static void say(int fd, const char *text)
{
    ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
    assert_int_equal(sent, strlen(text));
}

/* What read() gives next: bytes, 0 at the end, or a negative errno. */
static ssize_t hear(int fd, char *bytes, size_t size)
{
    assert_true(comes(fd, POLLIN, PATIENCE_MS));
    ssize_t n = read(fd, bytes, size);
    return n < 0 ? -errno : n;
}

static void assert_hears(int fd, const char *text)
{
    char bytes[64] = "";
    size_t len = 0;
    while (len < strlen(text)) {
        ssize_t n = hear(fd, bytes + len, strlen(text) - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_string_equal(bytes, text);
}

static void assert_hears_nothing(int fd)
{
    assert_false(comes(fd, POLLIN, QUIET_MS));
}

static void assert_ends(int fd, ssize_t how)
{
    char bytes[8];
    assert_int_equal(hear(fd, bytes, sizeof bytes), how);
}

/* --- moods ---------------------------------------------------------------- */

static void bytes_pass_in_both_directions(void **state)
{
    struct pair *pair = *state;
    join(pair);
    say(pair->client, "question");
    assert_hears(pair->server, "question");
    say(pair->server, "answer");
    assert_hears(pair->client, "answer");
    assert_int_equal(proxy_naccepted(pair->proxy), 1);
    assert_int_equal(proxy_nanswered(pair->proxy), 6);
}

static void byte_by_byte_all_arrives(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_set_mode(pair->proxy, PROXY_BYTEWISE);
    say(pair->client, "one by one");
    assert_hears(pair->server, "one by one");
}

static void answers_are_swallowed(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_set_mode(pair->proxy, PROXY_SWALLOW);
    say(pair->client, "question");
    assert_hears(pair->server, "question");
    say(pair->server, "answer");
    assert_hears_nothing(pair->client);
    proxy_set_mode(pair->proxy, PROXY_PASS);
    say(pair->server, "another");
    assert_hears(pair->client, "another");
}

static void out_of_the_black_comes_what_went_in(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_set_mode(pair->proxy, PROXY_BLACK);
    say(pair->client, "question");
    say(pair->server, "answer");
    assert_hears_nothing(pair->server);
    assert_hears_nothing(pair->client);
    proxy_set_mode(pair->proxy, PROXY_PASS);
    assert_hears(pair->server, "question");
    assert_hears(pair->client, "answer");
}

static bool is_unacknowledged(void *argument)
{
    struct pair *pair = argument;
    struct tcp_info info = {.tcpi_retransmits = 0};
    socklen_t len = sizeof info;
    assert_int_equal(
        getsockopt(pair->client, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_retransmits > 0;
}

static void what_vanishes_is_not_even_acknowledged(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_set_mode(pair->proxy, PROXY_VANISH);
    say(pair->client, "question");
    assert_true(wait_until(is_unacknowledged, pair, PATIENCE_MS));
    proxy_set_mode(pair->proxy, PROXY_PASS);
    assert_hears(pair->server, "question");
}

static void nobody_connects_to_one_that_has_vanished(void **state)
{
    struct pair *pair = *state;
    proxy_set_mode(pair->proxy, PROXY_VANISH);
    dial(pair);
    assert_false(comes(pair->client, POLLOUT, QUIET_MS));
    proxy_set_mode(pair->proxy, PROXY_PASS);
    assert_true(comes(pair->client, POLLOUT, PATIENCE_MS));
    assert_true(comes(pair->listener, POLLIN, PATIENCE_MS));
    assert_int_equal(proxy_naccepted(pair->proxy), 1);
}

static int connect_error(struct pair *pair)
{
    int error = 0;
    socklen_t len = sizeof error;
    assert_true(comes(pair->client, POLLOUT, PATIENCE_MS));
    getsockopt(pair->client, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

static void who_is_refused_leaves_the_others_alone(void **state)
{
    struct pair *pair = *state;
    join(pair);
    struct pair second = {.server = -1, .proxy = pair->proxy};
    proxy_set_mode(pair->proxy, PROXY_REFUSE);
    dial(&second);
    assert_int_equal(connect_error(&second), ECONNREFUSED);
    hang_up(&second);
    say(pair->client, "question");
    assert_hears(pair->server, "question");
    proxy_set_mode(pair->proxy, PROXY_PASS);
    hang_up(pair);
    join(pair);
}

static void who_is_reset_is_counted(void **state)
{
    struct pair *pair = *state;
    proxy_set_mode(pair->proxy, PROXY_RESET);
    dial(pair);
    assert_ends(pair->client, -ECONNRESET);
    assert_int_equal(proxy_naccepted(pair->proxy), 1);
    assert_hears_nothing(pair->listener);
}

static void a_slow_link_takes_its_time(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_set_speed(pair->proxy, 100, 50);
    int64_t start_ms = coro_now_ms();
    say(pair->client, "twenty bytes of text");
    assert_hears(pair->server, "twenty bytes of text");
    /* The first five go at once. */
    assert_true(coro_now_ms() - start_ms >= 3 * 50);
    proxy_set_speed(pair->proxy, 0, 0);
    say(pair->client, "as fast as it goes");
    assert_hears(pair->server, "as fast as it goes");
}

/* --- cuts ----------------------------------------------------------------- */

static void a_cut_ends_both_sides(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut(pair->proxy, PROXY_CUT_END);
    assert_ends(pair->client, 0);
    assert_ends(pair->server, 0);
}

static void a_reset_is_one_for_the_client(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut(pair->proxy, PROXY_CUT_RESET);
    assert_ends(pair->client, -ECONNRESET);
    assert_ends(pair->server, 0);
}

static void half_a_cut_leaves_the_way_to_the_server(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut(pair->proxy, PROXY_CUT_HALF);
    assert_ends(pair->client, 0);
    say(pair->client, "still there");
    assert_hears(pair->server, "still there");
}

static void a_ghost_stays_at_the_server(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut(pair->proxy, PROXY_CUT_GHOST);
    assert_ends(pair->client, 0);
    assert_hears_nothing(pair->server);
    say(pair->server, "to nobody");
    proxy_cut(pair->proxy, PROXY_CUT_END);
    assert_ends(pair->server, 0);
}

static void an_answer_is_cut_in_its_middle(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut_after(pair->proxy, 3, PROXY_CUT_END);
    say(pair->server, "answer");
    assert_hears(pair->client, "ans");
    assert_ends(pair->client, 0);
}

static void a_command_is_cut_in_its_middle(void **state)
{
    struct pair *pair = *state;
    join(pair);
    proxy_cut_after_sent(pair->proxy, 4, PROXY_CUT_END);
    say(pair->client, "question");
    assert_hears(pair->server, "ques");
    assert_ends(pair->server, 0);
}

#define pair_test(name) \
    cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        pair_test(bytes_pass_in_both_directions),
        pair_test(byte_by_byte_all_arrives),
        pair_test(answers_are_swallowed),
        pair_test(out_of_the_black_comes_what_went_in),
        pair_test(what_vanishes_is_not_even_acknowledged),
        pair_test(nobody_connects_to_one_that_has_vanished),
        pair_test(who_is_refused_leaves_the_others_alone),
        pair_test(who_is_reset_is_counted),
        pair_test(a_slow_link_takes_its_time),
        pair_test(a_cut_ends_both_sides),
        pair_test(a_reset_is_one_for_the_client),
        pair_test(half_a_cut_leaves_the_way_to_the_server),
        pair_test(a_ghost_stays_at_the_server),
        pair_test(an_answer_is_cut_in_its_middle),
        pair_test(a_command_is_cut_in_its_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
