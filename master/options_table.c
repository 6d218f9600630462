/*
 * The table of options. To add one, add its field to struct options and its
 * line here; environment, command line, help and check then know it.
 */
#include <limits.h>
#include <stddef.h>

#include "master/options.h"

#define RUN    (COMMAND_FLAG_RUN | COMMAND_FLAG_CHECK)
#define ALL    (COMMAND_FLAG_RUN | COMMAND_FLAG_PUSH | COMMAND_FLAG_CHECK)
#define PUSH   COMMAND_FLAG_PUSH
#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)

#define FIELD(name) .offset = offsetof(struct options, name)

static const char *const deliveries[] = {
    [OPTIONS_DELIVERY_AT_LEAST_ONCE] = "at-least-once",
    [OPTIONS_DELIVERY_AT_MOST_ONCE] = "at-most-once",
    NULL,
};

static const char *const log_levels[] = {
    [OPTIONS_LOG_LEVEL_DEBUG] = "debug",
    [OPTIONS_LOG_LEVEL_INFO] = "info",
    [OPTIONS_LOG_LEVEL_WARN] = "warn",
    [OPTIONS_LOG_LEVEL_ERROR] = "error",
    NULL,
};

static const char *const log_formats[] = {
    [OPTIONS_LOG_FORMAT_TEXT] = "text",
    [OPTIONS_LOG_FORMAT_JSON] = "json",
    NULL,
};

static const char *const automatic[] = {"auto", NULL};
static const char *const unlimited[] = {"unlimited", NULL};

static const struct option_spec specs[] = {
    {
        .name = "redis",
        .kind = OPTION_KIND_URL,
        .placeholder = "URL",
        .fallback = "redis://127.0.0.1:6379/0",
        .environment = "CORQ_REDIS_URL",
        .commands = ALL,
        FIELD(redis),
        .help = "where Redis is: redis://[[user]:password@]host[:port][/db], "
                "rediss://... for TLS, unix:///path[?db=N], or the primary "
                "that redis+sentinel://host[:port],.../name[/db] finds",
    },
    {
        .name = "queue",
        .kind = OPTION_KIND_QUEUES,
        .placeholder = "KEY[=WEIGHT]",
        .fallback = "queue",
        .min = 1,
        .max = OPTIONS_WEIGHT_MAX,
        .environment = "CORQ_QUEUE",
        .commands = RUN,
        FIELD(queues),
        .help = "a list to take jobs from; may be repeated. Without weights "
                "an earlier queue goes before a later one, with weights (1 "
                "to 1000, for all or for none) each gets its share",
    },
    {
        .name = "handler",
        .kind = OPTION_KIND_HANDLERS,
        .placeholder = "[CLASS=]SPEC",
        .fallback = "sleep",
        .environment = "CORQ_HANDLER",
        .commands = RUN,
        FIELD(handlers),
        .help = "what runs a job: 'sleep' (the payload is a number of "
                "seconds), 'noop', 'fail' (always fails, to try retries out) "
                "or 'fault' (crashes, spins or leaks as the payload says); may "
                "be repeated. With a class: for jobs that are JSON "
                "objects with that class; without: for all that are no such "
                "objects",
    },
    {
        .name = "concurrency",
        .kind = OPTION_KIND_U64,
        .placeholder = "N",
        .fallback = "256",
        .min = 1,
        .max = 1000000,
        .environment = "CORQ_CONCURRENCY",
        .commands = RUN,
        FIELD(concurrency),
        .help = "how many jobs run at once in each process, 1 to 1000000",
    },
    {
        .name = "processes",
        .kind = OPTION_KIND_U64,
        .placeholder = "N",
        .fallback = "1",
        .min = 1,
        .max = 1024,
        .words = automatic,
        .environment = "CORQ_PROCESSES",
        .commands = RUN,
        FIELD(processes),
        .help = "how many processes run jobs, 1 to 1024, or 'auto' for one "
                "on each core; one that dies is replaced",
    },
    {
        .name = "max-jobs",
        .kind = OPTION_KIND_U64,
        .placeholder = "N",
        .fallback = "unlimited",
        .min = 1,
        .max = INT64_MAX,
        .words = unlimited,
        .environment = "CORQ_MAX_JOBS",
        .commands = RUN,
        FIELD(max_jobs),
        .help = "a process that has run so many jobs lets the last ones "
                "finish and is replaced; one process at a time",
    },
    {
        .name = "max-rss",
        .kind = OPTION_KIND_SIZE,
        .placeholder = "SIZE",
        .fallback = "unlimited",
        .min = 1 << 20,
        .max = UINT64_C(1) << 50,
        .words = unlimited,
        .environment = "CORQ_MAX_RSS",
        .commands = RUN,
        FIELD(max_rss_bytes),
        .help = "the same for a process whose resident memory is beyond this",
    },
    {
        .name = "delivery",
        .kind = OPTION_KIND_ENUM,
        .placeholder = "HOW",
        .fallback = "at-least-once",
        .words = deliveries,
        .environment = "CORQ_DELIVERY",
        .commands = RUN,
        FIELD(delivery),
        .help = "at-least-once: a job whose process dies is started again; "
                "at-most-once: a job that was started is never started again",
    },
    {
        .name = "retry",
        .kind = OPTION_KIND_U64,
        .placeholder = "N",
        .fallback = "25",
        .max = 1000,
        .environment = "CORQ_RETRY",
        .commands = RUN | PUSH,
        FIELD(retry),
        .help = "how often a failed job is tried again, 0 to 1000; on the "
                "command line of 'corq push' it is kept in the job, and goes "
                "before what 'corq run' was told",
    },
    {
        .name = "retry-delay",
        .kind = OPTION_KIND_RETRY_DELAY,
        .placeholder = "DELAY",
        .fallback = "default",
        .environment = "CORQ_RETRY_DELAY",
        .commands = RUN,
        FIELD(retry_delay),
        .help = "how long a failed job waits for its next try: 'default' "
                "(15 seconds and the fourth power of the tries before), "
                "fixed:TIME, or exp:FIRST:MOST, which doubles",
    },
    {
        .name = "lease",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .fallback = "20s",
        .min = 3000,
        .max = 60 * 60 * 1000,
        .environment = "CORQ_LEASE",
        .commands = RUN,
        FIELD(lease_ms),
        .help = "how long a process may be out of touch with Redis before "
                "its jobs are given to others, 3s to 1h",
    },
    {
        .name = "shutdown-timeout",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .fallback = "25s",
        .max = (uint64_t)(365 * DAY_MS),
        .environment = "CORQ_SHUTDOWN_TIMEOUT",
        .commands = RUN,
        FIELD(shutdown_timeout_ms),
        .help = "how long running jobs may go on after SIGTERM",
    },
    {
        .name = "stall-warn",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .fallback = "1s",
        .max = (uint64_t)(365 * DAY_MS),
        .environment = "CORQ_STALL_WARN",
        .commands = RUN,
        FIELD(stall_warn_ms),
        .help = "warn of a job that lets no other one run for so long, and say "
                "what it does; 0: never",
    },
    {
        .name = "stall-abort",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .fallback = "0",
        .max = (uint64_t)(365 * DAY_MS),
        .environment = "CORQ_STALL_ABORT",
        .commands = RUN,
        FIELD(stall_abort_ms),
        .help = "end the process of a job that lets no other one run for so "
                "long, as if the job had crashed it; 0: never",
    },
    {
        .name = "wait-redis",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .fallback = "forever",
        .max = INT64_MAX,
        .environment = "CORQ_WAIT_REDIS",
        .commands = ALL,
        FIELD(wait_redis_ms),
        .help = "how long to wait at start for Redis to answer; 0 does not "
                "wait",
    },
    {
        .name = "max-payload",
        .kind = OPTION_KIND_SIZE,
        .placeholder = "SIZE",
        .fallback = "16MiB",
        .min = 1,
        .max = 512 * 1024 * 1024,
        .environment = "CORQ_MAX_PAYLOAD",
        .commands = ALL,
        FIELD(max_payload_bytes),
        .help = "the largest payload that is handled, 1 to 512MiB",
    },
    {
        .name = "log-level",
        .kind = OPTION_KIND_ENUM,
        .placeholder = "LEVEL",
        .fallback = "info",
        .words = log_levels,
        .environment = "CORQ_LOG_LEVEL",
        .commands = ALL,
        FIELD(log_level),
        .help = "the least that is logged: debug, info, warn or error",
    },
    {
        .name = "log-format",
        .kind = OPTION_KIND_ENUM,
        .placeholder = "FORMAT",
        .fallback = "text",
        .words = log_formats,
        .environment = "CORQ_LOG_FORMAT",
        .commands = ALL,
        FIELD(log_format),
        .help = "text, or json: one object a line",
    },
    {
        .name = "embedded-redis",
        .kind = OPTION_KIND_SWITCH,
        .placeholder = "DIR",
        .fallback = "no",
        .environment = "CORQ_EMBEDDED_REDIS",
        .commands = RUN,
        FIELD(embedded_redis),
        .help = "start a private redis-server, with its data in DIR, when "
                "none answers at the URL, and stop it at the end",
    },
    {
        .name = "class",
        .kind = OPTION_KIND_TEXT,
        .placeholder = "NAME",
        .commands = PUSH,
        FIELD(class_name),
        .help = "push a job of this class, with --args, instead of a payload",
    },
    {
        .name = "args",
        .kind = OPTION_KIND_TEXT,
        .placeholder = "JSON",
        .commands = PUSH,
        FIELD(args),
        .help = "its arguments: a JSON array; [] when not given",
    },
    {
        .name = "in",
        .kind = OPTION_KIND_DURATION,
        .placeholder = "TIME",
        .max = (uint64_t)(36500 * DAY_MS),
        .commands = PUSH,
        FIELD(in_ms),
        .help = "start the job so much later",
    },
    {
        .name = "at",
        .kind = OPTION_KIND_TIME,
        .placeholder = "WHEN",
        .commands = PUSH,
        FIELD(at_us),
        .help = "start the job then: seconds since 1970, or a time in UTC such "
                "as 2026-11-25T10:00:00Z",
    },
};

_Static_assert(sizeof(specs) / sizeof(specs[0]) <= OPTIONS_MAX,
               "struct options has a source for each option");

size_t options_count(void)
{
    return sizeof(specs) / sizeof(specs[0]);
}

const struct option_spec *options_spec(size_t index)
{
    return &specs[index];
}
