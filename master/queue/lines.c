#include "master/queue/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "worker/log.h"

/* A pop that has no answer so long after its time-out is given up with its
 * connection. */
#define LATE_MS 3000

/* At the server a pop that was given up ends so long after its time-out at
 * the latest. */
#define GHOST_MS 1000

/* How often a blocked pop is asked to end, until it has. */
#define UNBLOCK_EVERY_MS 20

/* While a line can't block, the queues are asked so often instead. */
#define NO_BLOCKING_MS 500

/* A pop that ends without a job so soon has not blocked. */
#define AT_ONCE_MS 20

struct line {
    struct lines *lines;
    struct owner_queue *queue;
    struct coro_redis *redis;
    bool is_wanted;
    bool is_busy;
    bool was_up; /* the connection, when last told of */
    struct list waiters;
};

/* --- telling -------------------------------------------------------------- */

void lines_nudge(struct lines *lines)
{
    while (coro_wake_first(&lines->come_waiters, 0))
        ;
}

/* Something has come, or went wrong: the queue is to be asked by a burst. */
static void note_come(struct line *line)
{
    line->is_wanted = false;
    lines_nudge(line->lines);
}

/* The connections go and come with the one for commands; only that one can't
 * be had although that is there is worth a line. */
static void on_event(void *argument, const struct coro_redis_event *event)
{
    struct line *line = argument;
    bool was_up = line->was_up;
    line->was_up = event->state == CORO_REDIS_UP;
    if (line->was_up) {
        trouble_over(&line->lines->trouble);
        line->lines->is_in_trouble = false;
        return;
    }
    if (was_up || !coro_redis_is_up(line->lines->commands))
        return;
    trouble_note(&line->lines->trouble, event->reason);
    line->lines->is_in_trouble = true;
    lines_nudge(line->lines);
}

/* --- one line ------------------------------------------------------------- */

/* Moving by a blocked pop is refused (out of memory, say), but bursts may do:
 * they are tried some times a second meanwhile. */
static int refused(struct line *line, const struct coro_redis_reply *reply)
{
    struct lines *lines = line->lines;
    const char *why = coro_redis_reply_text(reply, NULL);
    enum answer answer = answer_of(reply);
    if (answer == ANSWER_AGAIN)
        return 0;
    if (answer == ANSWER_UNKNOWN && lines->has_blmove) {
        lines->has_blmove = false;
        return 0;
    }
    /* What is wrong with the key is found out, by its name, by the burst. */
    if (answer == ANSWER_QUEUE &&
        coro_redis_reply_is_error(reply, "WRONGTYPE")) {
        note_come(line);
        return coro_sleep(AT_ONCE_MS);
    }
    if (answer == ANSWER_RECONNECT) {
        coro_redis_drop(line->redis, why);
        coro_redis_drop(lines->commands, why);
    }
    lines->is_in_trouble = true;
    int64_t wait_ms = trouble_note(&lines->trouble, why);
    note_come(line);
    return coro_sleep(wait_ms < NO_BLOCKING_MS ? wait_ms : NO_BLOCKING_MS);
}

static int digest(struct line *line, const struct coro_redis_reply *reply,
                  int64_t start_ms)
{
    enum coro_redis_type type = coro_redis_reply_type(reply);
    if (type == CORO_REDIS_ERROR)
        return refused(line, reply);
    trouble_over(&line->lines->trouble);
    line->lines->is_in_trouble = false;
    if (type == CORO_REDIS_STRING) {
        line->queue->ninbox++;
        note_come(line);
        return 0;
    }
    if (line->is_wanted && coro_now_ms() - start_ms < AT_ONCE_MS)
        return coro_sleep(NO_BLOCKING_MS);
    return 0;
}

static int pop(struct line *line)
{
    struct lines *lines = line->lines;
    const struct owner_queue *queue = line->queue;
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", lines->timeout_s);
    const char *with[] = {"BLMOVE", queue->key, queue->inbox.bytes,
                          "RIGHT",  "LEFT",     timeout};
    const char *without[] = {"BRPOPLPUSH", queue->key, queue->inbox.bytes,
                             timeout};
    size_t lens[] = {SIZE_MAX, queue->key_len, queue->inbox.len,
                     SIZE_MAX, SIZE_MAX,       SIZE_MAX};
    struct coro_redis_reply *reply;
    int64_t start_ms = coro_now_ms();
    line->is_busy = true;
    int status =
        coro_redis_call(line->redis, lines->has_blmove ? 6 : 4,
                        lines->has_blmove ? with : without, lens,
                        coro_after(lines->timeout_s * 1000 + LATE_MS), &reply);
    line->is_busy = false;
    while (coro_wake_first(&lines->rest_waiters, 0))
        ;
    if (status == -ETIMEDOUT)
        coro_redis_drop(line->redis, "a blocking pop was never answered");
    if (status == -ENOTCONN)
        return 0; /* it was not sent */
    if (status < 0) {
        /* It may have moved a job all the same, or will. */
        line->queue->ninbox++;
        line->queue->ghost_until_ms =
            coro_after(lines->timeout_s * 1000 + GHOST_MS);
        return status == -ECANCELED ? status : coro_sleep(AT_ONCE_MS);
    }
    status = digest(line, reply, start_ms);
    coro_redis_reply_free(reply);
    return status;
}

static int line_main(void *argument)
{
    struct line *line = argument;
    for (;;) {
        int status = line->is_wanted
                         ? coro_redis_wait_up(line->redis, CORO_NEVER)
                         : coro_park(&line->waiters, CORO_NEVER);
        if (status == 0 && line->is_wanted && coro_redis_is_up(line->redis))
            status = pop(line);
        if (status == -ECANCELED)
            return status;
    }
}

/* --- all of them ---------------------------------------------------------- */

static int line_start(struct lines *lines, struct line *line,
                      struct owner_queue *queue, struct coro_loop *loop)
{
    line->lines = lines;
    line->queue = queue;
    list_init(&line->waiters);
    struct coro_redis_options options = lines->connect;
    options.argument = line;
    int status = coro_redis_start(loop, &options, &line->redis);
    if (status < 0)
        return status;
    lines->nlines++;
    return coro_group_spawn(
        &lines->tasks, line_main, line,
        &(struct coro_spawn_options){.name = "line", .large_stack = true});
}

int lines_start(struct lines *lines, const struct lines_options *options)
{
    *lines = (struct lines){
        .commands = options->commands,
        .timeout_s = options->timeout_s,
        .has_blmove = true,
        .connect = {.address = options->address,
                    .client_name = options->client_name,
                    .after = options->commands,
                    .on_event = on_event},
    };
    coro_group_init(&lines->tasks, options->loop);
    list_init(&lines->come_waiters);
    list_init(&lines->rest_waiters);
    trouble_init(&lines->trouble,
                 "can't wait for jobs, asking twice a second instead");
    size_t n = options->owner->nqueues;
    lines->items = calloc(n, sizeof *lines->items);
    int status = lines->items ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && status == 0; i++)
        status = line_start(lines, &lines->items[i], &options->owner->queues[i],
                            options->loop);
    return status;
}

void lines_stop(struct lines *lines)
{
    coro_group_close(&lines->tasks);
    for (size_t i = 0; i < lines->nlines; i++)
        coro_redis_stop(lines->items[i].redis);
    free(lines->items);
    lines->items = NULL;
    lines->nlines = 0;
}

int lines_wait(struct lines *lines, const bool *is_wanted, int64_t deadline_ms)
{
    for (size_t i = 0; i < lines->nlines; i++) {
        struct line *line = &lines->items[i];
        line->is_wanted = is_wanted[i];
        if (is_wanted[i])
            coro_wake_first(&line->waiters, 0);
    }
    if (lines->is_in_trouble) {
        int64_t soon_ms = coro_after(NO_BLOCKING_MS);
        deadline_ms = deadline_ms < soon_ms ? deadline_ms : soon_ms;
    }
    int status = coro_park(&lines->come_waiters, deadline_ms);
    return status == -ECANCELED ? status : 0;
}

bool lines_are_busy(const struct lines *lines)
{
    for (size_t i = 0; i < lines->nlines; i++)
        if (lines->items[i].is_busy)
            return true;
    return false;
}

static int unblock(struct lines *lines, const struct line *line)
{
    char id[24];
    int64_t number = coro_redis_client_id(line->redis);
    if (number < 0)
        return 0;
    snprintf(id, sizeof id, "%lld", (long long)number);
    return coro_redis_call(lines->commands, 3,
                           CORO_REDIS_ARGS("CLIENT", "UNBLOCK", id),
                           coro_after(UNBLOCK_EVERY_MS), NULL);
}

/* A pop may be on its way when the first of these arrives, so they are sent
 * until it has ended. */
int lines_rest(struct lines *lines, int64_t deadline_ms)
{
    for (size_t i = 0; i < lines->nlines; i++)
        lines->items[i].is_wanted = false;
    lines_nudge(lines);
    while (lines_are_busy(lines)) {
        if (coro_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        int status = 0;
        for (size_t i = 0; i < lines->nlines && status != -ECANCELED; i++)
            if (lines->items[i].is_busy)
                status = unblock(lines, &lines->items[i]);
        if (status != -ECANCELED && lines_are_busy(lines))
            status =
                coro_park(&lines->rest_waiters, coro_after(UNBLOCK_EVERY_MS));
        if (status == -ECANCELED)
            return status;
    }
    return 0;
}
