#include "coro/sched/call.h"

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

static void run_call(struct coro_callback *callback)
{
    struct coro_call *call = list_entry(callback, struct coro_call, callback);
    call->loop = NULL;
    coro_tag_call(call->tag, call->function, call->argument);
}

static void make_ready(struct coro_timer *timer)
{
    struct coro_call *call = list_entry(timer, struct coro_call, timer);
    coro_loop_call_soon(call->loop, &call->callback);
}

static void prepare(struct coro_loop *loop, struct coro_call *call,
                    void (*function)(void *argument), void *argument)
{
    ensure(loop && function && !coro_call_is_pending(call));
    ensure(coro_schedule_is_own(loop) && "a loop belongs to its thread");
    *call = (struct coro_call){.callback.run = run_call,
                               .loop = loop,
                               .function = function,
                               .argument = argument,
                               .tag = coro_tag()};
    coro_timer_init(&call->timer, make_ready);
}

void coro_call_soon(struct coro_loop *loop, struct coro_call *call,
                    void (*function)(void *argument), void *argument)
{
    prepare(loop, call, function, argument);
    coro_loop_call_soon(loop, &call->callback);
}

void coro_call_later(struct coro_loop *loop, struct coro_call *call,
                     int64_t delay_ms, void (*function)(void *argument),
                     void *argument)
{
    if (delay_ms <= 0)
        coro_call_soon(loop, call, function, argument);
    else
        coro_call_at(loop, call, coro_after(delay_ms), function, argument);
}

void coro_call_at(struct coro_loop *loop, struct coro_call *call,
                  int64_t deadline_ms, void (*function)(void *argument),
                  void *argument)
{
    if (deadline_ms <= coro_loop_now_ms(loop)) {
        coro_call_soon(loop, call, function, argument);
        return;
    }
    prepare(loop, call, function, argument);
    coro_wheel_add(&loop->wheel, &call->timer, deadline_ms);
}

bool coro_call_is_pending(const struct coro_call *call)
{
    return call->loop != NULL;
}

bool coro_call_cancel(struct coro_call *call)
{
    if (!coro_call_is_pending(call))
        return false;
    if (call->callback.is_queued)
        coro_loop_forget(call->loop, &call->callback);
    coro_timer_stop(&call->timer);
    call->loop = NULL;
    return true;
}
