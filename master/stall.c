#include "master/stall.h"

#include <string.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "master/exit_status.h"
#include "master/stall_sight.h"
#include "worker/blame.h"
#include "worker/log.h"

/* So often is looked within the shortest time that is given, but neither more
 * nor less often than is of use. */
#define LOOKS           10
#define PERIOD_LEAST_MS 10
#define PERIOD_MOST_MS  100

/* With no job here, so many times less often. */
#define IDLE_FACTOR 10

/* A look that comes later than so many periods has been kept from coming, and
 * the worker may have been, too. */
#define PERIODS_MOST 5

/* After a warning the next one comes when it has taken so many times longer. */
#define WARN_FACTOR 10

/* A thread that has got less than this part of the time does not compute. */
#define CPU_LEAST(ms) ((ms)*1000000 / 20)

/* The class of a larger payload is not looked for: the master has more to do. */
#define SCAN_MOST_BYTES ((size_t)1 << 20)

#define FIELDS_MOST 7

/* --- which job ------------------------------------------------------------ */

static size_t copy(char *to, size_t capacity, const char *bytes, size_t len)
{
    size_t n = len < capacity ? len : capacity;
    if (n > 0)
        memcpy(to, bytes, n);
    return n;
}

static void note_class(struct stall_job *noted, const struct job *job)
{
    struct scan_result found;
    struct coro_buf name;
    if (job->payload_len > SCAN_MOST_BYTES ||
        scan_job(job->payload, job->payload_len, &found) != SCAN_DESCRIBED)
        return;
    coro_buf_init(&name, SCAN_MOST_BYTES);
    if (scan_string_decode(found.class, &name) == 0)
        noted->class_len = copy(noted->class_name, sizeof noted->class_name,
                                name.data, name.len);
    coro_buf_release(&name);
}

static void note_job(struct stall *stall)
{
    uint64_t number = stall->pulse.tag;
    struct stall_job *noted = &stall->job;
    const struct job *job =
        number ? dispatch_find(stall->options.dispatch, number) : NULL;
    *noted = (struct stall_job){.number = number};
    if (!job)
        return;
    noted->queue = job->queue;
    note_class(noted, job);
    noted->payload_len = copy(noted->payload, sizeof noted->payload,
                              job->payload, job->payload_len);
}

/* --- what is said --------------------------------------------------------- */

static size_t describe_job(const struct stall *stall, struct log_field *fields)
{
    const struct stall_job *job = &stall->job;
    size_t n = 0;
    if (job->class_len > 0)
        fields[n++] = log_bytes("class", job->class_name, job->class_len);
    if (job->queue)
        fields[n++] = log_bytes("queue", job->queue->key, job->queue->key_len);
    if (job->number)
        fields[n++] = log_int("job", (int64_t)job->number);
    fields[n++] =
        log_seconds("cpu", (stall->cpu_ns - stall->cpu_first_ns) / 1000);
    return n;
}

static size_t describe(const struct stall *stall,
                       const struct stall_sight *sight,
                       struct log_field *fields)
{
    size_t n = describe_job(stall, fields);
    if (stall->job.queue)
        fields[n++] =
            log_bytes("payload", stall->job.payload, stall->job.payload_len);
    if (sight->system_call[0])
        fields[n++] = log_string("sleeps_in", sight->system_call);
    fields[n++] = log_string("calls", sight->calls);
    return n;
}

static const char *culprit(const struct stall *stall)
{
    return stall->job.number ? "a job" : "what is no job";
}

static void note_stall(struct stall *stall)
{
    if (stall->is_told)
        return;
    stall->is_told = true;
    note_job(stall);
    atomic_fetch_add(&stall->options.dispatch->vitals->nstalls, 1);
    dispatch_hold(stall->options.dispatch);
}

static int warn(struct stall *stall)
{
    struct stall_sight sight;
    struct log_field fields[FIELDS_MOST];
    int64_t held_ms = stall->held_ms;
    note_stall(stall);
    stall->next_warn_ms *= WARN_FACTOR;
    int status = stall_sight_take(stall->options.dispatch->runner,
                                  &stall->pulse, &sight);
    if (status < 0)
        return status;
    size_t nfields = describe(stall, &sight, fields);
    log_line(LOG_LEVEL_WARN, "worker", fields, nfields,
             "%s has held the worker for %.1f s, and no other job goes on",
             culprit(stall), (double)held_ms / 1000);
    return 0;
}

static void tell_end(const struct stall *stall)
{
    struct log_field fields[FIELDS_MOST];
    if (!stall->is_told)
        return;
    dispatch_let_go(stall->options.dispatch);
    if (stall->options.warn_ms == 0)
        return;
    size_t nfields = describe_job(stall, fields);
    log_line(LOG_LEVEL_WARN, "worker", fields, nfields,
             "%s has let go of the worker after %.1f s", culprit(stall),
             (double)stall->held_ms / 1000);
}

/* --- the end of the process ----------------------------------------------- */

static void end_process(struct stall *stall, const struct stall_sight *sight)
{
    struct log_field fields[FIELDS_MOST];
    const struct dispatch *dispatch = stall->options.dispatch;
    uint64_t number = stall->job.number;
    blame_stall(dispatch->vitals,
                number ? dispatch_find(dispatch, number) : NULL, number,
                stall->held_ms, sight->calls);
    size_t nfields = describe(stall, sight, fields);
    log_line(LOG_LEVEL_ERROR, "worker", fields, nfields,
             "%s has held the worker for %.1f s: ending this process",
             culprit(stall), (double)stall->held_ms / 1000);
    log_flush();
    _exit(COMMAND_EXIT_STALLED);
}

/* It may have let go while it was looked at. */
static int abort_stall(struct stall *stall)
{
    struct coro_pulse now;
    struct stall_sight sight;
    const struct runner *runner = stall->options.dispatch->runner;
    note_stall(stall);
    int status = stall_sight_take(runner, &stall->pulse, &sight);
    runner_pulse(runner, &now);
    if (status == 0 && stall_sight_is_same(&stall->pulse, &now))
        end_process(stall, &sight);
    return status;
}

/* --- looking -------------------------------------------------------------- */

static void begin(struct stall *stall, const struct coro_pulse *pulse)
{
    stall->pulse = *pulse;
    stall->looked_ms = coro_now_ms();
    stall->cpu_ns = coro_thread_cpu_ns(&stall->thread);
    stall->cpu_first_ns = stall->cpu_ns;
    stall->held_ms = 0;
    stall->next_warn_ms = stall->options.warn_ms;
    stall->is_told = false;
}

/* It could run, but so can others, and it is not its turn. */
static bool is_starved(const struct stall *stall, int64_t gap_ms,
                       int64_t used_ns)
{
    struct coro_thread_look look;
    return used_ns < CPU_LEAST(gap_ms) &&
           coro_thread_look(&stall->thread, &look) == 0 && look.state == 'R';
}

static void count(struct stall *stall)
{
    int64_t now_ms = coro_now_ms();
    int64_t most_ms = PERIODS_MOST * stall->period_ms;
    int64_t gap_ms = now_ms - stall->looked_ms;
    int64_t cpu_ns = coro_thread_cpu_ns(&stall->thread);
    int64_t used_ns = cpu_ns - stall->cpu_ns;
    stall->looked_ms = now_ms;
    stall->cpu_ns = cpu_ns;
    if (!is_starved(stall, gap_ms, used_ns))
        stall->held_ms += gap_ms < most_ms ? gap_ms : most_ms;
}

static bool is_due(int64_t held_ms, int64_t limit_ms)
{
    return limit_ms > 0 && held_ms >= limit_ms;
}

/* What is no job's doing would come again. And a process that is to end does so
 * in time, and better. */
static bool may_abort(const struct stall *stall)
{
    return stall->pulse.tag != 0 && !stall->options.dispatch->is_draining;
}

static int look(struct stall *stall)
{
    struct coro_pulse now;
    runner_pulse(stall->options.dispatch->runner, &now);
    if (!stall_sight_is_same(&stall->pulse, &now)) {
        tell_end(stall);
        begin(stall, &now);
        return 0;
    }
    count(stall);
    if (is_due(stall->held_ms, stall->options.abort_ms) && may_abort(stall))
        return abort_stall(stall);
    if (is_due(stall->held_ms, stall->next_warn_ms))
        return warn(stall);
    return 0;
}

/* Where there is no job none holds the worker, and an idle process should not
 * be woken for nothing. */
static int64_t pause_ms(const struct stall *stall)
{
    bool is_idle = stall->options.dispatch->nin_flight == 0;
    return is_idle ? IDLE_FACTOR * stall->period_ms : stall->period_ms;
}

static int watch(void *argument)
{
    struct stall *stall = argument;
    int status = 0;
    while (status == 0) {
        status = coro_sleep(pause_ms(stall));
        if (status == 0 &&
            runner_thread(stall->options.dispatch->runner, &stall->thread))
            status = look(stall);
    }
    return status;
}

/* --- from beginning to end ------------------------------------------------ */

static int64_t choose_period(const struct stall_options *options)
{
    int64_t least_ms = options->warn_ms;
    if (least_ms == 0 || (options->abort_ms && options->abort_ms < least_ms))
        least_ms = options->abort_ms;
    int64_t period_ms = least_ms / LOOKS;
    if (period_ms < PERIOD_LEAST_MS)
        return PERIOD_LEAST_MS;
    return period_ms < PERIOD_MOST_MS ? period_ms : PERIOD_MOST_MS;
}

int stall_start(struct stall *stall, const struct stall_options *options)
{
    static const struct coro_spawn_options spawn = {.name = "stall watch",
                                                    .large_stack = true};
    *stall = (struct stall){
        .options = *options,
        .period_ms = choose_period(options),
    };
    if (options->warn_ms == 0 && options->abort_ms == 0)
        return 0;
    return coro_group_spawn_task(options->group, watch, stall, &spawn,
                                 &stall->task);
}

void stall_stop(struct stall *stall)
{
    if (!stall->task)
        return;
    coro_task_cancel(stall->task);
    coro_task_wait(stall->task, CORO_NEVER, NULL);
    coro_task_unref(stall->task);
    stall->task = NULL;
}
