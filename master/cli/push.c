/*
 * corq push: one job, into its queue or among those that are run later.
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
#include "master/cli/push_job.h"
#include "master/cli/setup.h"
#include "master/queue/schedule.h"
#include "master/queue/score.h"
#include "master/queue/script.h"

#define DEFAULT_WAIT_MS 5000
#define ANSWER_MS       30000

struct push {
    const struct options *options;
    const char *queue;
    int64_t due_us; /* not in the future: now */
    struct push_job job;
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

/* --- sending -------------------------------------------------------------- */

static int fail_to_send(int status)
{
    return fail(COMMAND_EXIT_FAILURE,
                "no answer from Redis, the job may have been pushed or not",
                strerror(-status));
}

static int judge(const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) != CORO_REDIS_ERROR)
        return COMMAND_EXIT_OK;
    return fail(COMMAND_EXIT_FAILURE, "Redis refused the job",
                coro_redis_reply_text(reply, NULL));
}

/* To its queue; before it the queue's name, by which others find it. That the
 * name can't be written is told, but the job is there. */
static int push_now(const struct push *push, struct coro_redis *redis)
{
    const struct push_job *job = &push->job;
    const char *name[] = {"SADD", "queues", job->name};
    const char *words[] = {"LPUSH", push->queue,
                           job->bytes.data ? job->bytes.data : ""};
    size_t lens[] = {SIZE_MAX, SIZE_MAX, job->bytes.len};
    const struct coro_redis_command commands[] = {
        {.argc = 3, .argv = name},
        {.argc = 3, .argv = words, .lens = lens},
    };
    size_t first = job->name ? 0 : 1;
    struct coro_redis_reply *replies[2] = {NULL, NULL};
    int status = coro_redis_pipeline(redis, commands + first, 2 - first,
                                     coro_after(ANSWER_MS), replies + first);
    if (status < 0)
        return fail_to_send(status);
    int code = judge(replies[1]);
    if (code == COMMAND_EXIT_OK && replies[0] &&
        coro_redis_reply_type(replies[0]) == CORO_REDIS_ERROR)
        fail(COMMAND_EXIT_OK,
             "the job is pushed, but its queue is not listed in 'queues'",
             coro_redis_reply_text(replies[0], NULL));
    coro_redis_reply_free(replies[0]);
    coro_redis_reply_free(replies[1]);
    return code;
}

/* To the set of those that are run later, which knows each job once. */
static int push_later(const struct push *push, struct coro_redis *redis)
{
    char score[SCORE_BYTES];
    const char *argv[SCRIPT_WORDS + 4];
    size_t lens[SCRIPT_WORDS + 4];
    int argc = SCRIPT_WORDS;
    const char *words[] = {push->job.set, SCHEDULE_WAKE_KEY,
                           score_format(score, push->due_us),
                           push->job.bytes.data};
    for (size_t i = 0; i < 4; i++, argc++) {
        argv[argc] = words[i];
        lens[argc] = i < 3 ? SIZE_MAX : push->job.bytes.len;
    }
    struct coro_redis_reply *reply;
    int status = script_call(redis, &script_add_due, 2, argc, argv, lens,
                             coro_after(ANSWER_MS), &reply);
    if (status < 0)
        return fail_to_send(status);
    int code = judge(reply);
    coro_redis_reply_free(reply);
    return code;
}

static int push_to(const struct push *push, struct coro_redis *redis)
{
    return push->job.set ? push_later(push, redis) : push_now(push, redis);
}

/* --- the connection ------------------------------------------------------- */

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

/* --- what was asked for --------------------------------------------------- */

static int check_arguments(const struct options *options, int argc, char **argv)
{
    int expected = options->class_name ? 1 : 2;
    if (argc == expected)
        return COMMAND_EXIT_OK;
    if (argc == 0)
        return fail(COMMAND_EXIT_USAGE, "found no queue and no payload",
                    "expected QUEUE and PAYLOAD, or - to read the payload "
                    "from standard input");
    if (argc < expected)
        return fail(COMMAND_EXIT_USAGE, "found no payload",
                    "expected QUEUE and PAYLOAD, or - to read the payload "
                    "from standard input, or QUEUE with --class");
    char what[160], quoted[SETUP_QUOTED_MAX];
    snprintf(what, sizeof what, "found '%s' after the %s",
             setup_quote(argv[expected], quoted),
             options->class_name ? "queue" : "payload");
    return fail(COMMAND_EXIT_USAGE, what,
                options->class_name
                    ? "expected either --class or a payload"
                    : "expected one payload; quote one that has spaces");
}

static int check_options(const struct options *options)
{
    bool has_in = options_is_on_command_line(options, &options->in_ms);
    bool has_at = options_is_on_command_line(options, &options->at_us);
    if (has_in && has_at)
        return fail(COMMAND_EXIT_USAGE, "found --in and --at",
                    "expected one of them");
    if (options->args && !options->class_name)
        return fail(COMMAND_EXIT_USAGE, "found --args without --class",
                    "expected both");
    return COMMAND_EXIT_OK;
}

/* When the job is to start; a time in the past if that is now. */
static int64_t due_us(const struct options *options, int64_t now_us)
{
    if (options_is_on_command_line(options, &options->at_us))
        return options->at_us;
    return now_us + options->in_ms * 1000;
}

static int describe(const struct options *options, struct coro_buf *input)
{
    char what[SETUP_QUOTED_MAX + 80], quoted[SETUP_QUOTED_MAX];
    const char *args = options->args ? options->args : "[]";
    switch (push_job_describe(options->class_name, args, input)) {
    case 0:
        return COMMAND_EXIT_OK;
    case -EILSEQ:
        return fail(COMMAND_EXIT_USAGE, "--class", "expected valid UTF-8");
    case -EINVAL:
        snprintf(what, sizeof what,
                 "found '%s', expected a JSON array such as "
                 "'[1, \"a\"]'",
                 setup_quote(args, quoted));
        return fail(COMMAND_EXIT_USAGE, "--args", what);
    case -ENOMEM:
        return fail(COMMAND_EXIT_FAILURE, "can't make the job", "no memory");
    default:
        return fail(COMMAND_EXIT_USAGE, "the job is too long",
                    "raise --max-payload, here and where it is taken");
    }
}

static int read_payload(const struct options *options, const char *payload,
                        struct coro_buf *input)
{
    if (options->class_name)
        return describe(options, input);
    if (strcmp(payload, "-") == 0)
        return read_input(input, input->limit);
    if (coro_buf_append_string(input, payload) < 0)
        return fail(COMMAND_EXIT_USAGE, "the payload is too long",
                    "raise --max-payload, here and where it is taken");
    return COMMAND_EXIT_OK;
}

/* Who names a class or a time may want to find the job again. */
static void print_jid(const struct push *push)
{
    const struct options *options = push->options;
    bool is_wanted = options->class_name ||
                     options_is_on_command_line(options, &options->in_ms) ||
                     options_is_on_command_line(options, &options->at_us);
    if (is_wanted && push->job.jid.len > 0)
        printf("%s\n", push->job.jid.data);
}

static int push_input(struct push *push, const struct coro_buf *input)
{
    const struct options *options = push->options;
    int64_t now_us = coro_wall_us();
    push->due_us = due_us(options, now_us);
    bool has_retry = options_is_on_command_line(options, &options->retry);
    int status = push_job_make(
        &(struct push_request){
            .key = push->queue,
            .payload = input->data ? input->data : "",
            .payload_len = input->len,
            .now_us = now_us,
            .due_us = push->due_us,
            .retry = has_retry ? (int64_t)options->retry : -1,
            .needs_jid = options->class_name,
        },
        &push->job);
    int code = COMMAND_EXIT_OK;
    if (status == 0)
        status = coro_run(connect_and_push, push, &code);
    if (status == 0 && code == COMMAND_EXIT_OK)
        print_jid(push);
    push_job_release(&push->job);
    if (status < 0)
        return fail(COMMAND_EXIT_FAILURE, "can't start", strerror(-status));
    return code;
}

static int run(const struct options *options, int argc, char **argv)
{
    int code = check_options(options);
    if (code == COMMAND_EXIT_OK)
        code = check_arguments(options, argc, argv);
    if (code != COMMAND_EXIT_OK)
        return code;
    /* A server that hangs up is an answer, and no reason to die silently. */
    signal(SIGPIPE, SIG_IGN);
    struct push push = {.options = options, .queue = argv[0]};
    struct coro_buf input;
    coro_buf_init(&input, (size_t)options->max_payload_bytes);
    code = read_payload(options, argv[1], &input);
    if (code == COMMAND_EXIT_OK)
        code = push_input(&push, &input);
    coro_buf_release(&input);
    return code;
}

const struct command command_push = {
    .name = "push",
    .usage = "QUEUE [PAYLOAD | -]",
    .summary = "put a job into a queue; '-' reads it from standard input",
    .run = run,
};
