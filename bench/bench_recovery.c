/*
 * Ten processes under load, one of them killed each second: how long it takes
 * until as much is done as before, and whether anything is lost.
 *
 * Jobs sleep for 0.05 to 0.14 s, so 200 at a time make about 2,000 a second,
 * whatever the machine is. What was done is told by the log, in slices of
 * 250 ms; each kill gets a line on standard error with those around it. The
 * throughput is back at the end of the first slice after the kill that has 90 %
 * of the median slice before the first kill.
 */
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/program.h"
#include "bench/report.h"
#include "bench/server.h"
#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "tests/support/family.h"

#define PROCESSES   10
#define CONCURRENCY 20
#define JOBS_PER_S  2100 /* more than can be done */

#define KILLS_MOST 60
#define SLICE_MS   250
#define PER_S      (1000 / SLICE_MS)
#define CALM_S     6 /* before the first kill */
#define WARM_S     1 /* of these: not looked at */
#define SLICES     ((CALM_S + KILLS_MOST + 1) * PER_S)
#define BACK       0.9

static struct server server;
static struct program program;

static size_t njobs;
static unsigned char *nstarted, *ndone; /* by the number of a job, from 1 */
static size_t ndone_once;

static int64_t start_ms;
static double slices[SLICES];

/* --- what the log tells --------------------------------------------------- */

/* Payloads are 0.SSNNNNNN: a number of seconds, and the job's own. */
static size_t number_in(const char *line, size_t len, const char *word)
{
    char digits[7] = "";
    const char *at = memmem(line, len, word, strlen(word));
    if (!at || at + strlen(word) + 8 > line + len)
        return 0;
    memcpy(digits, at + strlen(word) + 2, 6);
    size_t number = strtoul(digits, NULL, 10);
    return number <= njobs ? number : 0;
}

static void note_line(void *argument, const char *line, size_t len)
{
    (void)argument;
    size_t number = number_in(line, len, "Wait 0.");
    if (number > 0 && nstarted[number] < UCHAR_MAX)
        nstarted[number]++;
    number = number_in(line, len, "Done 0.");
    if (number == 0)
        return;
    ndone_once += ndone[number] == 0;
    ndone[number] = 1;
    int64_t slice = (coro_now_ms() - start_ms) / SLICE_MS;
    if (slice < SLICES)
        slices[slice]++;
}

static void read_until(int64_t deadline_ms)
{
    int64_t left_ms;
    while ((left_ms = deadline_ms - coro_now_ms()) > 0)
        program_read(&program, (int)left_ms, note_line, NULL);
}

/* --- the load ------------------------------------------------------------- */

static void push_all(void)
{
    static const char script[] =
        "for i = 1, ARGV[1] do"
        "  redis.call('LPUSH', KEYS[1],"
        "             string.format('0.%02d%06d', 5 + i % 10, i)) "
        "end";
    nstarted = calloc(njobs + 1, 1);
    ndone = calloc(njobs + 1, 1);
    if (!nstarted || !ndone)
        give_up("no memory");
    server_do(&server, "EVAL %s 1 stash %d", script, (int)njobs);
    server_do(&server, "RENAME stash queue");
}

static void kill_one(struct coro_rng *rng)
{
    pid_t children[PROCESSES + 1];
    size_t n = family_children(program.pid, children, PROCESSES);
    if (n > 0)
        kill(children[coro_rng_below(rng, n)], SIGKILL);
}

/* Reads until every job was done; gives up when no line comes any more. */
static void read_to_the_end(void)
{
    while (ndone_once < njobs && program_read(&program, 30000, note_line, NULL))
        ;
}

/* --- what came of it ------------------------------------------------------ */

static double calm_slice(void)
{
    return measure_median(slices + WARM_S * PER_S, (CALM_S - WARM_S) * PER_S);
}

/* In ms; a second kill comes after a second. */
static double back_after(size_t kill, double calm)
{
    size_t first = (CALM_S + kill) * PER_S;
    size_t n = 0;
    while (n < PER_S && slices[first + n] < BACK * calm)
        n++;
    return (double)(n + 1) * SLICE_MS;
}

static void tell_kill(size_t kill, double calm, double back_ms)
{
    const double *at = slices + (CALM_S + kill) * PER_S;
    report_progress("  kill %2zu: %3.0f | %3.0f %3.0f %3.0f %3.0f of %3.0f, %s "
                    "after %.0f ms",
                    kill + 1, at[-1], at[0], at[1], at[2], at[3], calm,
                    back_ms > 1000 ? "not back" : "back", back_ms);
}

static void report_back(size_t nkills)
{
    double calm = calm_slice(), after[KILLS_MOST], lowest[KILLS_MOST];
    for (size_t i = 0; i < nkills; i++) {
        const double *at = slices + (CALM_S + i) * PER_S;
        after[i] = back_after(i, calm);
        tell_kill(i, calm, after[i]);
        lowest[i] = at[0];
        for (size_t j = 1; j < PER_S; j++)
            lowest[i] = at[j] < lowest[i] ? at[j] : lowest[i];
        lowest[i] *= 100 / calm;
    }
    report(&(struct report_row){
        .key = "recovery_calm",
        .what = "ten processes, none killed",
        .unit = "jobs/s",
        .value = calm * PER_S,
    });
    report(&(struct report_row){
        .key = "recovery_median",
        .what = "one killed each second: 90 % again, median",
        .unit = "ms",
        .value = measure_median(after, nkills),
    });
    report(&(struct report_row){
        .key = "recovery_most",
        .what = "one killed each second: 90 % again, the longest",
        .unit = "ms",
        .value = measure_percentile(after, nkills, 100),
        .budget_kind = REPORT_AT_MOST,
        .budget = 1000,
    });
    report(&(struct report_row){
        .key = "recovery_lowest",
        .what = "one killed each second: worst 250 ms, median",
        .unit = "%",
        .value = measure_median(lowest, nkills),
    });
}

static void report_jobs(size_t nkills)
{
    size_t nlost = njobs - ndone_once, ntwice = 0;
    for (size_t i = 1; i <= njobs; i++)
        ntwice += nstarted[i] > 1 ? nstarted[i] - 1u : 0;
    report(&(struct report_row){
        .key = "recovery_lost",
        .what = "one killed each second: jobs lost",
        .unit = "",
        .value = (double)nlost,
        .budget_kind = REPORT_AT_MOST,
        .budget = 0,
    });
    report(&(struct report_row){
        .key = "recovery_twice",
        .what = "one killed each second: started twice, a kill",
        .unit = "",
        .value = (double)ntwice / (double)nkills,
        .budget_kind = REPORT_AT_MOST,
        .budget = CONCURRENCY,
    });
}

int main(void)
{
    const char *scale = getenv("BENCH_KILLS");
    size_t nkills = scale ? strtoul(scale, NULL, 10) : KILLS_MOST;
    if (nkills == 0 || nkills > KILLS_MOST)
        give_up("BENCH_KILLS is to be a number up to %d", KILLS_MOST);
    struct coro_rng rng;
    coro_rng_init(&rng, 1);
    report_progress("one of %d killed each second, %zu times", PROCESSES,
                    nkills);
    njobs = (CALM_S + nkills + 1) * JOBS_PER_S;
    server_start(&server);
    program_start(&program, &server,
                  &(struct program_options){.handler = "sleep",
                                            .concurrency = "20",
                                            .log_level = "info",
                                            .delivery = "at-least-once",
                                            .nprocesses = PROCESSES});
    push_all();
    start_ms = coro_now_ms();
    for (size_t i = 0; i < nkills; i++) {
        read_until(start_ms + (int64_t)(CALM_S + i) * 1000);
        kill_one(&rng);
    }
    read_until(start_ms + (int64_t)(CALM_S + nkills + 1) * 1000);
    read_to_the_end();
    program_stop(&program);
    server_stop(&server);
    report_back(nkills);
    report_jobs(nkills);
    return 0;
}
