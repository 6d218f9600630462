#include "coro/sched/event.h"

#include "coro/sched/schedule.h"

void coro_event_set(struct coro_event *event)
{
    event->is_set = true;
    while (coro_wake_first(&event->waiters, 0))
        ;
}

int coro_event_wait(struct coro_event *event, int64_t deadline_ms)
{
    return event->is_set ? 0 : coro_park(&event->waiters, deadline_ms);
}
