#include "master/queue/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "master/queue/process_record.h"
#include "master/queue/prune.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* How long record and jobs outlive the last beat, the mark the last count
 * (while we live, and afterwards), and the counters of a day that day. */
#define RECORD_MS    "60000"
#define MARK_MS      "86400000"
#define MARK_LAST_MS "60000"
#define DAY_S        "157680000"

#define ANSWER_MS      30000
#define PRUNE_EVERY_MS 300000

/* After a signal the next beat comes soon: it shows what became of it. */
#define AFTER_SIGNAL_MS 500

/* A larger payload is not shown whole, nor is any once those of a beat have
 * come to so many bytes: Redis is not to be kept busy by what is only shown. */
#define PAYLOAD_MOST_BYTES 10240
#define BEAT_MOST_BYTES    ((size_t)2 << 20)

/* After so many bytes of a beat's words others get a turn. */
#define TURN_BYTES 65536

/* Jobs that wait here for a coroutine may stand between those that run. */
#define JOBS_SEEN_MOST (10 * HEARTBEAT_JOBS_MOST)

#define NKEYS        9
#define NARGS        10
#define RECORD_WORDS "14"
#define NRECORD      14
#define WORDS_MOST \
    (SCRIPT_WORDS + NKEYS + NARGS + NRECORD + 2 * HEARTBEAT_JOBS_MOST)

/* The words of one call. They stand one after the other in `text`, which may
 * move while it grows: where each begins is looked up when all are there. */
struct beat {
    struct coro_buf text;
    size_t nwords;
    size_t starts[WORDS_MOST + 1];
    const char *argv[WORDS_MOST];
    size_t lens[WORDS_MOST];
    struct heartbeat_totals totals; /* as they are told */
    size_t nbytes_shown;            /* of payloads, as they are */
    bool is_leaving;
};

/* --- words ---------------------------------------------------------------- */

/* What was appended to the text since the last word is the next one. */
static void end_word(struct beat *beat)
{
    beat->starts[++beat->nwords] = beat->text.len;
}

static void add_text(struct beat *beat, const char *text)
{
    coro_buf_append_string(&beat->text, text);
    end_word(beat);
}

static void add_number(struct beat *beat, uint64_t number)
{
    coro_buf_append_u64(&beat->text, number);
    end_word(beat);
}

static void add_pair(struct beat *beat, const char *before, const char *after)
{
    coro_buf_append_string(&beat->text, before);
    coro_buf_append_string(&beat->text, after);
    end_word(beat);
}

static void add_keys(struct beat *beat, const char *identity)
{
    time_t now_s = coro_wall_us() / 1000000;
    struct tm utc;
    char day[16] = "";
    if (gmtime_r(&now_s, &utc))
        strftime(day, sizeof day, "%Y-%m-%d", &utc);
    add_text(beat, identity);
    add_text(beat, "processes");
    add_pair(beat, identity, ":work");
    add_pair(beat, identity, "-signals");
    coro_buf_append_string(&beat->text, "corq:mark:");
    add_pair(beat, identity, ":counted");
    add_text(beat, "stat:processed");
    add_pair(beat, "stat:processed:", day);
    add_text(beat, "stat:failed");
    add_pair(beat, "stat:failed:", day);
}

static void add_arguments(struct beat *beat, const struct heartbeat *heartbeat)
{
    add_text(beat, heartbeat->options.identity);
    add_text(beat, beat->is_leaving ? "1" : "0");
    add_text(beat, RECORD_MS);
    add_number(beat, beat->totals.processed);
    add_number(beat, beat->totals.failed);
    add_number(beat, heartbeat->told.processed);
    add_number(beat, heartbeat->told.failed);
    add_text(beat, beat->is_leaving ? MARK_LAST_MS : MARK_MS);
    add_text(beat, DAY_S);
    add_text(beat, beat->is_leaving ? "0" : RECORD_WORDS);
}

/* --- the record ----------------------------------------------------------- */

/* The process's resident memory in kB; 0 when it can't be known. */
static uint64_t resident_kb(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    unsigned long long npages = 0;
    if (sscanf(text, "%*u %llu", &npages) != 1)
        return 0;
    return npages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* What ended is read before what began, so that the difference is never less
 * than nothing. */
static uint64_t count_running(const struct counters *counters)
{
    uint64_t nended = counter_read(&counters->done) +
                      counter_read(&counters->failed) +
                      counter_read(&counters->interrupted);
    uint64_t nstarted = counter_read(&counters->started);
    return nstarted > nended ? nstarted - nended : 0;
}

static void add_record(struct beat *beat, const struct heartbeat *heartbeat)
{
    const struct heartbeat_options *options = &heartbeat->options;
    size_t before = beat->nwords;
    add_text(beat, "info");
    coro_buf_append(&beat->text, heartbeat->info.data, heartbeat->info.len);
    end_word(beat);
    add_text(beat, "busy");
    add_number(beat, count_running(options->counters));
    add_text(beat, "beat");
    coro_buf_append_fixed(&beat->text, coro_wall_us(), 6);
    end_word(beat);
    add_text(beat, "rtt_us");
    add_number(beat, (uint64_t)heartbeat->rtt_us);
    add_text(beat, "quiet");
    add_text(beat, options->is_quiet(options->argument) ? "true" : "false");
    add_text(beat, "rss");
    add_number(beat, resident_kb());
    add_text(beat, "concurrency");
    add_number(beat, options->concurrency);
    ensure(beat->nwords - before == NRECORD);
}

static struct job *job_of(struct list *link)
{
    return list_entry(link, struct job, in_flight);
}

/* The first link behind that of job @number, which may be there no longer. */
static struct list *link_after(const struct list *in_flight, uint64_t number)
{
    struct list *link = in_flight->next;
    while (link != in_flight && job_of(link)->number <= number)
        link = link->next;
    return link;
}

static void add_job(struct beat *beat, const struct job *job)
{
    bool may_be_whole =
        job->payload_len <= PAYLOAD_MOST_BYTES &&
        beat->nbytes_shown + job->payload_len <= BEAT_MOST_BYTES;
    beat->nbytes_shown += may_be_whole ? job->payload_len : 0;
    add_number(beat, job->number);
    process_record_write_job(&beat->text, job, may_be_whole);
    end_word(beat);
}

/* Returns 0 or -ECANCELED. Suspends: all of them may take many milliseconds,
 * and jobs come and go meanwhile. */
static int add_jobs(struct beat *beat, const struct list *in_flight)
{
    struct list *link = in_flight->next;
    size_t nshown = 0;
    size_t turn_end = beat->text.len + TURN_BYTES;
    for (size_t i = 0; i < JOBS_SEEN_MOST && link != in_flight; i++) {
        const struct job *job = job_of(link);
        link = link->next;
        if (atomic_load(&job->phase) != JOB_PHASE_STARTED)
            continue;
        add_job(beat, job);
        if (++nshown == HEARTBEAT_JOBS_MOST)
            break;
        if (beat->text.len < turn_end)
            continue;
        uint64_t number = job->number;
        if (coro_relax() < 0)
            return -ECANCELED;
        link = link_after(in_flight, number);
        turn_end = beat->text.len + TURN_BYTES;
    }
    return 0;
}

/* --- one beat ------------------------------------------------------------- */

static struct heartbeat_totals read_totals(const struct counters *counters)
{
    uint64_t nfailed = counter_read(&counters->failed);
    return (struct heartbeat_totals){
        .processed = counter_read(&counters->done) + nfailed,
        .failed = nfailed,
    };
}

/* Words a call. Returns 0, -ENOMEM or -ECANCELED. Suspends. */
static int fill(struct beat *beat, const struct heartbeat *heartbeat)
{
    coro_buf_init(&beat->text, CORO_BUF_NO_LIMIT);
    beat->nwords = SCRIPT_WORDS; /* filled by script_call() */
    beat->totals = read_totals(heartbeat->options.counters);
    add_keys(beat, heartbeat->options.identity);
    add_arguments(beat, heartbeat);
    int status = 0;
    if (!beat->is_leaving) {
        add_record(beat, heartbeat);
        status = add_jobs(beat, heartbeat->options.in_flight);
    }
    if (status < 0)
        return status;
    if (beat->text.failed)
        return -ENOMEM;
    for (size_t i = SCRIPT_WORDS; i < beat->nwords; i++) {
        beat->argv[i] = beat->text.data + beat->starts[i];
        beat->lens[i] = beat->starts[i + 1] - beat->starts[i];
    }
    return 0;
}

static void obey(const struct heartbeat *heartbeat, const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TSTP", SIGTSTP}, {"TERM", SIGTERM}, {"TTIN", SIGTTIN}};
    const struct heartbeat_options *options = &heartbeat->options;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(name, signals[i].name) != 0)
            continue;
        log_line(LOG_LEVEL_INFO, "redis", NULL, 0, "asked by %s-signals: %s",
                 options->identity, name);
        options->on_signal(options->argument, signals[i].number);
        return;
    }
    const struct log_field fields[] = {log_string("found", name)};
    log_line(LOG_LEVEL_WARN, "redis", fields, 1,
             "no such signal in %s-signals, expected TSTP, TERM or TTIN",
             options->identity);
}

/* Takes in what the script says. Returns 0, or -EIO when Redis refused it or a
 * part of it. @ret_has_signal: there was one, and there may be more. */
static int digest(struct heartbeat *heartbeat, const struct beat *beat,
                  const struct coro_redis_reply *reply, bool *ret_has_signal)
{
    if (coro_redis_reply_nitems(reply) < 2) {
        trouble_note(&heartbeat->trouble, coro_redis_reply_text(reply, NULL));
        return -EIO;
    }
    if (coro_redis_reply_integer(coro_redis_reply_item(reply, 1)) == 1)
        heartbeat->told = beat->totals;
    const char *problem = "";
    if (coro_redis_reply_nitems(reply) > 2)
        problem = coro_redis_reply_text(coro_redis_reply_item(reply, 2), NULL);
    if (problem[0])
        trouble_note(&heartbeat->trouble, problem);
    else
        trouble_over(&heartbeat->trouble);
    const struct coro_redis_reply *signal = coro_redis_reply_item(reply, 0);
    *ret_has_signal = coro_redis_reply_type(signal) == CORO_REDIS_STRING;
    if (*ret_has_signal)
        obey(heartbeat, coro_redis_reply_text(signal, NULL));
    return problem[0] ? -EIO : 0;
}

/* One call of the script. Returns as digest(), or why there was no answer. */
static int send(struct heartbeat *heartbeat, bool is_leaving,
                int64_t deadline_ms, bool *ret_has_signal)
{
    struct beat *beat = calloc(1, sizeof *beat);
    if (!beat)
        return -ENOMEM;
    beat->is_leaving = is_leaving;
    struct coro_redis_reply *reply = NULL;
    int status = fill(beat, heartbeat);
    if (status == 0)
        status = script_call(heartbeat->options.redis, &script_beat, NKEYS,
                             (int)beat->nwords, beat->argv, beat->lens,
                             deadline_ms, &reply);
    if (status == 0)
        status = digest(heartbeat, beat, reply, ret_has_signal);
    coro_redis_reply_free(reply);
    coro_buf_release(&beat->text);
    free(beat);
    return status;
}

/* A PING, timed: what a command takes that does next to nothing. */
static int measure(struct heartbeat *heartbeat, int64_t deadline_ms)
{
    int64_t start_ns = coro_now_ns();
    int status = coro_redis_call(heartbeat->options.redis, 1,
                                 CORO_REDIS_ARGS("PING"), deadline_ms, NULL);
    if (status == 0)
        heartbeat->rtt_us = (coro_now_ns() - start_ns) / 1000;
    return status;
}

static int beat_once(struct heartbeat *heartbeat, bool *ret_has_signal)
{
    int64_t deadline_ms = coro_after(ANSWER_MS);
    int status = measure(heartbeat, deadline_ms);
    if (status == 0)
        status = send(heartbeat, false, deadline_ms, ret_has_signal);
    if (status == 0 && coro_now_ms() >= heartbeat->prune_at_ms) {
        heartbeat->prune_at_ms = coro_after(PRUNE_EVERY_MS);
        status = prune_processes(heartbeat->options.redis,
                                 &heartbeat->prune_trouble);
    }
    return status;
}

/* What went wrong, unless it was told already: an answer of Redis where it was
 * received, the connection by whoever made that. */
static void tell(struct heartbeat *heartbeat, int status)
{
    if (status == -ETIMEDOUT)
        trouble_note(&heartbeat->trouble, "no answer");
    else if (status == -ENOMEM)
        trouble_note(&heartbeat->trouble, "no memory");
}

static int beat_for_ever(struct heartbeat *heartbeat)
{
    int64_t period_ms = heartbeat->options.period_ms;
    for (;;) {
        if (coro_redis_wait_up(heartbeat->options.redis, CORO_NEVER) < 0)
            return -ECANCELED;
        int64_t next_ms = coro_after(period_ms);
        bool has_signal = false;
        int status = beat_once(heartbeat, &has_signal);
        if (status == -ECANCELED)
            return status;
        tell(heartbeat, status);
        if (has_signal && period_ms > AFTER_SIGNAL_MS)
            next_ms = coro_after(AFTER_SIGNAL_MS);
        if (coro_sleep_until(next_ms) < 0)
            return -ECANCELED;
    }
}

static int heartbeat_main(void *argument)
{
    struct heartbeat *heartbeat = argument;
    if (heartbeat->is_stopped)
        return -ECANCELED;
    heartbeat->task = coro_task_current();
    int status = beat_for_ever(heartbeat);
    heartbeat->task = NULL;
    return status;
}

/* --- from start to stop --------------------------------------------------- */

int heartbeat_start(struct heartbeat *heartbeat,
                    const struct heartbeat_options *options)
{
    *heartbeat = (struct heartbeat){.options = *options};
    if (options->period_ms == 0)
        heartbeat->options.period_ms = HEARTBEAT_PERIOD_MS;
    trouble_init(&heartbeat->trouble, "the record of this process");
    trouble_init(&heartbeat->prune_trouble, "forgetting dead processes");
    coro_buf_init(&heartbeat->info, CORO_BUF_NO_LIMIT);
    int status = process_record_write_info(
        &heartbeat->info, &(struct process_info){
                              .identity = options->identity,
                              .queues = options->queues,
                              .nqueues = options->nqueues,
                              .concurrency = options->concurrency,
                              .started_at_us = coro_wall_us(),
                          });
    if (status == 0)
        status =
            coro_group_spawn(options->group, heartbeat_main, heartbeat,
                             &(struct coro_spawn_options){.name = "heartbeat",
                                                          .large_stack = true});
    if (status < 0)
        coro_buf_release(&heartbeat->info);
    return status;
}

static void end_task(struct heartbeat *heartbeat)
{
    if (!heartbeat->task)
        return;
    struct coro_task *task = coro_task_ref(heartbeat->task);
    coro_task_cancel(task);
    coro_task_wait(task, CORO_NEVER, NULL);
    coro_task_unref(task);
}

/* Says that the process ends, on the next connection if this one is lost. */
static int leave(struct heartbeat *heartbeat, int64_t deadline_ms)
{
    bool has_signal;
    int status;
    do {
        status = coro_redis_wait_up(heartbeat->options.redis, deadline_ms);
        if (status == 0)
            status = send(heartbeat, true, deadline_ms, &has_signal);
    } while (status == -ENOTCONN || status == -ECONNRESET);
    return status;
}

int heartbeat_stop(struct heartbeat *heartbeat, int64_t deadline_ms)
{
    heartbeat->is_stopped = true;
    end_task(heartbeat);
    int status = leave(heartbeat, deadline_ms);
    coro_buf_release(&heartbeat->info);
    if (status == 0)
        return 0;
    struct heartbeat_totals totals = read_totals(heartbeat->options.counters);
    const struct log_field fields[] = {
        log_int("uncounted",
                (int64_t)(totals.processed - heartbeat->told.processed)),
    };
    log_line(LOG_LEVEL_WARN, "redis", fields, 1,
             "Redis could not be told in time that this process ends (%s): it "
             "is shown for up to a minute more",
             status == -EIO ? heartbeat->trouble.reason : strerror(-status));
    return status;
}
