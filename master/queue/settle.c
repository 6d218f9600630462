#include "master/queue/settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/settle_batch.h"
#include "worker/log.h"

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

/* --- one batch after the other -------------------------------------------- */

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

static int settle_batch(struct settle_lane *lane)
{
    struct settle *settle = lane->settle;
    batch_clear(lane->batch);
    int status = settle->mode->gather(lane);
    if (status == -EAGAIN)
        return settle_wait_for_targets(lane);
    if (status < 0)
        return coro_sleep(trouble_note(&lane->trouble, strerror(-status)));
    enum settle_target target = lane->batch->target;
    enum answer answer = settle_send(lane);
    if (answer == ANSWER_OK) {
        trouble_over(&settle->refusals[target]);
        finish(lane);
        note_sent(lane);
        return 0;
    }
    bool is_refused = answer == ANSWER_QUEUE;
    if (is_refused && lane->batch->list == SETTLE_LIST_BACK)
        bury(lane);
    else if (is_refused)
        list_move_all(list_of(lane), &lane->batch->jobs);
    else
        put_back(lane, list_of(lane));
    note_sent(lane);
    if (!is_refused)
        return -ECANCELED;
    settle_note_refusal(settle, target);
    return 0;
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
    for (size_t i = 0; i < SETTLE_NTARGETS; i++)
        trouble_init(&settle->refusals[i], "settling jobs");
    list_init(&settle->empty_waiters);
    list_init(&settle->sent_waiters);
    list_init(&settle->held);
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

void settle_failed(struct settle *settle, struct job *job)
{
    add(&settle->moves, &settle->moves.failed, job);
}

void settle_give_back(struct settle *settle, struct job *job)
{
    if (!settle->is_holding) {
        add(&settle->moves, &settle->moves.back, job);
        return;
    }
    list_append(&settle->held, &job->in_flight);
    settle->nheld++;
}

static int by_attempt(const void *a, const void *b)
{
    const struct job *left = *(struct job *const *)a;
    const struct job *right = *(struct job *const *)b;
    return (left->attempt > right->attempt) - (left->attempt < right->attempt);
}

void settle_hold(struct settle *settle)
{
    settle->is_holding = true;
}

void settle_let_go(struct settle *settle)
{
    settle->is_holding = false;
    size_t n = 0;
    struct job **jobs = calloc(settle->nheld + 1, sizeof(struct job *));
    list_foreach_safe (link, &settle->held) {
        list_remove(link);
        if (jobs)
            jobs[n++] = settle_job_of(link);
        else /* rather in any order than not at all */
            add(&settle->moves, &settle->moves.back, settle_job_of(link));
    }
    settle->nheld = 0;
    if (jobs)
        qsort(jobs, n, sizeof *jobs, by_attempt);
    for (size_t i = 0; i < n; i++)
        add(&settle->moves, &settle->moves.back, jobs[i]);
    free(jobs);
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
            settle_failed(settle, job);
        return;
    case JOB_OUTCOME_RETRY:
    case JOB_OUTCOME_FAILED:
        settle_failed(settle, job);
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
    visit_list(&settle->held, visit, argument);
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
    if (trouble_is_on(&settle->moves.trouble))
        return settle->moves.trouble.reason;
    if (trouble_is_on(&settle->acks.trouble))
        return settle->acks.trouble.reason;
    for (size_t i = 0; i < SETTLE_NTARGETS; i++)
        if (trouble_is_on(&settle->refusals[i]))
            return settle->refusals[i].reason;
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
    settle_let_go(settle);
    return lane_give_up(&settle->acks) + lane_give_up(&settle->moves);
}
