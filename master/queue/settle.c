#include "master/queue/settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/script.h"
#include "worker/envelope.h"
#include "worker/log.h"

/* One script call settles at most so many jobs, and about so many bytes. */
#define BATCH_MOST       1000
#define BATCH_MOST_BYTES ((size_t)4 << 20)

/* Room for what an envelope adds to a payload, times what escaping can do. */
#define RECORD_SLACK 65536
#define RECORD_TIMES 6

#define MARK_MS      "86400000"
#define ANSWER_MS    30000
#define SCORE_BYTES  32
#define JID_BYTES    12
#define LOGGED_BYTES 65536

/* Which entries of the dead set go: those before the first; and as many as are
 * too many, but only of those before the second. */
struct trim_scores {
    char oldest[SCORE_BYTES];
    char newest[SCORE_BYTES];
};

/* The jobs and words of one script call. */
struct batch {
    struct list jobs; /* out of the list that they waited in */
    size_t njobs;
    size_t nbytes;
    const struct script *script;
    size_t nkeys;
    int argc;
    const char *argv[8 + 2 * BATCH_MOST];
    size_t lens[8 + 2 * BATCH_MOST];
    char scores[BATCH_MOST][SCORE_BYTES];
    struct coro_buf records[BATCH_MOST];
    size_t nrecords;
};

static struct job *job_of(struct list *link)
{
    return list_entry(link, struct job, in_flight);
}

static void add_word(struct batch *batch, const char *word, size_t len)
{
    batch->argv[batch->argc] = word;
    batch->lens[batch->argc++] = len;
}

static void add_string(struct batch *batch, const char *word)
{
    add_word(batch, word, strlen(word));
}

static void use_script(struct batch *batch, const struct script *script,
                       size_t nkeys)
{
    batch->script = script;
    batch->nkeys = nkeys;
    batch->argc = SCRIPT_WORDS;
}

/* --- records of the dead set ---------------------------------------------- */

static int write_record(struct coro_buf *record, const struct job *job,
                        int64_t now_us)
{
    char jid[2 * JID_BYTES + 1];
    int status = coro_random_hex(jid, JID_BYTES);
    if (status < 0)
        return status;
    coro_buf_init(record, job->payload_len * RECORD_TIMES + RECORD_SLACK +
                              job->queue->key_len * RECORD_TIMES);
    return envelope_write(
        record,
        &(struct envelope){
            .jid = jid,
            .key = job->queue->key,
            .key_len = job->queue->key_len,
            .payload = job->payload,
            .payload_len = job->payload_len,
            .retry = -1,
            .failed_at_us = now_us,
            .retried_at_us = -1,
            .error_class = job->error_class ? job->error_class : "Interrupted",
            .error_message = job->error_message ? job->error_message : "",
        });
}

static void format_score(char *score, int64_t us)
{
    snprintf(score, SCORE_BYTES, "%lld.%06d", (long long)(us / 1000000),
             (int)(us % 1000000));
}

static bool has_room(const struct batch *batch, const struct job *job)
{
    return batch->njobs < BATCH_MOST &&
           (batch->njobs == 0 ||
            batch->nbytes + job->payload_len <= BATCH_MOST_BYTES);
}

static void take_into(struct batch *batch, struct job *job)
{
    list_remove(&job->in_flight);
    list_append(&batch->jobs, &job->in_flight);
    batch->njobs++;
    batch->nbytes += job->payload_len;
}

/* Fills @batch from the dead that wait. Returns 0, or why it has none. */
static int gather_dead(struct settle *settle, struct batch *batch,
                       struct trim_scores *scores)
{
    static const char most[] = "10000";
    _Static_assert(SETTLE_DEAD_MOST == 10000, "said twice");
    int64_t now_us = coro_wall_us();
    format_score(scores->oldest,
                 now_us - (int64_t)SETTLE_DEAD_DAYS * 86400 * 1000000);
    format_score(scores->newest,
                 now_us - (int64_t)SETTLE_DEAD_GRACE_S * 1000000);
    use_script(batch, &script_dead, 1);
    add_string(batch, SETTLE_DEAD_KEY);
    add_string(batch, scores->oldest);
    add_string(batch, most);
    add_string(batch, scores->newest);
    list_foreach_safe (link, &settle->dead) {
        struct job *job = job_of(link);
        if (!has_room(batch, job))
            break;
        struct coro_buf *record = &batch->records[batch->nrecords++];
        int status = write_record(record, job, now_us);
        if (status < 0)
            return batch->njobs > 0 ? 0 : status;
        char *score = batch->scores[batch->njobs];
        format_score(score, now_us);
        add_string(batch, score);
        add_word(batch, record->data, record->len);
        take_into(batch, job);
    }
    return 0;
}

/* --- giving back ---------------------------------------------------------- */

/* The last jobs that wait of the last one's queue: what was taken last goes
 * back first, so that what was taken first is taken first again. */
static int gather_back(struct settle *settle, struct batch *batch, char *mark,
                       size_t mark_size)
{
    const struct job_queue *queue = job_of(settle->back.prev)->queue;
    snprintf(mark, mark_size, "corq:mark:%s:%llu", settle->process,
             (unsigned long long)++settle->nmarks);
    use_script(batch, &script_give_back, 2);
    add_word(batch, queue->key, queue->key_len);
    add_string(batch, mark);
    add_string(batch, MARK_MS);
    struct list *link = settle->back.prev;
    while (link != &settle->back) {
        struct job *job = job_of(link);
        link = link->prev;
        if (job->queue != queue)
            continue;
        if (!has_room(batch, job))
            break;
        add_word(batch, job->payload, job->payload_len);
        take_into(batch, job);
    }
    return 0;
}

/* --- sending -------------------------------------------------------------- */

static void batch_release(struct batch *batch)
{
    for (size_t i = 0; i < batch->nrecords; i++)
        coro_buf_release(&batch->records[i]);
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

/* All of @batch is in Redis. */
static void finish(struct settle *settle, struct batch *batch, bool is_dead)
{
    struct list *link;
    while ((link = list_take_first(&batch->jobs))) {
        struct job *job = job_of(link);
        if (is_dead)
            tell_dead(job);
        else
            tell_given_back(job);
        job_free(job);
        settle->npending--;
        settle->on_settled(settle->argument);
    }
    if (settle->npending == 0)
        while (coro_wake_first(&settle->empty_waiters, 0))
            ;
}

/* The dead set was full: the oldest had to go. (Giving back answers 1 or 0.) */
static void tell_removed(const struct settle *settle,
                         const struct coro_redis_reply *reply)
{
    long long nremoved = coro_redis_reply_integer(reply);
    if (settle->sends_dead && nremoved > 0)
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 SETTLE_DEAD_KEY " is full: its %lld oldest entries were "
                                 "removed",
                 nremoved);
}

/* Sends the batch once. Returns -ECANCELED, or 0 with what the answer means,
 * and its text in @why. */
static int send_once(struct settle *settle, struct batch *batch,
                     enum answer *ret_answer, char *why, size_t why_size)
{
    struct coro_redis_reply *reply;
    int status =
        script_call(settle->redis, batch->script, batch->nkeys, batch->argc,
                    batch->argv, batch->lens, coro_after(ANSWER_MS), &reply);
    if (status == -ECANCELED)
        return status;
    if (status < 0) {
        snprintf(why, why_size, "%s", strerror(-status));
        *ret_answer = ANSWER_LATER;
        return 0;
    }
    *ret_answer = answer_of(reply);
    if (*ret_answer == ANSWER_OK)
        tell_removed(settle, reply);
    snprintf(why, why_size, "%s", coro_redis_reply_text(reply, NULL));
    coro_redis_reply_free(reply);
    return 0;
}

/* Until @batch is in Redis, or we are told to end, or its key can't be used. */
static enum answer send_until_done(struct settle *settle, struct batch *batch)
{
    char why[160];
    for (;;) {
        if (coro_redis_wait_up(settle->redis, CORO_NEVER) < 0)
            return ANSWER_LATER;
        enum answer answer;
        if (send_once(settle, batch, &answer, why, sizeof why) < 0)
            return ANSWER_LATER;
        if (answer == ANSWER_OK) {
            trouble_over(&settle->trouble);
            return answer;
        }
        if (answer == ANSWER_QUEUE)
            return answer;
        if (answer == ANSWER_RECONNECT)
            coro_redis_drop(settle->redis, why);
        if (coro_sleep(trouble_note(&settle->trouble, why)) < 0)
            return ANSWER_LATER;
    }
}

static void put_back(struct list *list, struct batch *batch)
{
    struct list *link;
    while ((link = list_take_first(&batch->jobs)))
        list_append(list, link);
}

/* The queue of these jobs is no list any more: they are set aside instead. */
static void bury(struct settle *settle, struct batch *batch)
{
    list_foreach (link, &batch->jobs) {
        struct job *job = job_of(link);
        if (!job->error_class)
            job_fail(job, "NotGivenBack",
                     "the queue's key could not be written to");
    }
    put_back(&settle->dead, batch);
}

static int settle_batch(struct settle *settle, struct batch *batch)
{
    char mark[160];
    struct trim_scores scores;
    /* What goes back first: a dead set that can't be written to must not hold
     * up the queues. */
    bool is_dead = list_is_empty(&settle->back);
    int status = is_dead ? gather_dead(settle, batch, &scores)
                         : gather_back(settle, batch, mark, sizeof mark);
    if (status < 0)
        return coro_sleep(trouble_note(&settle->trouble, strerror(-status)));
    settle->sends_dead = is_dead;
    enum answer answer = send_until_done(settle, batch);
    if (answer == ANSWER_OK) {
        finish(settle, batch, is_dead);
        return 0;
    }
    if (answer == ANSWER_QUEUE && !is_dead) {
        bury(settle, batch);
        return 0;
    }
    put_back(is_dead ? &settle->dead : &settle->back, batch);
    if (answer == ANSWER_QUEUE)
        return coro_sleep(
            trouble_note(&settle->trouble, "can't write to " SETTLE_DEAD_KEY));
    return -ECANCELED;
}

static int settle_for_ever(struct settle *settle)
{
    for (;;) {
        while (settle->npending == 0)
            if (coro_park(&settle->work_waiters, CORO_NEVER) < 0)
                return -ECANCELED;
        struct batch *batch = calloc(1, sizeof *batch);
        if (!batch) {
            if (coro_sleep(trouble_note(&settle->trouble, "no memory")) < 0)
                return -ECANCELED;
            continue;
        }
        list_init(&batch->jobs);
        int status = settle_batch(settle, batch);
        batch_release(batch);
        free(batch);
        if (status < 0)
            return status;
    }
}

static int settle_main(void *argument)
{
    struct settle *settle = argument;
    settle->task = coro_task_current();
    int status = settle_for_ever(settle);
    settle->task = NULL;
    return status;
}

int settle_start(struct settle *settle, struct coro_group *group,
                 struct coro_redis *redis, const char *process,
                 void (*on_settled)(void *argument), void *argument)
{
    *settle = (struct settle){
        .redis = redis,
        .process = process,
        .on_settled = on_settled,
        .argument = argument,
    };
    list_init(&settle->dead);
    list_init(&settle->back);
    list_init(&settle->work_waiters);
    list_init(&settle->empty_waiters);
    trouble_init(&settle->trouble, "settling jobs");
    return coro_group_spawn(
        group, settle_main, settle,
        &(struct coro_spawn_options){.name = "settle", .large_stack = true});
}

static void add(struct settle *settle, struct list *list, struct job *job)
{
    list_append(list, &job->in_flight);
    settle->npending++;
    coro_wake_first(&settle->work_waiters, 0);
}

void settle_dead(struct settle *settle, struct job *job)
{
    add(settle, &settle->dead, job);
}

void settle_give_back(struct settle *settle, struct job *job)
{
    add(settle, &settle->back, job);
}

int settle_wait_empty(struct settle *settle, int64_t deadline_ms)
{
    while (settle->npending > 0) {
        int status = coro_park(&settle->empty_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

/* What is being sent is in the hands of the task, and back in the lists when
 * that has ended. */
static void stop_sending(struct settle *settle)
{
    if (!settle->task)
        return;
    struct coro_task *task = coro_task_ref(settle->task);
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
}

size_t settle_give_up(struct settle *settle)
{
    stop_sending(settle);
    list_move_all(&settle->dead, &settle->back);
    size_t ngiven_up = 0;
    struct list *link;
    while ((link = list_take_first(&settle->dead))) {
        struct job *job = job_of(link);
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
        job_free(job);
        ngiven_up++;
    }
    settle->npending = 0;
    return ngiven_up;
}
