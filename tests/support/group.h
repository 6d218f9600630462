/*
 * What a program of several processes costs: all those of its process group
 * taken together, as /proc tells it.
 *
 *     program_start(&corq, …);
 *     double before = group_cpu_seconds(corq.pid);
 *
 * Processes that are no more, and zombies, count for nothing.
 */
#ifndef TESTS_SUPPORT_GROUP_H
#define TESTS_SUPPORT_GROUP_H

#include <stddef.h>
#include <sys/types.h>

#define GROUP_MAX 128

/** The CPU time that they have used, to a clock tick each. */
double group_cpu_seconds(pid_t group);

/** The sum of a field of /proc/PID/status in bytes: "VmRSS", "VmHWM". */
size_t group_status_bytes(pid_t group, const char *field);

/** Limits the number of files that each of them may open from now on. */
void group_limit_files(pid_t group, size_t most);

#endif
