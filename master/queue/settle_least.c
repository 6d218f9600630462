/*
 * Settling for at-least-once: each job is in flight in Redis, under the number
 * of its attempt, until a command of ours takes it out of there. An attempt
 * that is not there any more was settled before, or its job was given to
 * somebody else because our lease had run out; then ours changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/clock.h"
#include "master/queue/schedule.h"
#include "master/queue/settle_batch.h"
#include "worker/log.h"

static struct owner_queue *owned(struct settle_lane *lane,
                                 const struct job *job)
{
    return owner_queue(lane->settle->owner, job->queue);
}

static void add_attempt(struct settle_batch *batch, const struct job *job)
{
    char *attempt = batch->attempts[batch->njobs];
    owner_format_attempt(attempt, job->attempt);
    settle_add_word(batch, attempt, OWNER_ATTEMPT_BYTES - 1);
}

/* --- done ----------------------------------------------------------------- */

/* All that wait of the first one's queue. */
static int gather_done(struct settle_lane *lane)
{
    struct settle_batch *batch = lane->batch;
    if (!settle_may_write(lane->settle, SETTLE_TARGET_FLIGHT))
        return -EAGAIN;
    const struct job *first = settle_job_of(lane->done.next);
    const struct owner_queue *queue = owned(lane, first);
    const struct job_queue *of = first->queue;
    batch->list = SETTLE_LIST_DONE;
    batch->target = SETTLE_TARGET_FLIGHT;
    settle_add_string(batch, "HDEL");
    settle_add_word(batch, queue->inflight.bytes, queue->inflight.len);
    list_foreach_safe (link, &lane->done) {
        struct job *job = settle_job_of(link);
        if (job->queue != of)
            continue;
        if (batch->njobs == SETTLE_BATCH_MOST)
            break;
        add_attempt(batch, job);
        settle_take_into(batch, job);
    }
    return 0;
}

/* --- given back ----------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
    const struct job *left = *(struct job *const *)a;
    const struct job *right = *(struct job *const *)b;
    return (left->attempt < right->attempt) - (left->attempt > right->attempt);
}

/* What was taken last goes back first, so that what was taken first is taken
 * first again. */
static int gather_back(struct settle_lane *lane)
{
    struct settle_batch *batch = lane->batch;
    const struct job *last = settle_job_of(lane->back.prev);
    const struct owner_queue *queue = owned(lane, last);
    const struct job_queue *of = last->queue;
    batch->list = SETTLE_LIST_BACK;
    batch->target = SETTLE_TARGET_QUEUE;
    settle_use_script(batch, &script_requeue, 3);
    settle_add_word(batch, lane->settle->owner->lease.bytes,
                    lane->settle->owner->lease.len);
    settle_add_word(batch, queue->inflight.bytes, queue->inflight.len);
    settle_add_word(batch, queue->key, queue->key_len);
    settle_add_string(batch, "own");
    struct list *link = lane->back.prev;
    while (link != &lane->back) {
        struct job *job = settle_job_of(link);
        link = link->prev;
        if (job->queue != of)
            continue;
        if (!settle_has_room(batch, job))
            break;
        batch->sorted[batch->njobs] = job;
        settle_take_into(batch, job);
    }
    qsort(batch->sorted, batch->njobs, sizeof(struct job *), newest_first);
    for (size_t i = 0; i < batch->njobs; i++) {
        owner_format_attempt(batch->attempts[i], batch->sorted[i]->attempt);
        settle_add_word(batch, batch->attempts[i], OWNER_ATTEMPT_BYTES - 1);
    }
    return 0;
}

/* --- failed --------------------------------------------------------------- */

static bool is_shared(const struct job *job, const struct record *record)
{
    return record_is_shared(record, job->queue->key, job->queue->key_len);
}

static const char *name_of(enum retry_verdict verdict)
{
    switch (verdict) {
    case RETRY_VERDICT_AGAIN:
        return "retry";
    case RETRY_VERDICT_DEAD:
        return "dead";
    case RETRY_VERDICT_DROP:
        break;
    }
    return "drop";
}

static void tell(const struct job *job, const struct retry_decision *decision)
{
    const struct log_field fields[] = {
        log_string("error", job->error_class ? job->error_class : "Failed"),
        log_bytes("queue", job->queue->key, job->queue->key_len),
        log_int("job", (int64_t)job->number),
        log_int("retries", decision->count),
        log_int("bytes", (int64_t)job->payload_len),
    };
    const char *message = job->error_message ? job->error_message : "";
    if (decision->verdict == RETRY_VERDICT_AGAIN)
        log_line(LOG_LEVEL_INFO, NULL, fields, 4,
                 "job failed, to be retried in %.1f s: %s",
                 (double)(decision->at_us - coro_wall_us()) / 1e6, message);
    else
        log_line(LOG_LEVEL_WARN, NULL, fields, 5, "job %s: %s",
                 decision->verdict == RETRY_VERDICT_DEAD
                     ? "set aside in the dead set"
                     : "dropped, as it says itself",
                 message);
}

/* Adds @job, decided about as @record says. Returns 0 or a negative errno. */
static int add_failed(struct settle_lane *lane, struct job *job,
                      const struct record *record, int64_t now_us)
{
    struct settle_batch *batch = lane->batch;
    struct retry_decision decision = retry_decide(
        &lane->settle->retry, record,
        &(struct retry_failure){
            .is_permanent = job->outcome != JOB_OUTCOME_RETRY,
            .delay_ms =
                job->outcome == JOB_OUTCOME_RETRY ? job->retry_delay_ms : -1,
            .now_us = now_us,
        },
        &lane->settle->rng);
    struct coro_buf *bytes = &batch->records[batch->nrecords];
    coro_buf_init(bytes, CORO_BUF_NO_LIMIT);
    if (decision.verdict != RETRY_VERDICT_DROP) {
        int status = settle_write_record(bytes, job, decision.count, now_us);
        if (status < 0)
            return status;
    }
    batch->nrecords++;
    bool is_again = decision.verdict == RETRY_VERDICT_AGAIN;
    char *score = batch->scores[batch->njobs];
    score_format(score, is_again ? decision.at_us : now_us);
    add_attempt(batch, job);
    settle_add_string(batch, name_of(decision.verdict));
    settle_add_string(batch, score);
    settle_add_word(batch, bytes->data ? bytes->data : "", bytes->len);
    batch->decisions[batch->njobs] = decision;
    settle_take_into(batch, job);
    return 0;
}

static void start_retire(struct settle_lane *lane, const struct job *first,
                         bool are_shared, int64_t now_us)
{
    struct settle_batch *batch = lane->batch;
    const struct owner_queue *queue = owned(lane, first);
    batch->list = SETTLE_LIST_FAILED;
    batch->target = are_shared ? SETTLE_TARGET_SHARED : SETTLE_TARGET_OWN;
    settle_use_script(batch, &script_retire, 4);
    settle_add_word(batch, queue->inflight.bytes, queue->inflight.len);
    settle_add_string(batch, are_shared ? "retry" : "corq:retry");
    settle_add_string(batch, are_shared ? "dead" : SETTLE_DEAD_KEY);
    settle_add_string(batch, SCHEDULE_WAKE_KEY);
    settle_add_dead_limits(batch, now_us, are_shared);
}

/* Whether the sets that @job goes to could be written to of late. */
static bool may_retire(const struct settle *settle, const struct job *job,
                       bool *ret_is_shared)
{
    struct record record;
    record_read(job->payload, job->payload_len, &record);
    *ret_is_shared = is_shared(job, &record);
    return settle_may_write(settle, *ret_is_shared ? SETTLE_TARGET_SHARED
                                                   : SETTLE_TARGET_OWN);
}

static const struct job *find_first(const struct settle_lane *lane,
                                    bool *ret_is_shared)
{
    list_foreach (link, &lane->failed)
        if (may_retire(lane->settle, settle_job_of(link), ret_is_shared))
            return settle_job_of(link);
    return NULL;
}

/* Those that wait of the first one's queue, and go to the same sets. */
static int gather_failed(struct settle_lane *lane)
{
    struct settle_batch *batch = lane->batch;
    int64_t now_us = coro_wall_us();
    bool are_shared;
    const struct job *first = find_first(lane, &are_shared);
    if (!first)
        return -EAGAIN;
    const struct job_queue *of = first->queue;
    start_retire(lane, first, are_shared, now_us);
    list_foreach_safe (link, &lane->failed) {
        struct job *job = settle_job_of(link);
        struct record record;
        if (job->queue != of)
            continue;
        record_read(job->payload, job->payload_len, &record);
        if (is_shared(job, &record) != are_shared)
            continue;
        if (!settle_has_room(batch, job))
            break;
        /* A time of its own for each: equal members of a set are one. */
        int status =
            add_failed(lane, job, &record, now_us + (int64_t)batch->njobs);
        if (status < 0)
            return batch->njobs > 0 ? 0 : status;
    }
    return 0;
}

/* --- the mode ------------------------------------------------------------- */

static int gather(struct settle_lane *lane)
{
    if (!list_is_empty(&lane->done))
        return gather_done(lane);
    return list_is_empty(&lane->back) ? gather_failed(lane) : gather_back(lane);
}

/* After a first sending, what is missing in the answer was somebody else's;
 * after another one it may be that the first was carried out. */
static void note_lost(struct settle_lane *lane, int64_t nmoved)
{
    int64_t nlost = (int64_t)lane->batch->njobs - nmoved;
    if (nlost <= 0 || lane->is_sent_again)
        return;
    lane->settle->nlost += (uint64_t)nlost;
    log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
             "%lld jobs that ended here had been given to another process, "
             "because the lease of this one had run out: they are run twice",
             (long long)nlost);
}

static void note(struct settle_lane *lane, const struct coro_redis_reply *reply)
{
    if (lane->batch->list != SETTLE_LIST_FAILED) {
        note_lost(lane, coro_redis_reply_integer(reply));
        return;
    }
    if (coro_redis_reply_nitems(reply) != 2)
        return;
    size_t i = 0;
    list_foreach (link, &lane->batch->jobs)
        tell(settle_job_of(link), &lane->batch->decisions[i++]);
    note_lost(lane, coro_redis_reply_integer(coro_redis_reply_item(reply, 0)));
    settle_tell_removed("the dead set", coro_redis_reply_integer(
                                            coro_redis_reply_item(reply, 1)));
}

const struct settle_mode settle_at_least_once = {
    .tells_done = true,
    .keeps_jobs = true,
    .gather = gather,
    .note = note,
};
