#include "master/queue/recover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/queue/charge.h"
#include "master/queue/orphans.h"
#include "master/queue/requeue.h"
#include "worker/log.h"

/* How often a lease may come back: what the dead process has sent before its
 * end is still carried out. */
#define TRIES_MOST 3

struct work {
    const struct recover_options *options;
    const struct recover_case *corpse;
    int64_t deadline_ms;
    struct orphans *orphans; /* one for each queue */
    size_t norphans;
    int64_t nmoved;
};

static struct charge charge_of(const struct work *work, size_t queue)
{
    return (struct charge){
        .redis = work->options->redis,
        .process = work->corpse->identity,
        .queue = &work->orphans[queue].owned,
        .deadline_ms = work->deadline_ms,
    };
}

/* The rest is recovered all the same: Redis has said that this won't do. */
static int get_over(const struct charge *charge, int status, const char *what)
{
    if (status == -EACCES)
        log_line(LOG_LEVEL_WARN, NULL,
                 (struct log_field[]){log_bytes("queue", charge->queue->key,
                                                charge->queue->key_len)},
                 1, "%s: %s", what, charge->why);
    return status == -EACCES ? 0 : status;
}

/* --- marks ---------------------------------------------------------------- */

/* What a mark says, when it is of a job that is in flight in a queue. */
static bool read_mark(const struct work *work, const struct vitals_mark *mark,
                      struct charge_job *job, size_t *ret_queue)
{
    uint64_t attempt =
        atomic_load_explicit(&mark->attempt, memory_order_relaxed);
    job->number = atomic_load_explicit(&mark->number, memory_order_acquire);
    *ret_queue = atomic_load_explicit(&mark->queue, memory_order_relaxed);
    owner_format_attempt(job->attempt, attempt);
    return job->number != 0 && attempt != 0 && *ret_queue < work->norphans;
}

static bool find_job(const struct work *work, uint64_t number,
                     struct charge_job *ret_job, size_t *ret_queue)
{
    for (size_t i = 0; number != 0 && i < work->corpse->nmarks; i++)
        if (read_mark(work, &work->corpse->vitals->marks[i], ret_job,
                      ret_queue) &&
            ret_job->number == number)
            return true;
    return false;
}

/* All of one queue. Returns how many; with @jobs NULL they are only counted. */
static size_t collect(const struct work *work, size_t queue,
                      struct charge_job *jobs)
{
    size_t njobs = 0;
    for (size_t i = 0; i < work->corpse->nmarks; i++) {
        struct charge_job job = {.number = 0};
        size_t of;
        if (!read_mark(work, &work->corpse->vitals->marks[i], &job, &of) ||
            of != queue)
            continue;
        if (jobs)
            jobs[njobs] = job;
        njobs++;
    }
    return njobs;
}

/* --- the one job that it died of ------------------------------------------ */

static void write_message(char *message, size_t size, int64_t count,
                          const char *what)
{
    snprintf(message, size, "crashed the worker %lld %s%s%s%s",
             (long long)count, count == 1 ? "time" : "times", *what ? " (" : "",
             what, *what ? ")" : "");
}

/* Puts it where it is taken from, before its neighbours follow. */
static int put_back(struct work *work, size_t queue,
                    const struct charge_job *job)
{
    struct requeue requeue = {
        .redis = work->options->redis,
        .lease = &work->orphans[queue].lease,
        .queue = &work->orphans[queue].owned,
    };
    const char *attempt = job->attempt;
    int64_t n = requeue_attempts(&requeue, &attempt, 1, work->deadline_ms);
    if (n > 0)
        work->nmoved += n;
    /* A refusal is told when it goes back with the others, or does not. */
    return n < 0 && n != -EREMOTEIO ? (int)n : 0;
}

static int sentence(struct work *work, struct charge *charge, size_t queue,
                    const struct charge_job *job,
                    const struct coro_redis_reply *payload)
{
    char message[500];
    const char *what = work->corpse->what ? work->corpse->what : "";
    if (job->count >= RECOVER_CRASHES_MOST) {
        write_message(message, sizeof message, job->count, what);
        int status = charge_set_aside(
            charge, job, payload, &(struct charge_reason){"Crashed", message});
        work->nmoved += status == 1;
        return get_over(charge, status < 0 ? status : 0,
                        "a job that crashes the worker can't be set aside");
    }
    if (job->count > 0)
        charge_log(charge, LOG_LEVEL_WARN, job, payload,
                   "job crashed the worker%s%s%s, %lld of %d: it goes back to "
                   "its queue",
                   *what ? " (" : "", what, *what ? ")" : "",
                   (long long)job->count, RECOVER_CRASHES_MOST);
    return put_back(work, queue, job);
}

static int charge_job(struct work *work, struct charge *charge, size_t queue,
                      struct charge_job *job)
{
    struct coro_redis_reply *payload;
    int status = charge_fetch(charge, job->attempt, &payload);
    if (status < 0)
        return get_over(charge, status, "what crashed the worker is not told");
    if (coro_redis_reply_type(payload) == CORO_REDIS_STRING) {
        status = charge_identify(charge, job, 1);
        if (status == 0)
            status = charge_count(charge, job, 1, "crashed", 0);
        status = get_over(charge, status, "a crash can't be counted");
        if (status == 0)
            status = sentence(work, charge, queue, job, payload);
    }
    coro_redis_reply_free(payload);
    return status;
}

static int charge_crash(struct work *work)
{
    struct charge_job job = {.number = 0};
    size_t queue;
    if (!find_job(work, work->corpse->vitals->crash.job, &job, &queue))
        return 0;
    struct charge charge = charge_of(work, queue);
    return charge_job(work, &charge, queue, &job);
}

/* --- all that ran --------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct charge_job *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* Equal jobs without an id, such as "5" and "5", can't be told from each other:
 * what one of them has lived through would be counted against all. */
static void leave_out_equals(struct charge_job *jobs, size_t njobs)
{
    qsort(jobs, njobs, sizeof *jobs, by_name);
    for (size_t i = 0, n; i < njobs; i += n) {
        for (n = 1; i + n < njobs && by_name(&jobs[i], &jobs[i + n]) == 0;)
            n++;
        bool are_left_out = n > 1 && jobs[i].name[0] == 'd';
        for (size_t j = i; are_left_out && j < i + n; j++)
            jobs[j].name[0] = '\0';
    }
}

static int set_aside(struct work *work, struct charge *charge,
                     const struct charge_job *job)
{
    char message[100];
    snprintf(message, sizeof message,
             "was running in %lld processes that were killed",
             (long long)job->count);
    struct coro_redis_reply *payload;
    int status = charge_fetch(charge, job->attempt, &payload);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(payload) == CORO_REDIS_STRING)
        status = charge_set_aside(charge, job, payload,
                                  &(struct charge_reason){"Killed", message});
    coro_redis_reply_free(payload);
    work->nmoved += status == 1;
    return status < 0 ? status : 0;
}

static int count_jobs(struct work *work, struct charge *charge,
                      struct charge_job *jobs, size_t njobs)
{
    int status = charge_identify(charge, jobs, njobs);
    if (status == 0) {
        leave_out_equals(jobs, njobs);
        status = charge_count(charge, jobs, njobs, "died", RECOVER_DEATHS_MOST);
    }
    status = get_over(charge, status,
                      "that jobs ran in a process that was killed can't be "
                      "counted");
    for (size_t i = 0; i < njobs && status == 0; i++)
        if (jobs[i].count >= RECOVER_DEATHS_MOST)
            status = get_over(charge, set_aside(work, charge, &jobs[i]),
                              "a job that was running in processes that were "
                              "killed can't be set aside");
    return status;
}

static int count_queue(struct work *work, size_t queue)
{
    size_t njobs = collect(work, queue, NULL);
    struct charge_job *jobs = calloc(njobs + 1, sizeof *jobs);
    if (!jobs)
        return -ENOMEM;
    collect(work, queue, jobs);
    struct charge charge = charge_of(work, queue);
    int status = count_jobs(work, &charge, jobs, njobs);
    free(jobs);
    return status;
}

static int count_all(struct work *work)
{
    int status = 0;
    for (size_t i = 0; i < work->norphans && status == 0; i++)
        status = count_queue(work, i);
    return status;
}

/* --- all else ------------------------------------------------------------- */

static int charge(struct work *work)
{
    switch (work->corpse->cause) {
    case RECOVER_CRASH:
        return charge_crash(work);
    case RECOVER_KILLED:
        return count_all(work);
    case RECOVER_INNOCENT:
        break;
    }
    return 0;
}

static int end_lease(const struct work *work)
{
    char value[OWNER_VALUE_MAX];
    const struct orphans *orphans = &work->orphans[0];
    struct coro_redis *redis = work->options->redis;
    int status = orphans_look(orphans, redis, value, work->deadline_ms);
    if (status == 0)
        return orphans_end_lease(orphans, redis, value, work->deadline_ms);
    return status == 1 ? 0 : status;
}

/* One queue that is refused keeps no other from it. */
static int give_back(struct work *work)
{
    int64_t worst = 0;
    for (size_t i = 0; i < work->norphans; i++) {
        int64_t n = orphans_give_back(&work->orphans[i], work->options->redis,
                                      work->deadline_ms);
        if (n == -EREMOTEIO)
            worst = n;
        else if (n < 0)
            return (int)n;
        else
            work->nmoved += n;
    }
    return (int)worst;
}

static int end_and_give_back(struct work *work)
{
    int status = -EBUSY;
    for (int i = 0; i < TRIES_MOST && status == -EBUSY; i++) {
        status = end_lease(work);
        if (status == 0)
            status = give_back(work);
    }
    return status;
}

static int work_init(struct work *work)
{
    const struct recover_options *options = work->options;
    work->orphans = calloc(options->nqueues, sizeof *work->orphans);
    int status = work->orphans ? 0 : -ENOMEM;
    while (status == 0 && work->norphans < options->nqueues) {
        const struct job_queue *queue = &options->queues[work->norphans];
        status = orphans_init_for(&work->orphans[work->norphans],
                                  work->corpse->identity, queue->key,
                                  queue->key_len);
        work->norphans += status == 0;
    }
    return status;
}

static void work_release(struct work *work)
{
    for (size_t i = 0; i < work->norphans; i++)
        orphans_release(&work->orphans[i]);
    free(work->orphans);
}

/* host:pid:random, of somebody else. */
static bool is_other(const char *identity, const char *process)
{
    size_t len = strnlen(identity, VITALS_IDENTITY_BYTES), ncolons = 0;
    for (size_t i = 0; i < len; i++) {
        ncolons += identity[i] == ':';
        if (identity[i] <= ' ' || identity[i] > '~')
            return false;
    }
    return ncolons == 2 && len < VITALS_IDENTITY_BYTES &&
           strcmp(identity, process) != 0;
}

int64_t recover_process(const struct recover_options *options,
                        const struct recover_case *corpse, int64_t deadline_ms)
{
    if (!corpse->identity[0] || options->nqueues == 0)
        return 0;
    if (!is_other(corpse->identity, options->process))
        return -EINVAL;
    struct work work = {
        .options = options,
        .corpse = corpse,
        .deadline_ms = deadline_ms,
    };
    int status = work_init(&work);
    if (status == 0)
        status = charge(&work);
    if (status == 0)
        status = end_and_give_back(&work);
    work_release(&work);
    return status < 0 ? status : work.nmoved;
}

int recover_forget(const struct recover_options *options, const char *identity,
                   int64_t deadline_ms)
{
    const struct recover_case corpse = {.identity = identity};
    struct work work = {.options = options, .corpse = &corpse};
    int status = work_init(&work);
    for (size_t i = 0; i < work.norphans && status >= 0; i++)
        status = requeue_forget(options->redis, &work.orphans[i].lease,
                                &work.orphans[i].owned, deadline_ms);
    work_release(&work);
    return status < 0 ? status : 0;
}
