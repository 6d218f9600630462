#include "master/queue/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/fetch_mode.h"
#include "worker/log.h"

/* How large jobs are is only known once some were seen, so it starts small. */
#define BURST_FIRST 16

/* Pops that block have so long to end, when there is nothing to be taken. */
#define REST_MS 1000

int fetch_init(struct fetch *fetch, const struct fetch_options *options)
{
    *fetch = (struct fetch){
        .nqueues = options->nqueues,
        .mode = options->mode,
        .commands = options->commands,
        .blocking = options->blocking,
        .owner = options->owner,
        .lines = options->lines,
        .dispatch = options->dispatch,
        .max_payload_bytes = options->max_payload_bytes,
        .has_pop_count = true,
        .rest_until_ms = CORO_NEVER,
    };
    list_init(&fetch->quiet_waiters);
    trouble_init(&fetch->trouble, "taking jobs");
    trouble_init(&fetch->wait_trouble, "waiting for jobs");
    coro_rng_init_random(&fetch->rng);
    fetch->queues = calloc(options->nqueues, sizeof *fetch->queues);
    fetch->order = calloc(options->nqueues, sizeof *fetch->order);
    fetch->words = calloc(options->nqueues + 2, sizeof *fetch->words);
    fetch->lens = calloc(options->nqueues + 2, sizeof *fetch->lens);
    fetch->are_wanted = calloc(options->nqueues, sizeof *fetch->are_wanted);
    if (!fetch->queues || !fetch->order || !fetch->words || !fetch->lens ||
        !fetch->are_wanted) {
        fetch_release(fetch);
        return -ENOMEM;
    }
    for (size_t i = 0; i < options->nqueues; i++) {
        struct fetch_queue *queue = &fetch->queues[i];
        queue->queue = &options->queues[i];
        queue->burst_most = BURST_FIRST;
        trouble_init(&queue->trouble, queue->queue->key);
        fetch->order[i] = queue;
    }
    return 0;
}

void fetch_release(struct fetch *fetch)
{
    free(fetch->queues);
    free(fetch->order);
    free(fetch->words);
    free(fetch->lens);
    free(fetch->are_wanted);
}

bool fetch_may_ask(const struct fetch_queue *queue)
{
    return queue->not_before_ms <= coro_now_ms();
}

/* --- the order of queues -------------------------------------------------- */

/* With weights: each place goes to one of the queues that are left, as often as
 * its weight is of theirs. Without, the order is as it was given. */
static void draw_order(struct fetch *fetch)
{
    if (fetch->nqueues < 2 || fetch->queues[0].queue->weight == 0)
        return;
    uint64_t total = 0;
    for (size_t i = 0; i < fetch->nqueues; i++)
        total += fetch->order[i]->queue->weight;
    for (size_t i = 0; i < fetch->nqueues; i++) {
        uint64_t drawn = coro_rng_below(&fetch->rng, total);
        size_t at = i;
        while (drawn >= fetch->order[at]->queue->weight)
            drawn -= fetch->order[at++]->queue->weight;
        struct fetch_queue *chosen = fetch->order[at];
        fetch->order[at] = fetch->order[i];
        fetch->order[i] = chosen;
        total -= chosen->queue->weight;
    }
}

/* --- taking --------------------------------------------------------------- */

static void note_size(struct fetch_queue *queue, size_t len)
{
    /* The largest of late: forgotten slowly, so that one large job makes the
     * following bursts careful. */
    queue->largest_bytes -= queue->largest_bytes / 64;
    if (len > queue->largest_bytes)
        queue->largest_bytes = len;
}

static struct job *make_job(struct fetch *fetch, struct fetch_queue *queue,
                            const char *payload, size_t len, uint64_t attempt)
{
    struct job *job;
    uint64_t number = ++fetch->last_number;
    while (!(job = job_new(queue->queue, number, payload, len))) {
        /* It is out of its queue already: nothing is right but to wait. */
        int64_t wait_ms = trouble_note(&fetch->trouble, "no memory");
        coro_sleep(wait_ms);
    }
    job->attempt = attempt;
    job->taken_at_us = fetch->answered_at_us;
    return job;
}

void fetch_take(struct fetch *fetch, struct fetch_queue *queue,
                struct dispatch_burst *burst,
                const struct coro_redis_reply *payload, uint64_t attempt)
{
    size_t len;
    const char *bytes = coro_redis_reply_text(payload, &len);
    note_size(queue, len);
    struct job *job = make_job(fetch, queue, bytes, len, attempt);
    if (len > fetch->max_payload_bytes) {
        job_fail(job, "PayloadTooLarge",
                 "the payload has %zu bytes, expected at most %zu", len,
                 fetch->max_payload_bytes);
        dispatch_refuse(fetch->dispatch, job);
        return;
    }
    if (fetch->is_quiet)
        dispatch_return(fetch->dispatch, job);
    else
        dispatch_add(fetch->dispatch, burst, job);
}

void fetch_asks(struct fetch *fetch, size_t most)
{
    fetch->nasked = most;
}

void fetch_was_answered(struct fetch *fetch)
{
    fetch->nasked = 0;
    fetch->answered_at_us = coro_wall_us();
    while (coro_wake_first(&fetch->quiet_waiters, 0))
        ;
}

int fetch_handle_error(struct fetch *fetch, struct fetch_queue *queue,
                       const struct coro_redis_reply *reply)
{
    const char *why = coro_redis_reply_text(reply, NULL);
    switch (answer_of(reply)) {
    case ANSWER_OK:
    case ANSWER_AGAIN:
        return 0;
    case ANSWER_QUEUE:
        if (queue) {
            queue->not_before_ms =
                coro_now_ms() + trouble_note(&queue->trouble, why);
            return 0;
        }
        break;
    case ANSWER_RECONNECT:
        if (fetch->blocking)
            coro_redis_drop(fetch->blocking, why);
        coro_redis_drop(fetch->commands, why);
        break;
    case ANSWER_LATER:
    case ANSWER_UNKNOWN:
        break;
    }
    return coro_sleep(trouble_note(&fetch->trouble, why));
}

static size_t burst_size(const struct fetch *fetch,
                         const struct fetch_queue *queue)
{
    size_t most = dispatch_credit(fetch->dispatch);
    if (most > queue->burst_most)
        most = queue->burst_most;
    size_t fit = queue->largest_bytes
                     ? FETCH_BURST_MOST_BYTES / queue->largest_bytes
                     : most;
    if (most > fit)
        most = fit;
    return most ? most : 1;
}

/* Asks one queue. Returns how many jobs it gave; @ret_is_full: as many as were
 * asked for, so it may have more. */
static int burst_queue(struct fetch *fetch, struct fetch_queue *queue,
                       bool *ret_is_full)
{
    size_t most = burst_size(fetch, queue);
    struct dispatch_burst burst = {NULL, NULL};
    int n = fetch->mode->burst(fetch, queue, most, &burst);
    dispatch_send(fetch->dispatch, &burst);
    *ret_is_full = n > 0 && (size_t)n == most;
    if (*ret_is_full && queue->burst_most < SIZE_MAX / 2)
        queue->burst_most *= 2;
    return n;
}

/* What there is in the queues, in their order, within the credit.
 *
 * Returns 0, or -ECANCELED. @ret_are_empty: none of them has more, as far as
 * can be known; a full burst is followed by another, from the first queue on.
 */
static int burst(struct fetch *fetch, bool *ret_are_empty)
{
    *ret_are_empty = false;
    draw_order(fetch);
    for (size_t i = 0; i < fetch->nqueues; i++) {
        struct fetch_queue *queue = fetch->order[i];
        if (fetch->is_quiet || dispatch_credit(fetch->dispatch) == 0)
            return 0;
        if (!fetch_may_ask(queue))
            continue;
        bool is_full;
        int n = burst_queue(fetch, queue, &is_full);
        if (n < 0 || is_full)
            return n < 0 ? n : 0;
    }
    *ret_are_empty = true;
    return 0;
}

/* How long to block: no longer than until a queue in trouble is asked again. */
static int wait_seconds(const struct fetch *fetch)
{
    int64_t now_ms = coro_now_ms();
    int64_t wait_ms = FETCH_WAIT_S * 1000;
    for (size_t i = 0; i < fetch->nqueues; i++) {
        int64_t left_ms = fetch->queues[i].not_before_ms - now_ms;
        if (left_ms > 0 && left_ms < wait_ms)
            wait_ms = left_ms;
    }
    /* Whole seconds: Redis before 6.0 knows no others. */
    return (int)((wait_ms + 999) / 1000);
}

static int wait_for_push(struct fetch *fetch, bool *ret_are_empty)
{
    struct dispatch_burst burst = {NULL, NULL};
    fetch->is_waiting = true;
    int n = fetch->mode->wait(fetch, wait_seconds(fetch), &burst);
    fetch->is_waiting = false;
    dispatch_send(fetch->dispatch, &burst);
    *ret_are_empty = n == 0;
    return n < 0 ? n : 0;
}

static bool may_take(const struct fetch *fetch)
{
    return !fetch->is_quiet && dispatch_credit(fetch->dispatch) > 0;
}

/* Until there may be something to be taken, with nothing that blocks. */
static int idle(struct fetch *fetch)
{
    if (fetch->mode->rest(fetch, coro_after(REST_MS)) == -ECANCELED)
        return -ECANCELED;
    if (may_take(fetch))
        return 0;
    int status =
        coro_park(&fetch->dispatch->credit_waiters, fetch->rest_until_ms);
    return status == -ETIMEDOUT ? 0 : status;
}

static int fetch_main(void *argument)
{
    struct fetch *fetch = argument;
    bool are_empty = false; /* the queues were, when last asked */
    for (;;) {
        int status = 0;
        if (fetch->mode->prepare)
            status = fetch->mode->prepare(fetch);
        if (status < 0)
            return status;
        if (!may_take(fetch))
            status = idle(fetch);
        else if (are_empty)
            status = wait_for_push(fetch, &are_empty);
        else
            status = burst(fetch, &are_empty);
        if (status < 0)
            return status;
    }
}

int fetch_start(struct fetch *fetch, struct coro_group *group)
{
    return coro_group_spawn(
        group, fetch_main, fetch,
        &(struct coro_spawn_options){.name = "fetch", .large_stack = true});
}

int fetch_quiet(struct fetch *fetch, int64_t deadline_ms)
{
    fetch->is_quiet = true;
    dispatch_nudge(fetch->dispatch);
    return fetch->mode->rest(fetch, deadline_ms);
}
