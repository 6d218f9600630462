/*
 * Two builds of corq, which empty lists of no-op jobs in turns: what a change
 * costs, where a run by itself says little. Compared are the rounds that are in
 * the middle, and those a quarter from either end, whose difference tells how
 * much of a ratio is chance.
 *
 *     BUILD=build BENCH_BESIDE=other/build bench/run.sh beside
 *
 * Without $BENCH_BESIDE there is nothing to be measured.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/drain.h"
#include "bench/measure.h"
#include "bench/report.h"

#define TIMES  8
#define ROUNDS (TIMES * DRAIN_ROUNDS)

enum { THIS, OTHER, NBUILDS };

static double rates[NBUILDS][ROUNDS], own_us[NBUILDS][ROUNDS];

/* Who has the first turn changes. */
static void measure(const char *delivery, const char *other)
{
    const struct drainer builds[NBUILDS] = {
        [THIS] = {"this build", NULL, delivery, NULL},
        [OTHER] = {"the other build", NULL, delivery, other},
    };
    struct drain drains[DRAIN_ROUNDS * NBUILDS];
    for (size_t i = 0; i < TIMES; i++) {
        size_t first = i % NBUILDS;
        const struct drainer turns[] = {builds[first], builds[!first]};
        drain_in_turns(turns, NBUILDS, drains);
        for (size_t j = 0; j < DRAIN_ROUNDS * NBUILDS; j++) {
            size_t build = j % NBUILDS == 0 ? first : !first;
            size_t round = i * DRAIN_ROUNDS + j / NBUILDS;
            rates[build][round] = drains[j].jobs_per_second;
            own_us[build][round] = drains[j].own_us;
        }
    }
}

static void report_one(const char *what, const char *delivery, const char *unit,
                       double (*values)[ROUNDS], double percent)
{
    char title[80];
    snprintf(title, sizeof title, "%s, %s, %.0f %% of rounds", what, delivery,
             percent);
    report(&(struct report_row){
        .key = title,
        .what = title,
        .unit = unit,
        .value = measure_percentile(values[THIS], ROUNDS, percent),
        .baseline = "the other build",
        .baseline_value = measure_percentile(values[OTHER], ROUNDS, percent),
    });
}

static void compare(const char *delivery, const char *other)
{
    measure(delivery, other);
    for (double percent = 25; percent < 100; percent += 25) {
        report_one("no-op jobs", delivery, "jobs/s", rates, percent);
        report_one("corq CPU for one", delivery, "us", own_us, percent);
    }
}

int main(void)
{
    const char *other = getenv("BENCH_BESIDE");
    if (!other) {
        report_progress("BENCH_BESIDE names no other build");
        return 0;
    }
    compare("at-least-once", other);
    compare("at-most-once", other);
    return 0;
}
