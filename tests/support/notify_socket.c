#include "tests/support/notify_socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/wait.h"

void notify_socket_open(struct notify_socket *notify)
{
    *notify = (struct notify_socket){0};
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(notify->fd > 0);
    /* With no name but the family the kernel gives an abstract one. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address.sun_family;
    assert_int_equal(bind(notify->fd, (struct sockaddr *)&address, len), 0);
    len = sizeof address;
    assert_int_equal(getsockname(notify->fd, (struct sockaddr *)&address, &len),
                     0);
    size_t name_len = len - sizeof address.sun_family - 1;
    snprintf(notify->variable, sizeof notify->variable, "NOTIFY_SOCKET=@%.*s",
             (int)name_len, address.sun_path + 1);
}

static void receive(struct notify_socket *notify)
{
    for (;;) {
        size_t room = sizeof notify->text - notify->len;
        if (room < 2)
            return;
        ssize_t n = recv(notify->fd, notify->text + notify->len, room - 2, 0);
        if (n <= 0)
            return;
        notify->len += (size_t)n;
        notify->text[notify->len++] = '\n';
    }
}

bool notify_socket_has(struct notify_socket *notify, const char *line)
{
    receive(notify);
    notify->text[notify->len] = '\0';
    size_t line_len = strlen(line);
    for (const char *at = notify->text; *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, line, line_len) == 0 && at[line_len] == '\n')
            return true;
    return false;
}

struct line_wait {
    struct notify_socket *notify;
    const char *line;
};

static bool has_come(void *argument)
{
    struct line_wait *wait = argument;
    return notify_socket_has(wait->notify, wait->line);
}

bool notify_socket_wait_for(struct notify_socket *notify, const char *line,
                            int64_t timeout_ms)
{
    return wait_until(has_come, &(struct line_wait){notify, line}, timeout_ms);
}

void notify_socket_close(struct notify_socket *notify)
{
    if (notify->fd > 0)
        close(notify->fd);
    *notify = (struct notify_socket){0};
}
