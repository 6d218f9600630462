#include "master/queue/settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/settle_batch.h"
#include "worker/log.h"

#define ANSWER_MS    30000
#define LOGGED_BYTES 65536

/* --- batches -------------------------------------------------------------- */

/* Its tables are left as they are: they are large. */
static void batch_clear(struct settle_batch *batch)
{
    for (size_t i = 0; i < batch->nrecords; i++)
        coro_buf_release(&batch->records[i]);
    batch->njobs = 0;
    batch->nbytes = 0;
    batch->nrecords = 0;
    batch->argc = 0;
    batch->script = NULL;
}

static struct list *list_of(struct settle_lane *lane)
{
    switch (lane->batch->list) {
    case SETTLE_LIST_DONE:
        return &lane->done;
    case SETTLE_LIST_BACK:
        return &lane->back;
    case SETTLE_LIST_FAILED:
        break;
    }
    return &lane->failed;
}

/* What was not settled is the first to be settled next. */
static void put_back(struct settle_lane *lane, struct list *list)
{
    list_move_all(&lane->batch->jobs, list);
    list_move_all(list, &lane->batch->jobs);
}

static void note_empty(struct settle *settle)
{
    if (settle_npending(settle) == 0)
        while (coro_wake_first(&settle->empty_waiters, 0))
            ;
}

/* All of the batch is in Redis. */
static void finish(struct settle_lane *lane)
{
    struct settle *settle = lane->settle;
    struct list *link;
    while ((link = list_take_first(&lane->batch->jobs))) {
        job_free(settle_job_of(link));
        lane->npending--;
        settle->on_settled(settle->argument);
    }
    note_empty(settle);
}

/* --- sending -------------------------------------------------------------- */

static int call(struct settle_lane *lane, struct coro_redis_reply **ret_reply)
{
    struct settle_batch *batch = lane->batch;
    struct coro_redis *redis = lane->settle->redis;
    int64_t deadline_ms = coro_after(ANSWER_MS);
    if (batch->script)
        return script_call(redis, batch->script, batch->nkeys, batch->argc,
                           batch->argv, batch->lens, deadline_ms, ret_reply);
    return coro_redis_call(redis, batch->argc, batch->argv, batch->lens,
                           deadline_ms, ret_reply);
}

/* Sends the batch once. Returns -ECANCELED, or 0 with what the answer means,
 * and its text in @why. */
static int send_once(struct settle_lane *lane, enum answer *ret_answer,
                     char *why, size_t why_size)
{
    struct settle *settle = lane->settle;
    struct coro_redis_reply *reply;
    lane->sent_generation = coro_redis_generation(settle->redis);
    int status = call(lane, &reply);
    if (status == -ECANCELED)
        return status;
    if (status < 0) {
        /* An answer that is so late may come yet, and what was sent may be
         * carried out after it was sent again; not so on a new connection. */
        if (status == -ETIMEDOUT)
            coro_redis_drop(settle->redis, "no answer in time");
        snprintf(why, why_size, "%s", strerror(-status));
        *ret_answer = ANSWER_LATER;
        lane->is_sent_again = true;
        return 0;
    }
    *ret_answer = answer_of(reply);
    if (*ret_answer == ANSWER_OK)
        settle->mode->note(lane, reply);
    snprintf(why, why_size, "%s", coro_redis_reply_text(reply, NULL));
    coro_redis_reply_free(reply);
    return 0;
}

/* What a key refuses is over when that key takes something. */
static void note_works(struct settle_lane *lane)
{
    trouble_over(&lane->trouble);
    if (!lane->refused_target ||
        strcmp(lane->refused_target, lane->batch->target) != 0)
        return;
    trouble_over(&lane->refused);
    lane->refused_target = NULL;
}

/* Until the batch is in Redis, or we are told to end, or its key can't be
 * used. */
static enum answer send_until_done(struct settle_lane *lane)
{
    char why[160];
    struct coro_redis *redis = lane->settle->redis;
    lane->is_sent_again = false;
    for (;;) {
        if (coro_redis_wait_up(redis, CORO_NEVER) < 0)
            return ANSWER_LATER;
        enum answer answer;
        if (send_once(lane, &answer, why, sizeof why) < 0)
            return ANSWER_LATER;
        if (answer == ANSWER_OK) {
            note_works(lane);
            return answer;
        }
        if (answer == ANSWER_QUEUE)
            return answer;
        if (answer == ANSWER_RECONNECT)
            coro_redis_drop(redis, why);
        if (coro_sleep(trouble_note(&lane->trouble, why)) < 0)
            return ANSWER_LATER;
    }
}

static void note_sent(struct settle_lane *lane)
{
    lane->sent_generation = 0;
    while (coro_wake_first(&lane->settle->sent_waiters, 0))
        ;
}

/* The queue of these jobs is no list any more: they are set aside instead. */
static void bury(struct settle_lane *lane)
{
    list_foreach (link, &lane->batch->jobs) {
        struct job *job = settle_job_of(link);
        if (!job->error_class)
            job_fail(job, "NotGivenBack",
                     "the queue's key could not be written to");
        job->outcome = JOB_OUTCOME_FAILED;
    }
    put_back(lane, &lane->failed);
}

/* A key can't be used. Those that go elsewhere are tried before it is tried
 * again. */
static int refused(struct settle_lane *lane)
{
    struct settle_batch *batch = lane->batch;
    struct trouble *trouble = &lane->trouble;
    if (batch->list == SETTLE_LIST_BACK) {
        bury(lane);
    } else {
        list_move_all(list_of(lane), &batch->jobs);
        trouble = &lane->refused;
        lane->refused_target = batch->target;
    }
    note_sent(lane);
    char why[100];
    snprintf(why, sizeof why, "can't write to %s", batch->target);
    return coro_sleep(trouble_note(trouble, why));
}

static int settle_batch(struct settle_lane *lane)
{
    batch_clear(lane->batch);
    int status = lane->settle->mode->gather(lane);
    if (status < 0)
        return coro_sleep(trouble_note(&lane->trouble, strerror(-status)));
    enum answer answer = send_until_done(lane);
    if (answer == ANSWER_OK) {
        finish(lane);
        note_sent(lane);
        return 0;
    }
    if (answer == ANSWER_QUEUE)
        return refused(lane);
    put_back(lane, list_of(lane));
    note_sent(lane);
    return -ECANCELED;
}

static int settle_for_ever(struct settle_lane *lane)
{
    for (;;) {
        while (lane->npending == 0)
            if (coro_park(&lane->work_waiters, CORO_NEVER) < 0)
                return -ECANCELED;
        int status = settle_batch(lane);
        if (status < 0)
            return status;
    }
}

static int lane_main(void *argument)
{
    struct settle_lane *lane = argument;
    lane->task = coro_task_current();
    int status = settle_for_ever(lane);
    lane->task = NULL;
    return status;
}

/* --- birth and death ------------------------------------------------------ */

static int lane_start(struct settle *settle, struct settle_lane *lane,
                      const char *what, struct coro_group *group)
{
    list_init(&lane->done);
    list_init(&lane->back);
    list_init(&lane->failed);
    list_init(&lane->work_waiters);
    trouble_init(&lane->trouble, what);
    trouble_init(&lane->refused, what);
    lane->settle = settle;
    lane->batch = calloc(1, sizeof *lane->batch);
    if (!lane->batch)
        return -ENOMEM;
    list_init(&lane->batch->jobs);
    return coro_group_spawn(
        group, lane_main, lane,
        &(struct coro_spawn_options){.name = "settle", .large_stack = true});
}

int settle_start(struct settle *settle, const struct settle_options *options)
{
    *settle = (struct settle){
        .mode = options->mode,
        .redis = options->redis,
        .process = options->process,
        .owner = options->owner,
        .retry = options->retry,
        .on_settled = options->on_settled,
        .argument = options->argument,
    };
    list_init(&settle->empty_waiters);
    list_init(&settle->sent_waiters);
    coro_rng_init_random(&settle->rng);
    int status = lane_start(settle, &settle->acks,
                            "settling jobs that are done", options->group);
    return status < 0 ? status
                      : lane_start(settle, &settle->moves, "settling jobs",
                                   options->group);
}

void settle_release(struct settle *settle)
{
    struct settle_lane *lanes[] = {&settle->acks, &settle->moves};
    for (size_t i = 0; i < 2; i++) {
        if (lanes[i]->batch)
            batch_clear(lanes[i]->batch);
        free(lanes[i]->batch);
        lanes[i]->batch = NULL;
    }
}

/* --- what comes in -------------------------------------------------------- */

static void add(struct settle_lane *lane, struct list *list, struct job *job)
{
    list_append(list, &job->in_flight);
    lane->npending++;
    coro_wake_first(&lane->work_waiters, 0);
}

void settle_dead(struct settle *settle, struct job *job)
{
    add(&settle->moves, &settle->moves.failed, job);
}

void settle_give_back(struct settle *settle, struct job *job)
{
    add(&settle->moves, &settle->moves.back, job);
}

static void settle_done(struct settle *settle, struct job *job)
{
    if (settle->mode->tells_done) {
        add(&settle->acks, &settle->acks.done, job);
        return;
    }
    job_free(job);
    settle->on_settled(settle->argument);
}

void settle_outcome(struct settle *settle, struct job *job)
{
    switch (job->outcome) {
    case JOB_OUTCOME_DONE:
        settle_done(settle, job);
        return;
    case JOB_OUTCOME_INTERRUPTED:
        if (settle->mode->keeps_jobs)
            settle_give_back(settle, job);
        else
            settle_dead(settle, job);
        return;
    case JOB_OUTCOME_RETRY:
    case JOB_OUTCOME_FAILED:
        settle_dead(settle, job);
        return;
    case JOB_OUTCOME_NONE:
        settle_give_back(settle, job);
        return;
    }
}

/* --- waiting and giving up ------------------------------------------------ */

static void visit_list(struct list *list,
                       void (*visit)(const struct job *job, void *argument),
                       void *argument)
{
    list_foreach (link, list)
        visit(settle_job_of(link), argument);
}

void settle_each(struct settle *settle,
                 void (*visit)(const struct job *job, void *argument),
                 void *argument)
{
    struct settle_lane *lanes[] = {&settle->acks, &settle->moves};
    for (size_t i = 0; i < 2; i++) {
        visit_list(&lanes[i]->done, visit, argument);
        visit_list(&lanes[i]->back, visit, argument);
        visit_list(&lanes[i]->failed, visit, argument);
        visit_list(&lanes[i]->batch->jobs, visit, argument);
    }
}

int settle_wait_empty(struct settle *settle, int64_t deadline_ms)
{
    while (settle_npending(settle) > 0) {
        int status = coro_park(&settle->empty_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

static bool is_sent_before(const struct settle_lane *lane, uint64_t generation)
{
    return lane->sent_generation > 0 && lane->sent_generation < generation;
}

int settle_wait_sent(struct settle *settle, int64_t deadline_ms)
{
    uint64_t generation = coro_redis_generation(settle->redis);
    while (is_sent_before(&settle->acks, generation) ||
           is_sent_before(&settle->moves, generation)) {
        int status = coro_park(&settle->sent_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

const char *settle_reason(const struct settle *settle)
{
    const struct trouble *troubles[] = {
        &settle->moves.trouble, &settle->moves.refused, &settle->acks.trouble,
        &settle->acks.refused};
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        if (trouble_is_on(troubles[i]))
            return troubles[i]->reason;
    return "Redis does not answer";
}

/* What is being sent is in the hands of the task, and back in the lists when
 * that has ended. */
static void stop_sending(struct settle_lane *lane)
{
    if (!lane->task)
        return;
    struct coro_task *task = coro_task_ref(lane->task);
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
}

static void tell_given_up(const struct job *job)
{
    size_t shown =
        job->payload_len < LOGGED_BYTES ? job->payload_len : LOGGED_BYTES;
    const struct log_field fields[] = {
        log_bytes("queue", job->queue->key, job->queue->key_len),
        log_int("job", (int64_t)job->number),
        log_int("bytes", (int64_t)job->payload_len),
        log_bytes("payload", job->payload, shown),
    };
    log_line(LOG_LEVEL_ERROR, NULL, fields, 4,
             "Redis could not be told what became of this job: %s%s",
             job->error_class ? job->error_class : "not started",
             shown < job->payload_len ? " (payload cut)" : "");
}

static size_t lane_give_up(struct settle_lane *lane)
{
    stop_sending(lane);
    struct list all;
    list_init(&all);
    list_move_all(&all, &lane->failed);
    list_move_all(&all, &lane->back);
    list_move_all(&all, &lane->done);
    size_t ngiven_up = 0;
    struct list *link;
    while ((link = list_take_first(&all))) {
        struct job *job = settle_job_of(link);
        if (!lane->settle->mode->keeps_jobs)
            tell_given_up(job);
        job_free(job);
        ngiven_up++;
    }
    lane->npending = 0;
    return ngiven_up;
}

size_t settle_give_up(struct settle *settle)
{
    return lane_give_up(&settle->acks) + lane_give_up(&settle->moves);
}
