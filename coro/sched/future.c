#include "coro/sched/future.h"

#include <stddef.h>

#include "coro/base/ensure.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"

static void call_callbacks(struct coro_future *future)
{
    struct coro_callback *callback = future->callbacks;
    future->callbacks = NULL;
    while (callback) {
        struct coro_callback *next = callback->next;
        if (callback->is_direct)
            callback->run(callback);
        else
            coro_loop_call_soon(coro_loop_current(), callback);
        callback = next;
    }
}

int coro_future_set(struct coro_future *future, int status, void *value)
{
    if (coro_future_is_done(future))
        return -EALREADY;
    future->status = status;
    future->value = value;
    future->state = CORO_FUTURE_DONE;
    while (coro_wake_first(&future->waiters, 0))
        ;
    if (future->callbacks)
        call_callbacks(future);
    return 0;
}

int coro_future_wait(struct coro_future *future, int64_t deadline_ms)
{
    return coro_future_park(future, deadline_ms, "future");
}

int coro_future_await(struct coro_future *future, int64_t deadline_ms)
{
    int status = coro_future_wait(future, deadline_ms);
    return status < 0 ? status : future->status;
}

void coro_future_add_callback(struct coro_future *future,
                              struct coro_callback *callback)
{
    if (coro_future_is_done(future)) {
        coro_loop_call_soon(coro_loop_current(), callback);
        return;
    }
    struct coro_callback **end = &future->callbacks;
    while (*end)
        end = &(*end)->next;
    callback->next = NULL;
    *end = callback;
}

bool coro_future_remove_callback(struct coro_future *future,
                                 struct coro_callback *callback)
{
    struct coro_callback **place = &future->callbacks;
    while (*place && *place != callback)
        place = &(*place)->next;
    if (!*place)
        return false;
    *place = callback->next;
    return true;
}
