/*
 * Settling for at-most-once: jobs were taken out of Redis when they came, so
 * whatever is to be known of them there has to be written again.
 */
#include <errno.h>
#include <stdio.h>

#include "coro/base/clock.h"
#include "master/queue/settle_batch.h"
#include "worker/log.h"

#define MARK_MS "86400000"

static int gather_dead(struct settle_lane *lane)
{
    struct settle_batch *batch = lane->batch;
    if (!settle_may_write(lane->settle, SETTLE_TARGET_OWN))
        return -EAGAIN;
    int64_t now_us = coro_wall_us();
    batch->list = SETTLE_LIST_FAILED;
    batch->target = SETTLE_TARGET_OWN;
    settle_use_script(batch, &script_dead, 1);
    settle_add_string(batch, SETTLE_DEAD_KEY);
    settle_add_dead_limits(batch, now_us, false);
    list_foreach_safe (link, &lane->failed) {
        struct job *job = settle_job_of(link);
        if (!settle_has_room(batch, job))
            break;
        struct coro_buf *record = &batch->records[batch->nrecords++];
        int status = settle_write_record(record, job, 0, now_us);
        if (status < 0)
            return batch->njobs > 0 ? 0 : status;
        char *score = batch->scores[batch->njobs];
        score_format(score, now_us);
        settle_add_string(batch, score);
        settle_add_word(batch, record->data, record->len);
        settle_take_into(batch, job);
    }
    return 0;
}

/* The last jobs that wait of the last one's queue: what was taken last goes
 * back first, so that what was taken first is taken first again. */
static int gather_back(struct settle_lane *lane)
{
    struct settle *settle = lane->settle;
    struct settle_batch *batch = lane->batch;
    const struct job_queue *queue = settle_job_of(lane->back.prev)->queue;
    batch->list = SETTLE_LIST_BACK;
    batch->target = SETTLE_TARGET_QUEUE;
    snprintf(batch->mark, sizeof batch->mark, "corq:mark:%s:%llu",
             settle->process, (unsigned long long)++settle->nmarks);
    settle_use_script(batch, &script_give_back, 2);
    settle_add_word(batch, queue->key, queue->key_len);
    settle_add_string(batch, batch->mark);
    settle_add_string(batch, MARK_MS);
    struct list *link = lane->back.prev;
    while (link != &lane->back) {
        struct job *job = settle_job_of(link);
        link = link->prev;
        if (job->queue != queue)
            continue;
        if (!settle_has_room(batch, job))
            break;
        settle_add_word(batch, job->payload, job->payload_len);
        settle_take_into(batch, job);
    }
    return 0;
}

/* What goes back comes first: a dead set that can't be written to must not hold
 * up the queues. */
static int gather(struct settle_lane *lane)
{
    return list_is_empty(&lane->back) ? gather_dead(lane) : gather_back(lane);
}

static void tell_dead(const struct job *job)
{
    const struct log_field fields[] = {
        log_string("error",
                   job->error_class ? job->error_class : "Interrupted"),
        log_bytes("queue", job->queue->key, job->queue->key_len),
        log_int("job", (int64_t)job->number),
        log_int("bytes", (int64_t)job->payload_len),
    };
    /* Interrupted ones may be very many at once, and are told of in one line. */
    bool is_expected = job->outcome == JOB_OUTCOME_INTERRUPTED;
    log_line(is_expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, NULL, fields, 4,
             "job set aside in " SETTLE_DEAD_KEY ": %s",
             job->error_message ? job->error_message : "");
}

static void tell_given_back(const struct job *job)
{
    const struct log_field fields[] = {
        log_bytes("queue", job->queue->key, job->queue->key_len),
        log_int("job", (int64_t)job->number),
    };
    log_line(LOG_LEVEL_DEBUG, NULL, fields, 2, "job given back");
}

/* The script for the dead answers how many old entries had to go, the one for
 * giving back only that it was done. */
static void note(struct settle_lane *lane, const struct coro_redis_reply *reply)
{
    bool is_dead = lane->batch->list == SETTLE_LIST_FAILED;
    if (is_dead)
        settle_tell_removed(SETTLE_DEAD_KEY, coro_redis_reply_integer(reply));
    list_foreach (link, &lane->batch->jobs) {
        if (is_dead)
            tell_dead(settle_job_of(link));
        else
            tell_given_back(settle_job_of(link));
    }
}

const struct settle_mode settle_at_most_once = {
    .gather = gather,
    .note = note,
};
