#include "master/process/link.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "coro/base/clock.h"
#include "coro/io/fd.h"

/* A packet is received as a whole or not at all. */
int link_open(int ends[2])
{
    int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
    return socketpair(AF_UNIX, type, 0, ends) < 0 ? -errno : 0;
}

int link_send(int fd, const struct link_message *message)
{
    ssize_t n = send(fd, message, sizeof *message, MSG_NOSIGNAL);
    if (n == (ssize_t)sizeof *message)
        return 0;
    return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int link_receive(int fd, struct link_message *ret_message)
{
    for (;;) {
        int status = coro_fd_wait(fd, false, CORO_NEVER);
        if (status < 0)
            return status;
        ssize_t n = recv(fd, ret_message, sizeof *ret_message, 0);
        if (n == (ssize_t)sizeof *ret_message)
            return 1;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return 0;
        if (n > 0)
            return -EPROTO;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}
