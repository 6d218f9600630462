#include "master/stall_sight.h"

#include <errno.h>
#include <stdio.h>

#include "coro/base/clock.h"
#include "coro/core/sample.h"
#include "coro/sched/task.h"

/* So long a thread must stay where it is before it is asked, and so often that
 * is tried with one that does not. */
#define STEADY_MS 20
#define LOOKS     5

/* How long it may take to answer: a busy machine may not let it run. */
#define ANSWER_MS 500
#define POLL_MS   2

static int look_twice(const struct coro_thread *thread,
                      struct coro_thread_look *before,
                      struct coro_thread_look *now)
{
    int status = coro_thread_look(thread, before);
    if (status == 0)
        status = coro_sleep(STEADY_MS);
    return status < 0 ? status : coro_thread_look(thread, now);
}

/* --- asking it ------------------------------------------------------------ */

/* In the signal handler. What goes on already is no business of ours, and while
 * the loop switches between tasks its stack can't be read. */
static bool is_still_held(const struct coro_sample_request *request)
{
    struct coro_pulse pulse;
    runner_pulse(request->argument, &pulse);
    return pulse.turns == request->notes[0] && pulse.task == request->notes[1];
}

static int wait_for_answer(struct coro_sample *sample)
{
    int64_t deadline_ms = coro_after(ANSWER_MS);
    while (!coro_sample_take(sample)) {
        int status = coro_sleep(POLL_MS);
        if (status == 0 && coro_now_ms() < deadline_ms)
            continue;
        coro_sample_withdraw();
        return status < 0 ? status : -ETIMEDOUT;
    }
    return 0;
}

static int ask(const struct runner *runner, const struct coro_thread *thread,
               const struct coro_pulse *pulse, struct stall_sight *sight)
{
    struct coro_sample sample;
    const struct coro_sample_request request = {
        .thread = thread->id,
        .is_wanted = is_still_held,
        .argument = runner,
        .notes = {pulse->turns, pulse->task},
    };
    int status = coro_sample_ask(&request);
    if (status == 0)
        status = wait_for_answer(&sample);
    if (status == 0)
        coro_symbols_calls(runner_symbols(runner), sample.frames,
                           sample.nframes, sight->calls, sizeof sight->calls);
    return status;
}

/* --- looking at it -------------------------------------------------------- */

static void name_call(const struct coro_thread_look *look,
                      struct stall_sight *sight)
{
    const char *name = coro_thread_call_name(look->system_call);
    if (look->system_call < 0)
        return;
    if (name)
        snprintf(sight->system_call, sizeof sight->system_call, "%s", name);
    else
        snprintf(sight->system_call, sizeof sight->system_call, "%ld",
                 look->system_call);
}

static void name_place(const struct runner *runner,
                       const struct coro_thread_look *look,
                       struct stall_sight *sight)
{
    if (look->system_call >= 0)
        coro_symbols_calls(runner_symbols(runner), &look->at, 1, sight->calls,
                           sizeof sight->calls);
}

int stall_sight_take(const struct runner *runner,
                     const struct coro_pulse *pulse,
                     struct stall_sight *ret_sight)
{
    struct coro_thread thread;
    struct coro_thread_look before, now;
    *ret_sight = (struct stall_sight){.calls = ""};
    if (!runner_thread(runner, &thread))
        return 0;
    for (size_t i = 0; i < LOOKS; i++) {
        int status = look_twice(&thread, &before, &now);
        if (status < 0)
            return status == -ECANCELED ? status : 0;
        if (!coro_thread_bears_signal(&before, &now))
            continue;
        name_call(&now, ret_sight);
        status = ask(runner, &thread, pulse, ret_sight);
        return status == -ECANCELED ? status : 0;
    }
    name_call(&now, ret_sight);
    name_place(runner, &now, ret_sight);
    return 0;
}
