#include "bench/report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_met(const struct report_row *row, double ratio)
{
    switch (row->budget_kind) {
    case REPORT_AT_MOST:
        return row->value <= row->budget;
    case REPORT_AT_LEAST:
        return row->value >= row->budget;
    case REPORT_RATIO_AT_MOST:
        return ratio <= row->budget;
    case REPORT_RATIO_AT_LEAST:
        return ratio >= row->budget;
    case REPORT_NO_BUDGET:
        break;
    }
    return true;
}

static const char *budget_prefix(enum report_budget kind)
{
    switch (kind) {
    case REPORT_AT_MOST:
        return "<= ";
    case REPORT_AT_LEAST:
        return ">= ";
    case REPORT_RATIO_AT_MOST:
        return "ratio <= ";
    case REPORT_RATIO_AT_LEAST:
        return "ratio >= ";
    case REPORT_NO_BUDGET:
        break;
    }
    return "";
}

void report(const struct report_row *row)
{
    double ratio = row->ratio;
    if (row->baseline && ratio == 0)
        ratio = row->value / row->baseline_value;
    printf("%s\t%s\t%.6g\t%s\t", row->key, row->what, row->value, row->unit);
    if (row->baseline)
        printf("%s\t%.6g\t%.4g\t", row->baseline, row->baseline_value, ratio);
    else
        printf("-\t-\t-\t");
    if (row->budget_kind == REPORT_NO_BUDGET)
        printf("-\t-\t-\n");
    else
        printf("%s\t%.6g\t%s\n", budget_prefix(row->budget_kind), row->budget,
               is_met(row, ratio) ? "yes" : "no");
    fflush(stdout);
}

void report_progress(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("  bench  ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}
