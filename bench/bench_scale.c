/*
 * One queue and more and more processes: 1, 8 and 64 below one supervisor, and
 * 64 below eight. What one job costs is to stay what it was, a push is to wake
 * one process, and all are to get their share.
 *
 * All shapes take turns; a ratio is that to one process in the same round, and
 * figures are medians over the rounds. All run on one machine with Redis, so
 * jobs a second say what that has cores for; what is to stay flat is Redis's
 * CPU and the commands for a job, those in scripts included.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/fleet.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "coro/base/clock.h"

#define ROUNDS 3

#define NOOP_JOBS  300000
#define WARM_JOBS  2000 /* a process: then bursts have grown */
#define LOOK_US    2000
#define SETTLED_US 200000

/* Seldom, so that looking does not count among what jobs cost. */
#define LOOK_SELDOM_US 20000

#define SLEEP_CONCURRENCY 16
#define SLEEP_TEXT        "0.1"
#define SLEEP_SECONDS     0.1
#define SLEEP_TURNS       30

#define IDLE_SECONDS    10
#define PUSHES_EACH     4 /* a process, one at a time */
#define PUSHES_LEAST    64
#define PAUSE_US        2000
#define NSHAPES         (sizeof shapes / sizeof *shapes)
#define REDIS_RATIO_TOP 1.5

static const struct fleet_shape shapes[] = {
    {"1 process", "1", 1, 1},
    {"8 processes", "8", 1, 8},
    {"64 processes", "64", 1, 64},
    {"8 times 8 processes", "8x8", 8, 8},
};

static struct server server;
static struct fleet fleet;

/* What is measured at one shape in one round. */
enum figure {
    NOOP_RATE,
    NOOP_REDIS_US,
    NOOP_COMMANDS,
    NOOP_PER_CLAIM,
    NOOP_OWN_US,
    SLEEP_RATE,
    SLEEP_OF_IDEAL,
    SLEEP_REDIS_US,
    SLEEP_COMMANDS,
    SLEEP_LEAST,
    SLEEP_MOST,
    SLEEP_JAIN,
    FIRST_ONCE,
    IDLE_COMMANDS = FIRST_ONCE,
    IDLE_EACH,
    IDLE_REDIS,
    IDLE_OWN,
    START_LOOKS,
    BYTES_EACH,
    FIRST_OF_ONE_LOG,
    PUSH_CLAIMS = FIRST_OF_ONE_LOG,
    PUSH_COMMANDS,
    PUSH_LEAST,
    PUSH_MOST,
    PUSH_JAIN,
    NFIGURES,
};

static double figures[NSHAPES][NFIGURES][ROUNDS];

/* What takes long and is counted, not timed, is looked at once. */
static double once[NSHAPES][NFIGURES];

/* --- what Redis did meanwhile --------------------------------------------- */

struct load {
    int64_t at_ns;
    double redis_cpu;
    double own_cpu;
    double ncommands;
    double nclaims; /* and the few other scripts */
};

static struct load look(void)
{
    return (struct load){
        .at_ns = coro_now_ns(),
        .redis_cpu = server_cpu(&server),
        .own_cpu = fleet_cpu(&fleet),
        .ncommands = server_info(&server, "total_commands_processed"),
        .nclaims = server_calls(&server, "evalsha"),
    };
}

static struct load since(const struct load *before)
{
    struct load now = look();
    now.at_ns -= before->at_ns;
    now.redis_cpu -= before->redis_cpu;
    now.own_cpu -= before->own_cpu;
    now.ncommands -= before->ncommands;
    now.nclaims -= before->nclaims;
    return now;
}

static const char held[] =
    "local n = redis.call('LLEN', 'queue')"
    "for _, key in ipairs(redis.call('KEYS', 'corq:inflight:*')) do"
    "  n = n + redis.call('HLEN', key) "
    "end "
    "return n";

/* Returns when nothing is left, neither queued nor in flight. */
static void wait_until_done(useconds_t look_us)
{
    while (server_integer(&server, "LLEN queue") > 0)
        usleep(look_us);
    while (server_integer(&server, "EVAL %s 0", held) > 0)
        usleep(look_us);
}

/* --- no-op jobs ----------------------------------------------------------- */

/* Where they come from all at once. */
static void stash(size_t njobs)
{
    server_fill(&server, "stash", njobs);
    usleep(SETTLED_US);
}

static void measure_noops(const struct fleet_shape *shape,
                          double (*ret)[ROUNDS], int round)
{
    const char *scale = getenv("BENCH_JOBS");
    size_t njobs = scale ? strtoul(scale, NULL, 10) : NOOP_JOBS;
    fleet_start(&fleet, &server, shape,
                &(struct program_options){.handler = "noop",
                                          .concurrency = "256",
                                          .log_level = "warn",
                                          .delivery = "at-least-once"});
    stash(WARM_JOBS * fleet_size(shape));
    server_do(&server, "RENAME stash queue");
    wait_until_done(LOOK_US);
    stash(njobs);
    struct load load = look();
    server_do(&server, "RENAME stash queue");
    wait_until_done(LOOK_US);
    load = since(&load);
    fleet_stop(&fleet);
    double n = (double)njobs;
    ret[NOOP_RATE][round] = n * 1e9 / (double)load.at_ns;
    ret[NOOP_REDIS_US][round] = load.redis_cpu * 1e6 / n;
    ret[NOOP_COMMANDS][round] = load.ncommands / n;
    ret[NOOP_PER_CLAIM][round] = n / load.nclaims;
    ret[NOOP_OWN_US][round] = load.own_cpu * 1e6 / n;
    report_progress("  no-op jobs: %.0f jobs/s, CPU of Redis %.2f us a job",
                    ret[NOOP_RATE][round], ret[NOOP_REDIS_US][round]);
}

/* --- jobs that sleep ------------------------------------------------------ */

static void push_sleeps(const char *key, size_t njobs)
{
    static const char script[] = "for i = 1, ARGV[1] do"
                                 "  redis.call('LPUSH', KEYS[1], ARGV[2]) "
                                 "end";
    server_do(&server, "EVAL %s 1 %s %d %s", script, key, (int)njobs,
              SLEEP_TEXT);
}

static void measure_sleeps(const struct fleet_shape *shape,
                           double (*ret)[ROUNDS], int round)
{
    char concurrency[16];
    snprintf(concurrency, sizeof concurrency, "%d", SLEEP_CONCURRENCY);
    fleet_start(&fleet, &server, shape,
                &(struct program_options){.handler = "sleep",
                                          .concurrency = concurrency,
                                          .log_level = "warn",
                                          .delivery = "at-least-once"});
    size_t nplaces = SLEEP_CONCURRENCY * fleet_size(shape);
    size_t njobs = nplaces * SLEEP_TURNS;
    push_sleeps("stash", njobs);
    usleep(SETTLED_US);
    struct load load = look();
    server_do(&server, "RENAME stash queue");
    usleep((useconds_t)(SLEEP_TURNS * SLEEP_SECONDS * 1e6));
    wait_until_done(LOOK_SELDOM_US);
    load = since(&load);
    fleet_stop(&fleet);
    struct fleet_share share = fleet_share(&fleet);
    double n = (double)njobs;
    double ideal = (double)nplaces / SLEEP_SECONDS;
    if (share.njobs != n)
        give_up("%.0f jobs were run, expected %.0f", share.njobs, n);
    ret[SLEEP_RATE][round] = n * 1e9 / (double)load.at_ns;
    ret[SLEEP_OF_IDEAL][round] = ret[SLEEP_RATE][round] / ideal * 100;
    ret[SLEEP_REDIS_US][round] = load.redis_cpu * 1e6 / n;
    ret[SLEEP_COMMANDS][round] = load.ncommands / n;
    ret[SLEEP_LEAST][round] = share.least;
    ret[SLEEP_MOST][round] = share.most;
    ret[SLEEP_JAIN][round] = share.jain;
}

/* --- nothing to do, and one push at a time -------------------------------- */

static struct load measure_idle(double ret[NFIGURES])
{
    struct load load = look();
    double ncommands =
        (double)server_count_commands(&server, IDLE_SECONDS) / IDLE_SECONDS;
    load = since(&load);
    double n = (double)fleet_size(fleet.shape);
    double seconds = (double)load.at_ns / 1e9;
    ret[IDLE_COMMANDS] = ncommands;
    ret[IDLE_EACH] = ncommands / n;
    ret[IDLE_REDIS] = load.redis_cpu / seconds / n * 100;
    ret[IDLE_OWN] = load.own_cpu / seconds / n * 100;
    return load;
}

/* What is done beside a push anyway is known from idle moments. */
static void measure_pushes(double ret[NFIGURES], const struct load *idle)
{
    size_t npushes = PUSHES_EACH * fleet_size(fleet.shape);
    if (npushes < PUSHES_LEAST)
        npushes = PUSHES_LEAST;
    double n = (double)npushes;
    struct load load = look();
    for (size_t i = 0; i < npushes; i++) {
        server_do(&server, "LPUSH queue 0");
        program_wait_lines(&fleet.programs[0], "Done 0", 1);
        usleep(PAUSE_US);
    }
    load = since(&load);
    double share = (double)load.at_ns / (double)idle->at_ns;
    ret[PUSH_CLAIMS] = (load.nclaims - idle->nclaims * share) / n;
    ret[PUSH_COMMANDS] = (load.ncommands - idle->ncommands * share - n) / n;
}

/* Only where one log has them all. */
static void measure_share(double ret[NFIGURES])
{
    struct fleet_share share = fleet_share(&fleet);
    ret[PUSH_LEAST] = share.least;
    ret[PUSH_MOST] = share.most;
    ret[PUSH_JAIN] = share.jain;
}

static void measure_quiet(const struct fleet_shape *shape, double ret[NFIGURES])
{
    bool is_one_log = shape->nsupervisors == 1;
    double n = (double)fleet_size(shape);
    double nlooks = server_calls(&server, "get");
    fleet_start(&fleet, &server, shape,
                &(struct program_options){.handler = "sleep",
                                          .concurrency = "16",
                                          .log_level = "info",
                                          .delivery = "at-least-once"});
    ret[START_LOOKS] = (server_calls(&server, "get") - nlooks) / n;
    ret[BYTES_EACH] = fleet_bytes(&fleet) / n / (1 << 20);
    struct load idle = measure_idle(ret);
    if (is_one_log)
        measure_pushes(ret, &idle);
    fleet_stop(&fleet);
    if (is_one_log)
        measure_share(ret);
}

/* --- the rows ------------------------------------------------------------- */

struct row {
    enum figure figure;
    const char *key, *what, *unit;

    enum { ALONE, COMPARED } kind; /* with one process */
    enum report_budget budget_kind;
    double budget;
};

static const struct row rows[] = {
    {NOOP_RATE, "noop_rate", "no-op jobs", "jobs/s", COMPARED, REPORT_NO_BUDGET,
     0},
    {NOOP_REDIS_US, "noop_redis", "no-op jobs: Redis CPU for one", "us",
     COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {NOOP_COMMANDS, "noop_commands", "no-op jobs: commands for one", "",
     COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {NOOP_PER_CLAIM, "noop_per_claim", "no-op jobs: jobs a claim", "", COMPARED,
     REPORT_NO_BUDGET, 0},
    {NOOP_OWN_US, "noop_own", "no-op jobs: corq CPU for one", "us", COMPARED,
     REPORT_NO_BUDGET, 0},
    {SLEEP_RATE, "sleep_rate", "jobs of 0.1 s", "jobs/s", COMPARED,
     REPORT_NO_BUDGET, 0},
    {SLEEP_OF_IDEAL, "sleep_ideal", "jobs of 0.1 s, of what is possible", "%",
     ALONE, REPORT_NO_BUDGET, 0},
    {SLEEP_REDIS_US, "sleep_redis", "jobs of 0.1 s: Redis CPU for one", "us",
     COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {SLEEP_COMMANDS, "sleep_commands", "jobs of 0.1 s: commands for one", "",
     COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {SLEEP_LEAST, "sleep_least", "backlog: the fewest of one, by the mean", "",
     ALONE, REPORT_AT_LEAST, 0.33},
    {SLEEP_MOST, "sleep_most", "backlog: the most of one, by the mean", "",
     ALONE, REPORT_NO_BUDGET, 0},
    {SLEEP_JAIN, "sleep_jain", "backlog: Jain's index", "", ALONE,
     REPORT_AT_LEAST, 0.9},
    {IDLE_COMMANDS, "idle_commands", "idle: commands of all", "/s", ALONE,
     REPORT_NO_BUDGET, 0},
    {IDLE_EACH, "idle_each", "idle: commands of each", "/s", COMPARED,
     REPORT_AT_MOST, 3},
    {IDLE_REDIS, "idle_redis", "idle: Redis CPU for each", "%", ALONE,
     REPORT_NO_BUDGET, 0},
    {IDLE_OWN, "idle_own", "idle: corq CPU of each", "%", COMPARED,
     REPORT_NO_BUDGET, 0},
    {PUSH_CLAIMS, "push_claims", "one push: claims beyond the idle ones", "",
     COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {PUSH_COMMANDS, "push_commands", "one push: commands beyond the idle ones",
     "", COMPARED, REPORT_RATIO_AT_MOST, REDIS_RATIO_TOP},
    {PUSH_LEAST, "push_least", "single pushes: the fewest, by the mean", "",
     ALONE, REPORT_NO_BUDGET, 0},
    {PUSH_MOST, "push_most", "single pushes: the most, by the mean", "", ALONE,
     REPORT_NO_BUDGET, 0},
    {PUSH_JAIN, "push_jain", "single pushes: Jain's index", "", ALONE,
     REPORT_NO_BUDGET, 0},
    {START_LOOKS, "start_looks", "start: looks at leases of each", "", COMPARED,
     REPORT_NO_BUDGET, 0},
    {BYTES_EACH, "bytes_each", "resident memory of each", "MiB", COMPARED,
     REPORT_NO_BUDGET, 0},
};

/* measure_median() sorts, and the rounds of two shapes belong together. */
static double median(const double *values)
{
    double copy[ROUNDS];
    memcpy(copy, values, sizeof copy);
    return measure_median(copy, ROUNDS);
}

/* Those of the first quiet moment on were looked at once. */
static double value_of(const struct row *row, size_t shape)
{
    return row->figure < FIRST_ONCE ? median(figures[shape][row->figure])
                                    : once[shape][row->figure];
}

static double ratio_of(const struct row *row, size_t shape)
{
    double ratios[ROUNDS];
    if (row->figure >= FIRST_ONCE)
        return once[shape][row->figure] / once[0][row->figure];
    for (size_t i = 0; i < ROUNDS; i++)
        ratios[i] = figures[shape][row->figure][i] / figures[0][row->figure][i];
    return measure_median(ratios, ROUNDS);
}

static void report_at(const struct row *row, size_t shape)
{
    char key[60], what[100];
    bool is_compared = row->kind == COMPARED && shape > 0;
    bool is_judged = is_compared || row->budget_kind == REPORT_AT_MOST ||
                     row->budget_kind == REPORT_AT_LEAST;
    snprintf(key, sizeof key, "scale_%s_%s", row->key, shapes[shape].key);
    snprintf(what, sizeof what, "%s, %s", row->what, shapes[shape].name);
    report(&(struct report_row){
        .key = key,
        .what = what,
        .unit = row->unit,
        .value = value_of(row, shape),
        .baseline = is_compared ? shapes[0].name : NULL,
        .baseline_value = value_of(row, 0),
        .ratio = is_compared ? ratio_of(row, shape) : 0,
        .budget_kind = is_judged ? row->budget_kind : REPORT_NO_BUDGET,
        .budget = row->budget,
    });
}

/* Single pushes are followed by one log only. */
static bool is_known(const struct row *row, size_t shape)
{
    return shapes[shape].nsupervisors == 1 || row->figure < FIRST_OF_ONE_LOG;
}

static void report_all(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t shape = 0; shape < NSHAPES; shape++)
            if (is_known(&rows[i], shape))
                report_at(&rows[i], shape);
}

int main(void)
{
    server_start(&server);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < NSHAPES; i++) {
            report_progress("%s, round %d of %d", shapes[i].name, round + 1,
                            ROUNDS);
            measure_noops(&shapes[i], figures[i], round);
            measure_sleeps(&shapes[i], figures[i], round);
        }
    }
    for (size_t i = 0; i < NSHAPES; i++) {
        report_progress("%s, doing nothing", shapes[i].name);
        measure_quiet(&shapes[i], once[i]);
    }
    server_stop(&server);
    report_all();
    return 0;
}
