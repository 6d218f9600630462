#include "coro/io/fd.h"

#include <errno.h>

#include <event2/event.h>

#include "coro/sched/schedule.h"

static void on_ready(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    coro_future_set(argument, 0, NULL);
}

int coro_fd_wait(int fd, bool for_writing, int64_t deadline_ms)
{
    struct coro_future ready;
    coro_future_init(&ready);
    struct event *event =
        event_new(coro_loop_event_base(coro_loop_current()), fd,
                  for_writing ? EV_WRITE : EV_READ, on_ready, &ready);
    if (!event)
        return -ENOMEM;
    int status = -ENOMEM;
    if (event_add(event, NULL) == 0)
        status = coro_future_park(&ready, deadline_ms, "a descriptor");
    event_free(event);
    return status;
}
