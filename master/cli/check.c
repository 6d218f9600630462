/*
 * corq check: what would run, and whether it could.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/io/redis.h"
#include "coro/sched/loop.h"
#include "master/cli/command.h"
#include "master/cli/setup.h"
#include "master/queue/probe.h"

#define CONNECT_MS 3000

static void print_options(const struct options *options)
{
    char value[512];
    for (size_t i = 0; i < options_count(); i++) {
        const struct option_spec *spec = options_spec(i);
        if (!(spec->commands & COMMAND_FLAG_CHECK))
            continue;
        printf("%-18s %-40s (%s)\n", spec->name,
               options_describe(options, i, value, sizeof value),
               options_source(options, i));
    }
}

static int judge(struct coro_redis *redis)
{
    struct probe probe;
    if (probe_server(redis, coro_after(CONNECT_MS), &probe) < 0) {
        printf("redis              answers, but not to INFO\n");
        return COMMAND_EXIT_OK;
    }
    printf("redis              answers: %s\n",
           probe.version[0] ? probe.version : "version not told");
    if (probe.is_old && !probe.is_too_old)
        printf("warning            an old server: corq works with it, in "
               "slower ways; 6.2 or newer is better\n");
    if (probe.snapshots_only)
        printf("warning            no append-only file: a restart of Redis "
               "loses jobs since its last snapshot\n");
    if (probe.eviction[0])
        printf("warning            maxmemory-policy %s: a full Redis may throw "
               "jobs away\n",
               probe.eviction);
    if (probe.is_too_old)
        printf(
            "error              the server is too old, expected Redis 5.0 or "
            "newer\n");
    if (probe.is_cluster)
        printf("error              Redis Cluster is not supported\n");
    return probe.is_too_old || probe.is_cluster ? COMMAND_EXIT_CONFIGURATION
                                                : COMMAND_EXIT_OK;
}

struct check {
    const struct options *options;
    bool is_refused;
    struct coro_future first_try; /* connected, or not */
};

static void on_event(void *argument, const struct coro_redis_event *event)
{
    struct check *check = argument;
    check->is_refused = event->refused_us;
    coro_future_set(&check->first_try, 0, NULL);
}

/* Not reaching Redis is not an error as long as corq would wait for it. */
static int tell_unreachable(const struct check *check, struct coro_redis *redis)
{
    const char *why = coro_redis_reason(redis);
    if (check->is_refused) {
        printf("error              Redis refuses us: %s\n", why);
        return COMMAND_EXIT_CONFIGURATION;
    }
    if (check->options->wait_redis_ms == 0) {
        printf(
            "error              Redis does not answer: %s; with --wait-redis "
            "0 corq would end at once\n",
            why);
        return COMMAND_EXIT_CONFIGURATION;
    }
    printf("redis              does not answer now: %s; corq would wait\n",
           why);
    return COMMAND_EXIT_OK;
}

static int try_redis(void *argument)
{
    struct check *check = argument;
    struct coro_redis *redis;
    int status = coro_redis_start(
        coro_loop_current(),
        &(struct coro_redis_options){.address = &check->options->redis,
                                     .connect_timeout_ms = CONNECT_MS,
                                     .on_event = on_event,
                                     .argument = check},
        &redis);
    if (status < 0) {
        if (status == -EOPNOTSUPP)
            printf("error              rediss:// can't be used: %s\n",
                   coro_redis_tls_missing());
        else
            printf("error              %s\n", strerror(-status));
        return COMMAND_EXIT_CONFIGURATION;
    }
    coro_future_wait(&check->first_try, coro_after(CONNECT_MS));
    int code =
        coro_redis_is_up(redis) ? judge(redis) : tell_unreachable(check, redis);
    coro_redis_stop(redis);
    return code;
}

static int run(const struct options *options, int argc, char **argv)
{
    int code = setup_no_arguments("check", argc, argv);
    if (code != COMMAND_EXIT_OK)
        return code;
    print_options(options);
    fflush(stdout);
    /* A server that hangs up is an answer, and no reason to die silently. */
    signal(SIGPIPE, SIG_IGN);
    struct registry *registry;
    code = setup_registry(options, &registry);
    if (code != COMMAND_EXIT_OK)
        return COMMAND_EXIT_CONFIGURATION;
    registry_free(registry);
    struct check check = {.options = options};
    coro_future_init(&check.first_try);
    int status = coro_run(try_redis, &check, &code);
    if (status < 0) {
        fprintf(stderr, "corq check: can't start: %s\n", strerror(-status));
        return COMMAND_EXIT_FAILURE;
    }
    return code;
}

const struct command command_check = {
    .name = "check",
    .usage = "",
    .summary = "say what would run, and whether it can",
    .run = run,
};
