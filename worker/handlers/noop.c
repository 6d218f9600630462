#include "worker/handlers/handlers.h"

static enum job_outcome run(const struct handler_call *call)
{
    (void)call;
    return JOB_OUTCOME_DONE;
}

const struct handler_kind handler_noop = {
    .name = "noop",
    .summary = "does nothing, for measuring",
    .run = run,
};
