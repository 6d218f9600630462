/*
 * The mode at-most-once: RPOP and BRPOP. What was popped is gone from Redis; a
 * reply that is lost on the way takes its jobs with it. So nothing that pops is
 * ever given up by us while the connection lives: a server that is frozen, or
 * busy, answers later, and a peer that vanished is noticed by the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/fetch_mode.h"
#include "worker/log.h"

/* Redis before 6.2 pops one at a time: so many commands in one round trip. */
#define POPS_MOST 64

/* Behind a proxy the kernel can't know that the server is gone. */
#define SILENCE_MS 60000

/* How long after its time-out a blocking pop is thought to be lost, if the
 * server answers other commands. */
#define LATE_MS        3000
#define LIVENESS_MS    3000
#define NO_BLOCKING_MS 500
#define WRONG_KEY_MS   20

/* How often a blocking pop is asked to end, until it has. */
#define UNBLOCK_EVERY_MS 20

/* Waits for the connection, or as long as its trouble demands. */
static int lost(struct fetch *fetch, int status, size_t most)
{
    if (status == -ECANCELED)
        return status;
    if (status == -ENOMEM)
        return coro_sleep(trouble_note(&fetch->trouble, "no memory"));
    if (status == -ETIMEDOUT)
        coro_redis_drop(fetch->commands, "no answer for a minute");
    if (status != -ENOTCONN)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "the connection was lost while up to %zu jobs were being "
                 "taken: with at-most-once delivery they may be lost too",
                 most);
    return coro_redis_wait_up(fetch->commands, CORO_NEVER) < 0 ? -ECANCELED : 0;
}

/* The elements of a reply to RPOP, with a count or without. */
static int take_all(struct fetch *fetch, struct fetch_queue *queue,
                    struct dispatch_burst *burst,
                    const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) == CORO_REDIS_STRING) {
        fetch_take(fetch, queue, burst, reply, 0);
        return 1;
    }
    size_t nitems = coro_redis_reply_nitems(reply);
    for (size_t i = 0; i < nitems; i++)
        fetch_take(fetch, queue, burst, coro_redis_reply_item(reply, i), 0);
    return (int)nitems;
}

/* What one reply brought: jobs, nothing, or trouble. */
static int digest(struct fetch *fetch, struct fetch_queue *queue,
                  struct dispatch_burst *burst,
                  const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR)
        return fetch_handle_error(fetch, queue, reply);
    trouble_over(&fetch->trouble);
    trouble_over(&queue->trouble);
    return take_all(fetch, queue, burst, reply);
}

static int pop_one_by_one(struct fetch *fetch, struct fetch_queue *queue,
                          size_t most, struct dispatch_burst *burst)
{
    struct coro_redis_command commands[POPS_MOST];
    struct coro_redis_reply *replies[POPS_MOST];
    const char *argv[] = {"RPOP", queue->queue->key};
    size_t lens[] = {4, queue->queue->key_len};
    size_t n = most < POPS_MOST ? most : POPS_MOST;
    for (size_t i = 0; i < n; i++)
        commands[i] = (struct coro_redis_command){2, argv, lens};
    fetch_asks(fetch, n);
    int status = coro_redis_pipeline(fetch->commands, commands, n,
                                     coro_after(SILENCE_MS), replies);
    fetch_was_answered(fetch);
    if (status < 0)
        return lost(fetch, status, n);
    int ntaken = 0;
    bool is_cancelled = false;
    for (size_t i = 0; i < n; i++) {
        /* After an error the others are the same: one is enough to handle. */
        bool is_error = coro_redis_reply_type(replies[i]) == CORO_REDIS_ERROR;
        int got =
            is_error && i > 0 ? 0 : digest(fetch, queue, burst, replies[i]);
        ntaken += got > 0 ? got : 0;
        is_cancelled = is_cancelled || got < 0;
        coro_redis_reply_free(replies[i]);
    }
    return is_cancelled ? -ECANCELED : ntaken;
}

static int pop_many(struct fetch *fetch, struct fetch_queue *queue, size_t most,
                    struct dispatch_burst *burst)
{
    char count[24];
    snprintf(count, sizeof count, "%zu", most);
    const char *argv[] = {"RPOP", queue->queue->key, count};
    size_t lens[] = {4, queue->queue->key_len, strlen(count)};
    struct coro_redis_reply *reply;
    fetch_asks(fetch, most);
    int status = coro_redis_call(fetch->commands, 3, argv, lens,
                                 coro_after(SILENCE_MS), &reply);
    fetch_was_answered(fetch);
    if (status < 0)
        return lost(fetch, status, most);
    int n = 0;
    if (answer_of(reply) == ANSWER_UNKNOWN)
        fetch->has_pop_count = false;
    else
        n = digest(fetch, queue, burst, reply);
    coro_redis_reply_free(reply);
    return n;
}

static int burst_once(struct fetch *fetch, struct fetch_queue *queue,
                      size_t most, struct dispatch_burst *burst)
{
    if (fetch->has_pop_count) {
        int n = pop_many(fetch, queue, most, burst);
        if (n != 0 || fetch->has_pop_count)
            return n;
    }
    return pop_one_by_one(fetch, queue, most, burst);
}

/* --- waiting -------------------------------------------------------------- */

static struct fetch_queue *queue_named(struct fetch *fetch, const char *key,
                                       size_t len)
{
    for (size_t i = 0; i < fetch->nqueues; i++) {
        struct fetch_queue *queue = &fetch->queues[i];
        if (queue->queue->key_len == len &&
            memcmp(queue->queue->key, key, len) == 0)
            return queue;
    }
    return NULL;
}

/* A wait that was refused. The queues can still be asked by bursts, so that is
 * done meanwhile, some times a second. */
static int handle_refusal(struct fetch *fetch,
                          const struct coro_redis_reply *reply)
{
    enum answer answer = answer_of(reply);
    const char *why = coro_redis_reply_text(reply, NULL);
    if (answer == ANSWER_AGAIN)
        return 0;
    /* A key of the wrong type is found out, by its name, by the next burst, and
     * left out of the next wait. */
    if (answer == ANSWER_QUEUE && coro_redis_reply_is_error(reply, "WRONGTYPE"))
        return coro_sleep(WRONG_KEY_MS) < 0 ? -ECANCELED : 1;
    if (answer == ANSWER_RECONNECT) {
        coro_redis_drop(fetch->blocking, why);
        coro_redis_drop(fetch->commands, why);
    }
    int64_t wait_ms = trouble_note(&fetch->wait_trouble, why);
    if (wait_ms > NO_BLOCKING_MS)
        wait_ms = NO_BLOCKING_MS;
    return coro_sleep(wait_ms) < 0 ? -ECANCELED : 1;
}

static int digest_pair(struct fetch *fetch, struct dispatch_burst *burst,
                       const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR)
        return handle_refusal(fetch, reply);
    trouble_over(&fetch->wait_trouble);
    if (coro_redis_reply_nitems(reply) != 2)
        return 0;
    size_t len;
    const char *key =
        coro_redis_reply_text(coro_redis_reply_item(reply, 0), &len);
    struct fetch_queue *queue = queue_named(fetch, key, len);
    if (queue)
        fetch_take(fetch, queue, burst, coro_redis_reply_item(reply, 1), 0);
    return 1;
}

struct watch {
    struct fetch *fetch;
    int64_t due_ms;
};

static void give_pop_up(struct fetch *fetch)
{
    log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
             "a blocking pop was never answered, though the server answers: "
             "connecting anew; a job may be lost with the old connection");
    coro_redis_drop(fetch->blocking, "a blocking pop was never answered");
}

/* Runs beside a blocking pop; cancelled when that has ended.
 *
 * When a pop is overdue and the server does not answer others either, it is the
 * server, and the pop may still bring a job. If it does answer others, the pop
 * gets some more time (a server that was frozen answers one after another), and
 * then its connection is broken. */
static int watch_pop(void *argument)
{
    struct watch *watch = argument;
    bool has_answered = false;
    if (coro_sleep_until(watch->due_ms) < 0)
        return 0;
    for (;;) {
        int status =
            coro_redis_call(watch->fetch->commands, 1, CORO_REDIS_ARGS("PING"),
                            coro_after(LIVENESS_MS), NULL);
        if (status == -ECANCELED)
            return 0;
        if (status == 0 && has_answered)
            give_pop_up(watch->fetch);
        has_answered = status == 0;
        if (coro_sleep(LATE_MS) < 0)
            return 0;
    }
}

static int pop_blocking(struct fetch *fetch, int timeout_s, int argc,
                        struct coro_redis_reply **ret_reply)
{
    struct watch watch = {
        .fetch = fetch,
        .due_ms = coro_after(timeout_s * 1000 + LATE_MS),
    };
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    int status = coro_group_spawn(
        &group, watch_pop, &watch,
        &(struct coro_spawn_options){.name = "watch a blocking pop"});
    if (status == 0)
        status = coro_redis_call(fetch->blocking, argc, fetch->words,
                                 fetch->lens, CORO_NEVER, ret_reply);
    coro_group_close(&group);
    return status;
}

/* BRPOP with the queues that may be asked, in their order. */
static int word_pop(struct fetch *fetch, const char *timeout)
{
    int argc = 0;
    fetch->words[argc] = "BRPOP";
    fetch->lens[argc++] = SIZE_MAX;
    for (size_t i = 0; i < fetch->nqueues; i++) {
        const struct fetch_queue *queue = fetch->order[i];
        if (!fetch_may_ask(queue))
            continue;
        fetch->words[argc] = queue->queue->key;
        fetch->lens[argc++] = queue->queue->key_len;
    }
    if (argc == 1)
        return 0;
    fetch->words[argc] = timeout;
    fetch->lens[argc++] = SIZE_MAX;
    return argc;
}

/* The blocking pop got no answer. When a server goes, both connections go, one
 * just before the other. */
static int ask_by_burst(int status)
{
    if (status == -ECANCELED)
        return status;
    return coro_sleep(WRONG_KEY_MS) < 0 ? -ECANCELED : 1;
}

static int wait_once(struct fetch *fetch, int timeout_s,
                     struct dispatch_burst *burst)
{
    /* Without the second connection the first one asks twice a second. */
    int status =
        coro_redis_wait_up(fetch->blocking, coro_after(NO_BLOCKING_MS));
    if (status < 0)
        return status == -ECANCELED ? status : 1;
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", timeout_s);
    int argc = word_pop(fetch, timeout);
    if (argc == 0)
        return coro_sleep(NO_BLOCKING_MS) < 0 ? -ECANCELED : 1;
    if (fetch->is_quiet)
        return 1;
    struct coro_redis_reply *reply;
    int64_t start_ms = coro_now_ms();
    fetch_asks(fetch, 1);
    status = pop_blocking(fetch, timeout_s, argc, &reply);
    fetch_was_answered(fetch);
    if (status < 0)
        return ask_by_burst(status);
    int n = digest_pair(fetch, burst, reply);
    coro_redis_reply_free(reply);
    /* Something that answers at once instead of blocking. */
    if (n == 0 && coro_now_ms() - start_ms < WRONG_KEY_MS)
        return coro_sleep(NO_BLOCKING_MS) < 0 ? -ECANCELED : 1;
    return n;
}

/* --- resting -------------------------------------------------------------- */

static int unblock(struct fetch *fetch)
{
    char id[24];
    int64_t number = coro_redis_client_id(fetch->blocking);
    if (!fetch->is_waiting || number < 0)
        return 0;
    snprintf(id, sizeof id, "%lld", (long long)number);
    return coro_redis_call(fetch->commands, 3,
                           CORO_REDIS_ARGS("CLIENT", "UNBLOCK", id),
                           coro_after(UNBLOCK_EVERY_MS), NULL);
}

static int rest(struct fetch *fetch, int64_t deadline_ms)
{
    while (fetch->nasked > 0) {
        if (coro_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        /* The pop may be on its way when the first of these arrives, so they
         * are sent until it has ended. */
        int status = unblock(fetch);
        if (status != -ECANCELED && fetch->nasked > 0)
            status =
                coro_park(&fetch->quiet_waiters, coro_after(UNBLOCK_EVERY_MS));
        if (status == -ECANCELED)
            return status;
    }
    return 0;
}

const struct fetch_mode fetch_at_most_once = {
    .name = "at-most-once",
    .burst = burst_once,
    .wait = wait_once,
    .rest = rest,
};
