#include "bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t measure_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double measure_process_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec now;
    if (clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock, &now) != 0)
        return -1;
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The figure of the line that begins with @field and a colon. */
static double field_bytes(const char *path, const char *field)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    char line[256];
    size_t field_len = strlen(field);
    double bytes = 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, field_len) == 0 && line[field_len] == ':')
            bytes = strtod(line + field_len + 1, NULL) * 1024;
    fclose(file);
    return bytes;
}

double measure_status_bytes(pid_t pid, const char *field)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid ? pid : getpid());
    return field_bytes(path, field);
}

double measure_meminfo_bytes(const char *field)
{
    return field_bytes("/proc/meminfo", field);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double measure_percentile(double *values, size_t n, double percent)
{
    qsort(values, n, sizeof *values, compare);
    size_t index = (size_t)((double)n * percent / 100);
    return values[index < n ? index : n - 1];
}

double measure_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double measure_least(int rounds, double (*measure)(void *argument),
                     void *argument)
{
    double least = measure(argument);
    for (int round = 1; round < rounds; round++) {
        double value = measure(argument);
        if (value < least)
            least = value;
    }
    return least;
}
