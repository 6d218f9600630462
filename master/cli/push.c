/*
 * corq push: one job, or one a line, into a queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "coro/io/redis.h"
#include "coro/sched/loop.h"
#include "master/cli/command.h"

#define DEFAULT_WAIT_MS 5000
#define ANSWER_MS       30000

struct push {
    const struct options *options;
    const char *queue;
    const char *payload;
    size_t payload_len;
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

static int connect_and_push(void *argument)
{
    struct push *push = argument;
    int64_t wait_ms = push->options->wait_redis_ms;
    if (wait_ms == 0 || wait_ms == CORO_NEVER)
        wait_ms = DEFAULT_WAIT_MS;
    struct coro_redis *redis;
    int status = coro_redis_start(
        coro_loop_current(),
        &(struct coro_redis_options){.address = &push->options->redis,
                                     .connect_timeout_ms = wait_ms},
        &redis);
    if (status < 0)
        return fail(COMMAND_EXIT_FAILURE, "can't start", strerror(-status));
    int code;
    if (coro_redis_wait_up(redis, coro_after(wait_ms)) < 0) {
        char url[300];
        code = fail(
            COMMAND_EXIT_UNREACHABLE,
            coro_redis_address_describe(&push->options->redis, url, sizeof url),
            coro_redis_reason(redis));
    } else {
        code = push_to(push, redis);
    }
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
    char what[160];
    snprintf(what, sizeof what, "found '%.100s' after the payload", argv[2]);
    return fail(COMMAND_EXIT_USAGE, what,
                "expected one payload; quote one that has spaces");
}

static int run(const struct options *options, int argc, char **argv)
{
    int code = check_arguments(argc, argv);
    if (code != COMMAND_EXIT_OK)
        return code;
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
