/*
 * What a benchmark prints: one row for each figure, fields separated by tabs,
 * for run.sh to make a table and a JSON file of.
 *
 *     report(&(struct report_row){
 *         .key = "switch_1000",
 *         .what = "switch, 1,000 coroutines",
 *         .unit = "ns",
 *         .value = ns,
 *         .beside = {{"swapcontext", swap_ns}, {"boost context", boost_ns}},
 *         .budget_kind = REPORT_AT_MOST,
 *         .budget = 8,
 *     });
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/* So many things one figure may be compared with. */
#define REPORT_BASELINES 4

enum report_budget {
    REPORT_NO_BUDGET,
    REPORT_AT_MOST,
    REPORT_AT_LEAST,
    REPORT_RATIO_AT_MOST, /* on the ratio to the first baseline */
    REPORT_RATIO_AT_LEAST,
};

struct report_baseline {
    const char *name;
    double value;
    double ratio; /* 0: the row's value / this one */
};

struct report_row {
    const char *key;  /* for the JSON file */
    const char *what; /* for people */
    const char *unit;
    double value;
    struct report_baseline
        beside[REPORT_BASELINES]; /* up to one without name */
    enum report_budget budget_kind;
    double budget;
};

/** Prints @row to standard output. */
void report(const struct report_row *row);

/** Says on standard error what is being measured now. */
void report_progress(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/** Says why on standard error and ends the program with status 1. */
_Noreturn void give_up(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
