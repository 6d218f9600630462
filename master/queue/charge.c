#include "master/queue/charge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "master/queue/answer.h"
#include "master/queue/dead_limits.h"
#include "master/queue/retry.h"
#include "master/queue/schedule.h"
#include "master/queue/script.h"
#include "master/queue/settle_batch.h"
#include "worker/record.h"
#include "worker/scan.h"

/* So many jobs in one call, and so many bytes of payload to be read in it: the
 * server does nothing else meanwhile. */
#define JOBS_MOST  100
#define BYTES_MOST "1048576"

#define KEY_BYTES (sizeof CHARGE_KEY_PREFIX + CHARGE_NAME_BYTES)

#define CLASS_MOST   200
#define MESSAGE_MOST 600

/* The words of a call. */
struct words {
    int argc;
    const char *argv[SCRIPT_WORDS + 5 + 2 * JOBS_MOST];
    size_t lens[SCRIPT_WORDS + 5 + 2 * JOBS_MOST];
};

static void add_word(struct words *words, const char *word, size_t len)
{
    words->argv[words->argc] = word;
    words->lens[words->argc++] = len;
}

static void add_string(struct words *words, const char *word)
{
    add_word(words, word, SIZE_MAX);
}

/* The first key of all scripts here. */
static void begin(const struct charge *charge, struct words *words)
{
    words->argc = SCRIPT_WORDS;
    add_word(words, charge->queue->inflight.bytes, charge->queue->inflight.len);
}

static void note_why(struct charge *charge,
                     const struct coro_redis_reply *reply)
{
    snprintf(charge->why, sizeof charge->why, "%s",
             coro_redis_reply_text(reply, NULL));
}

/* Takes @reply apart as charge.h says, and frees it unless it is none of an
 * error. */
static int judge(struct charge *charge, struct coro_redis_reply *reply)
{
    enum answer answer = answer_of(reply);
    if (answer == ANSWER_OK)
        return 0;
    note_why(charge, reply);
    coro_redis_reply_free(reply);
    return answer == ANSWER_QUEUE || answer == ANSWER_UNKNOWN ? -EACCES
                                                              : -EREMOTEIO;
}

static int call(struct charge *charge, const struct script *script,
                size_t nkeys, struct words *words,
                struct coro_redis_reply **ret_reply)
{
    int status =
        script_call(charge->redis, script, nkeys, words->argc, words->argv,
                    words->lens, charge->deadline_ms, ret_reply);
    return status < 0 ? status : judge(charge, *ret_reply);
}

/* --- names ---------------------------------------------------------------- */

/* Of some of the jobs, from the first one on; returns of how many. */
static int identify_some(struct charge *charge, struct charge_job *jobs,
                         size_t njobs)
{
    struct words words;
    begin(charge, &words);
    add_string(&words, BYTES_MOST);
    for (size_t i = 0; i < njobs && i < JOBS_MOST; i++)
        add_string(&words, jobs[i].attempt);
    struct coro_redis_reply *names;
    int status = call(charge, &script_identify, 1, &words, &names);
    if (status < 0)
        return status;
    size_t nnames = coro_redis_reply_nitems(names);
    for (size_t i = 0; i < nnames && i < njobs; i++)
        snprintf(jobs[i].name, sizeof jobs[i].name, "%s",
                 coro_redis_reply_text(coro_redis_reply_item(names, i), NULL));
    coro_redis_reply_free(names);
    return nnames > 0 ? (int)nnames : -EREMOTEIO;
}

int charge_identify(struct charge *charge, struct charge_job *jobs,
                    size_t njobs)
{
    for (size_t at = 0; at < njobs;) {
        int n = identify_some(charge, jobs + at, njobs - at);
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    return 0;
}

/* --- counting ------------------------------------------------------------- */

/* Takes the next jobs that have a name, from @jobs on, which it moves on. */
static size_t take_some(struct charge_job **jobs, const struct charge_job *end,
                        struct charge_job *some[JOBS_MOST])
{
    size_t n = 0;
    for (; *jobs < end && n < JOBS_MOST; ++*jobs)
        if ((*jobs)->name[0])
            some[n++] = *jobs;
    return n;
}

static int note_counts(struct charge *charge, struct charge_job **jobs,
                       size_t njobs, const struct coro_redis_reply *counts)
{
    int status = 0;
    for (size_t i = 0; i < njobs && i < coro_redis_reply_nitems(counts); i++) {
        const struct coro_redis_reply *count = coro_redis_reply_item(counts, i);
        jobs[i]->count = coro_redis_reply_integer(count);
        if (coro_redis_reply_type(count) == CORO_REDIS_INTEGER)
            continue;
        note_why(charge, count);
        status = -EACCES;
    }
    return status;
}

static int count_some(struct charge *charge, struct charge_job **jobs,
                      size_t njobs, const char *what, const char *most)
{
    char keys[JOBS_MOST][KEY_BYTES], window[24];
    snprintf(window, sizeof window, "%lld", (long long)CHARGE_WINDOW_MS);
    struct words words;
    begin(charge, &words);
    for (size_t i = 0; i < njobs; i++) {
        snprintf(keys[i], sizeof keys[i], CHARGE_KEY_PREFIX "%s",
                 jobs[i]->name + 1);
        add_string(&words, keys[i]);
    }
    add_string(&words, what);
    add_string(&words, charge->process);
    add_string(&words, window);
    add_string(&words, most);
    for (size_t i = 0; i < njobs; i++)
        add_string(&words, jobs[i]->attempt);
    struct coro_redis_reply *counts;
    int status = call(charge, &script_count, 1 + njobs, &words, &counts);
    if (status < 0)
        return status;
    status = note_counts(charge, jobs, njobs, counts);
    coro_redis_reply_free(counts);
    return status;
}

int charge_count(struct charge *charge, struct charge_job *jobs, size_t njobs,
                 const char *what, int64_t most)
{
    char limit[24];
    snprintf(limit, sizeof limit, "%lld", (long long)most);
    const struct charge_job *end = jobs + njobs;
    struct charge_job *some[JOBS_MOST];
    int worst = 0;
    size_t n;
    while ((n = take_some(&jobs, end, some)) > 0) {
        int status = count_some(charge, some, n, what, limit);
        if (status < 0 && status != -EACCES)
            return status;
        worst = status < 0 ? status : worst;
    }
    return worst;
}

/* --- setting aside -------------------------------------------------------- */

int charge_fetch(struct charge *charge, const char *attempt,
                 struct coro_redis_reply **ret_payload)
{
    const char *argv[] = {"HGET", charge->queue->inflight.bytes, attempt};
    size_t lens[] = {SIZE_MAX, charge->queue->inflight.len, SIZE_MAX};
    int status = coro_redis_call(charge->redis, 3, argv, lens,
                                 charge->deadline_ms, ret_payload);
    return status < 0 ? status : judge(charge, *ret_payload);
}

/* What is to become of a job. */
struct fate {
    bool is_dropped;
    bool is_shared;
    int64_t now_us;
    struct coro_buf record;
};

/* Decided as for a failure that is for good. */
static int decide(const struct charge *charge, const char *bytes, size_t len,
                  const struct charge_reason *reason, struct fate *fate)
{
    const struct owner_queue *queue = charge->queue;
    struct record record;
    record_read(bytes, len, &record);
    fate->now_us = coro_wall_us();
    fate->is_shared = record_is_shared(&record, queue->key, queue->key_len);
    struct retry_decision decision = retry_decide(
        &(struct retry_policy){.most = 0}, &record,
        &(struct retry_failure){.is_permanent = true, .now_us = fate->now_us},
        NULL);
    fate->is_dropped = decision.verdict == RETRY_VERDICT_DROP;
    char jid[RECORD_JID_BYTES];
    int status = record_make_jid(jid);
    if (fate->is_dropped || status < 0)
        return status;
    return record_write_failure(bytes, len,
                                &(struct record_failure){
                                    .key = queue->key,
                                    .key_len = queue->key_len,
                                    .jid = jid,
                                    .retry = -1,
                                    .retry_count = decision.count,
                                    .now_us = fate->now_us,
                                    .error_class = reason->error_class,
                                    .error_message = reason->message,
                                },
                                &fate->record);
}

static int retire(struct charge *charge, const char *attempt,
                  const struct fate *fate)
{
    struct words words;
    struct dead_limits limits;
    char score[SCORE_BYTES];
    begin(charge, &words);
    add_string(&words, fate->is_shared ? "retry" : "corq:retry");
    add_string(&words, fate->is_shared ? "dead" : SETTLE_DEAD_KEY);
    add_string(&words, SCHEDULE_WAKE_KEY);
    dead_limits_set(&limits, fate->now_us, fate->is_shared);
    add_string(&words, limits.oldest);
    add_string(&words, DEAD_MOST);
    add_string(&words, limits.newest);
    add_string(&words, attempt);
    add_string(&words, fate->is_dropped ? "drop" : "dead");
    add_string(&words, score_format(score, fate->now_us));
    add_word(&words, fate->record.data ? fate->record.data : "",
             fate->record.len);
    struct coro_redis_reply *reply;
    int status = call(charge, &script_retire, 4, &words, &reply);
    if (status < 0)
        return status;
    if (coro_redis_reply_nitems(reply) == 2) {
        status = (int)coro_redis_reply_integer(coro_redis_reply_item(reply, 0));
        settle_tell_removed(
            "the dead set",
            coro_redis_reply_integer(coro_redis_reply_item(reply, 1)));
    }
    coro_redis_reply_free(reply);
    return status;
}

int charge_set_aside(struct charge *charge, const struct charge_job *job,
                     const struct coro_redis_reply *payload,
                     const struct charge_reason *reason)
{
    size_t len;
    const char *bytes = coro_redis_reply_text(payload, &len);
    struct fate fate = {.is_dropped = false};
    coro_buf_init(&fate.record, CORO_BUF_NO_LIMIT);
    int status = decide(charge, bytes, len, reason, &fate);
    if (status == 0)
        status = retire(charge, job->attempt, &fate);
    coro_buf_release(&fate.record);
    if (status == 1)
        charge_log(charge, LOG_LEVEL_ERROR, job, payload, "job %s: %s",
                   fate.is_dropped ? "dropped, as it says itself"
                                   : "set aside in the dead set",
                   reason->message);
    return status;
}

/* --- the log -------------------------------------------------------------- */

static void read_class(const struct coro_redis_reply *payload,
                       struct coro_buf *class)
{
    size_t len;
    const char *bytes = coro_redis_reply_text(payload, &len);
    struct scan_result job;
    if (scan_job(bytes, len, &job) != SCAN_DESCRIBED ||
        scan_string_decode(job.class, class) < 0)
        coro_buf_append_string(class, "(raw)");
    if (class->len > CLASS_MOST)
        coro_buf_truncate(class, CLASS_MOST);
}

void charge_log(const struct charge *charge, enum log_level level,
                const struct charge_job *job,
                const struct coro_redis_reply *payload, const char *format, ...)
{
    char message[MESSAGE_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct coro_buf class;
    coro_buf_init(&class, CORO_BUF_NO_LIMIT);
    const struct owner_queue *queue = charge->queue;
    struct log_field fields[5] = {
        log_bytes("queue", queue->key, queue->key_len),
        log_string("process", charge->process),
        log_int("job", (int64_t)job->number),
    };
    size_t nfields = 3;
    if (job->name[0])
        fields[nfields++] =
            log_string(job->name[0] == 'j' ? "jid" : "digest", job->name + 1);
    if (payload) {
        read_class(payload, &class);
        if (class.data)
            fields[nfields++] = log_bytes("class", class.data, class.len);
    }
    log_line(level, NULL, fields, nfields, "%s", message);
    coro_buf_release(&class);
}
