#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/sched/loop.h"
#include "master/process/link.h"

/* What a task has received; looked at outside of it. */
struct heard {
    int fd;
    struct link_message messages[4];
    size_t n;
    int last;
};

static int hear(void *argument)
{
    struct heard *heard = argument;
    do
        heard->last = link_receive(heard->fd, &heard->messages[heard->n % 4]);
    while (heard->last == 1 && ++heard->n > 0);
    return 0;
}

static void listen_to(struct heard *heard)
{
    assert_int_equal(coro_run(hear, heard, NULL), 0);
}

static void messages_arrive_whole_and_in_their_order(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(link_open(ends), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct link_message message = {
            .kind = LINK_RECOVER, .place = i, .cause = 2, .status = -5};
        assert_int_equal(link_send(ends[0], &message), 0);
    }
    close(ends[0]);
    struct heard heard = {.fd = ends[1]};
    listen_to(&heard);
    assert_int_equal(heard.n, 3);
    assert_int_equal(heard.last, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(heard.messages[i].kind, LINK_RECOVER);
        assert_int_equal(heard.messages[i].place, i);
        assert_int_equal(heard.messages[i].cause, 2);
        assert_int_equal(heard.messages[i].status, -5);
    }
    close(ends[1]);
}

static void whoever_is_gone_is_noticed_at_both_ends(void **state)
{
    (void)state;
    int ends[2];
    const struct link_message message = {.kind = LINK_STOP};
    assert_int_equal(link_open(ends), 0);
    close(ends[1]);
    assert_int_equal(link_send(ends[0], &message), -EPIPE);
    struct heard heard = {.fd = ends[0]};
    listen_to(&heard);
    assert_int_equal(heard.last, 0);
    close(ends[0]);
}

static void what_was_left_unread_is_no_error(void **state)
{
    (void)state;
    int ends[2];
    const struct link_message message = {.kind = LINK_STOP};
    assert_int_equal(link_open(ends), 0);
    assert_int_equal(link_send(ends[0], &message), 0);
    close(ends[1]); /* with that in it: a reset, at the other end */
    struct heard heard = {.fd = ends[0]};
    listen_to(&heard);
    assert_int_equal(heard.last, 0);
    close(ends[0]);
}

static void who_does_not_listen_blocks_nobody(void **state)
{
    (void)state;
    int ends[2];
    const struct link_message message = {.kind = LINK_DUMP};
    assert_int_equal(link_open(ends), 0);
    int status = 0;
    for (size_t i = 0; i < 1000000 && status == 0; i++)
        status = link_send(ends[0], &message);
    assert_int_equal(status, -EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(link_open(ends), 0);
    assert_int_equal(send(ends[0], "abc", 3, 0), 3);
    struct heard heard = {.fd = ends[1]};
    listen_to(&heard);
    assert_int_equal(heard.last, -EPROTO);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_whole_and_in_their_order),
        cmocka_unit_test(whoever_is_gone_is_noticed_at_both_ends),
        cmocka_unit_test(what_was_left_unread_is_no_error),
        cmocka_unit_test(who_does_not_listen_blocks_nobody),
        cmocka_unit_test(what_is_no_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
