#include "coro/sched/timeout.h"

#include <errno.h>

#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

static void expire(struct coro_timeout *limit)
{
    limit->has_expired = true;
    coro_task_cancel(limit->task);
}

static void on_time(struct coro_timer *timer)
{
    expire(list_entry(timer, struct coro_timeout, timer));
}

static void arm(struct coro_timeout *limit, int64_t deadline_ms)
{
    struct coro_wheel *wheel = &limit->task->loop->wheel;
    limit->deadline_ms = deadline_ms;
    if (deadline_ms <= wheel->now_ms)
        expire(limit);
    else
        coro_wheel_add(wheel, &limit->timer, deadline_ms);
}

void coro_timeout_begin(struct coro_timeout *limit, int64_t deadline_ms)
{
    struct coro_task *self = coro_task_current();
    ensure(self);
    /* A cancellation that was not seen yet will be seen within the limit. */
    *limit = (struct coro_timeout){
        .task = self,
        .ncancels = self->ncancels - self->is_cancelling,
    };
    coro_timer_init(&limit->timer, on_time);
    arm(limit, deadline_ms);
}

int coro_timeout_move(struct coro_timeout *limit, int64_t deadline_ms)
{
    if (limit->has_expired)
        return -ETIMEDOUT;
    coro_timer_stop(&limit->timer);
    arm(limit, deadline_ms);
    return 0;
}

int64_t coro_timeout_deadline_ms(const struct coro_timeout *limit)
{
    return limit->deadline_ms;
}

bool coro_timeout_has_expired(const struct coro_timeout *limit)
{
    return limit->has_expired;
}

int coro_timeout_end(struct coro_timeout *limit, int status)
{
    struct coro_task *self = limit->task;
    ensure(self == coro_task_current());
    coro_timer_stop(&limit->timer);
    if (!limit->has_expired)
        return status;
    if (self->ncancels > 0)
        self->ncancels--;
    if (self->ncancels > limit->ncancels)
        return status; /* Somebody else's is still to be obeyed. */
    self->is_cancelling = false;
    return status == -ECANCELED ? -ETIMEDOUT : status;
}
