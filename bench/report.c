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

static double ratio_of(const struct report_row *row, size_t i)
{
    const struct report_baseline *beside = &row->beside[i];
    return beside->ratio != 0 ? beside->ratio : row->value / beside->value;
}

void report(const struct report_row *row)
{
    printf("%s\t%s\t%.6g\t%s\t", row->key, row->what, row->value, row->unit);
    if (row->budget_kind == REPORT_NO_BUDGET)
        printf("-\t-\t-");
    else
        printf("%s\t%.6g\t%s", budget_prefix(row->budget_kind), row->budget,
               is_met(row, ratio_of(row, 0)) ? "yes" : "no");
    for (size_t i = 0; i < REPORT_BASELINES && row->beside[i].name; i++)
        printf("\t%s\t%.6g\t%.4g", row->beside[i].name, row->beside[i].value,
               ratio_of(row, i));
    putchar('\n');
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
