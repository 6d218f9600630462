/*
 * corq push: one job into a queue.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "coro/io/redis.h"
#include "coro/sched/loop.h"
#include "master/cli/command.h"
#include "master/cli/setup.h"

#define DEFAULT_WAIT_MS 5000
#define ANSWER_MS       30000

struct push {
    const struct options *options;
    const char *queue;
    const char *payload;
    size_t payload_len;
    struct coro_future contact; /* with Redis: a status */
};

static int fail(int code, const char *what, const char *why)
{
    fprintf(stderr, "corq push: %s: %s\n", what, why);
    return code;
}

static int read_input(struct coro_buf *input, size_t most)
{
    char block[65536];
    ssize_t n;
    while ((n = read(STDIN_FILENO, block, sizeof block)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(COMMAND_EXIT_FAILURE, "can't read standard input",
                        strerror(errno));
        if (coro_buf_append(input, block, (size_t)n) < 0)
            break;
    }
    if (!input->failed)
        return COMMAND_EXIT_OK;
    char why[100];
    snprintf(why, sizeof why, "expected at most %zu bytes (--max-payload)",
             most);
    return fail(COMMAND_EXIT_USAGE, "standard input is too long", why);
}

static int push_to(struct push *push, struct coro_redis *redis)
{
    const char *argv[] = {"LPUSH", push->queue, push->payload};
    size_t lens[] = {SIZE_MAX, SIZE_MAX, push->payload_len};
    struct coro_redis_reply *reply;
    int status =
        coro_redis_call(redis, 3, argv, lens, coro_after(ANSWER_MS), &reply);
    if (status < 0)
        return fail(COMMAND_EXIT_FAILURE,
                    "no answer from Redis, the job may have been pushed or not",
                    strerror(-status));
    int code = COMMAND_EXIT_OK;
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR)
        code = fail(COMMAND_EXIT_FAILURE, "Redis refused the job",
                    coro_redis_reply_text(reply, NULL));
    coro_redis_reply_free(reply);
    return code;
}

/* The first try that decides: it worked, or there is no use in another. */
static void on_event(void *argument, const struct coro_redis_event *event)
{
    struct push *push = argument;
    bool is_final = push->options->wait_redis_ms == 0 || event->refused_us;
    if (event->state == CORO_REDIS_UP)
        coro_future_set(&push->contact, 0, NULL);
    else if (is_final)
        coro_future_set(&push->contact,
                        event->refused_us ? -EACCES : -ECONNREFUSED, NULL);
}

static int fail_to_connect(struct push *push, struct coro_redis *redis)
{
    char url[300];
    bool is_refused = coro_future_status(&push->contact) == -EACCES;
    return fail(
        is_refused ? COMMAND_EXIT_CONFIGURATION : COMMAND_EXIT_UNREACHABLE,
        coro_redis_address_describe(&push->options->redis, url, sizeof url),
        coro_redis_reason(redis));
}

static int connect_and_push(void *argument)
{
    struct push *push = argument;
    int64_t wait_ms = push->options->wait_redis_ms;
    if (wait_ms == 0 || wait_ms == CORO_NEVER)
        wait_ms = DEFAULT_WAIT_MS;
    coro_future_init(&push->contact);
    struct coro_redis *redis;
    int status = coro_redis_start(
        coro_loop_current(),
        &(struct coro_redis_options){.address = &push->options->redis,
                                     .connect_timeout_ms = wait_ms,
                                     .on_event = on_event,
                                     .argument = push},
        &redis);
    if (status == -EOPNOTSUPP)
        return fail(COMMAND_EXIT_CONFIGURATION, "rediss:// can't be used",
                    coro_redis_tls_missing());
    if (status < 0)
        return fail(COMMAND_EXIT_FAILURE, "can't start", strerror(-status));
    coro_future_wait(&push->contact, coro_after(wait_ms));
    int code = coro_redis_is_up(redis) ? push_to(push, redis)
                                       : fail_to_connect(push, redis);
    coro_redis_stop(redis);
    return code;
}

static int check_arguments(int argc, char **argv)
{
    if (argc == 2)
        return COMMAND_EXIT_OK;
    if (argc < 2)
        return fail(COMMAND_EXIT_USAGE,
                    argc == 0 ? "found no queue and no payload"
                              : "found no payload",
                    "expected QUEUE and PAYLOAD, or - to read the payload "
                    "from standard input");
    char what[160], quoted[SETUP_QUOTED_MAX];
    snprintf(what, sizeof what, "found '%s' after the payload",
             setup_quote(argv[2], quoted));
    return fail(COMMAND_EXIT_USAGE, what,
                "expected one payload; quote one that has spaces");
}

static int run(const struct options *options, int argc, char **argv)
{
    int code = check_arguments(argc, argv);
    if (code != COMMAND_EXIT_OK)
        return code;
    /* A server that hangs up is an answer, and no reason to die silently. */
    signal(SIGPIPE, SIG_IGN);
    size_t most = (size_t)options->max_payload_bytes;
    struct push push = {.options = options, .queue = argv[0]};
    struct coro_buf input;
    coro_buf_init(&input, most);
    if (strcmp(argv[1], "-") == 0) {
        code = read_input(&input, most);
        push.payload = input.data ? input.data : "";
        push.payload_len = input.len;
    } else {
        push.payload = argv[1];
        push.payload_len = strlen(argv[1]);
        if (push.payload_len > most)
            code = fail(COMMAND_EXIT_USAGE, "the payload is too long",
                        "raise --max-payload, here and where it is taken");
    }
    int status = 0;
    if (code == COMMAND_EXIT_OK)
        status = coro_run(connect_and_push, &push, &code);
    coro_buf_release(&input);
    if (status < 0)
        return fail(COMMAND_EXIT_FAILURE, "can't start", strerror(-status));
    return code;
}

const struct command command_push = {
    .name = "push",
    .usage = "QUEUE [PAYLOAD | -]",
    .summary = "put a job into a queue; '-' reads it from standard input",
    .run = run,
};
