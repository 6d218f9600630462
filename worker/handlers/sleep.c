/*
 * The handler `sleep`: a job is a number of seconds, and takes as long.
 */
#include "coro/base/clock.h"
#include "coro/base/parse.h"
#include "coro/sched/task.h"
#include "worker/handlers/handlers.h"

/* How much of a bad payload an error shows. */
#define SHOWN_BYTES 60

static int parse(const struct handler_call *call, double *ret_seconds)
{
    size_t len;
    const char *text = handler_text(call, &len);
    return text ? coro_parse_seconds(text, len, ret_seconds) : -1;
}

static enum job_outcome refuse(const struct handler_call *call)
{
    if (!call->subject)
        return job_fail(call->job, "BadPayload",
                        "found no argument, expected a number of seconds such "
                        "as 5 or 0.25");
    bool is_cut = call->subject_len > SHOWN_BYTES;
    return job_fail(call->job, "BadPayload",
                    "found '%.*s'%s, expected a number of seconds such as 5 or "
                    "0.25",
                    (int)(is_cut ? SHOWN_BYTES : call->subject_len),
                    call->subject, is_cut ? "…" : "");
}

static enum job_outcome run(const struct handler_call *call)
{
    double seconds;
    if (parse(call, &seconds) < 0)
        return refuse(call);
    int len = (int)call->subject_len;
    job_log(call->job, "Wait %.*s", len, call->subject);
    int64_t start_ns = coro_now_ns();
    /* Rounded up: never shorter than asked. */
    int64_t delay_ms = (int64_t)(seconds * 1000 + 0.999999);
    if (coro_sleep(delay_ms) < 0)
        return JOB_OUTCOME_INTERRUPTED;
    double took = (double)(coro_now_ns() - start_ns) / 1e9;
    job_log(call->job, "Done %.*s %.2fs", len, call->subject, took);
    return JOB_OUTCOME_DONE;
}

const struct handler_kind handler_sleep = {
    .name = "sleep",
    .summary = "the payload is a number of seconds: sleeps so long",
    .run = run,
};
