/*
 * The handler `fail`: no job succeeds, and each may be tried again.
 */
#include "worker/handlers/handlers.h"

static enum job_outcome run(const struct handler_call *call)
{
    return job_retry(call->job, -1, "Failed",
                     "the handler 'fail' always fails");
}

const struct handler_kind handler_fail = {
    .name = "fail",
    .summary = "always fails, to try retries out",
    .run = run,
};
