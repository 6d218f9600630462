/*
 * Two builds of corq, which empty lists of no-op jobs in turns: what a change
 * costs, where a run by itself says little. What else the machine does only
 * makes a round worse, so the better ones are compared: the rate that a quarter
 * of the rounds reach, the CPU that a quarter do not exceed.
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

static void compare(const char *delivery, const char *other)
{
    char rate[80], own[80];
    measure(delivery, other);
    snprintf(rate, sizeof rate, "no-op jobs, %s", delivery);
    snprintf(own, sizeof own, "corq CPU for one, %s", delivery);
    report(&(struct report_row){
        .key = rate,
        .what = rate,
        .unit = "jobs/s",
        .value = measure_percentile(rates[THIS], ROUNDS, 75),
        .baseline = "the other build",
        .baseline_value = measure_percentile(rates[OTHER], ROUNDS, 75),
    });
    report(&(struct report_row){
        .key = own,
        .what = own,
        .unit = "us",
        .value = measure_percentile(own_us[THIS], ROUNDS, 25),
        .baseline = "the other build",
        .baseline_value = measure_percentile(own_us[OTHER], ROUNDS, 25),
    });
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
