/*
 * Reads the record of a process as dashboards for the Sidekiq job format do,
 * and refuses whatever one of them would stumble over.
 *
 *     struct dashboard_process process;
 *     assert_true(dashboard_read(&redis, identity, &process));
 *     assert_int_equal(process.busy, 1);
 *     dashboard_release(&process);
 *
 * A failed read says on standard error what it did not like. Context: anywhere
 * where a moment's blocking does no harm.
 */
#ifndef TESTS_SUPPORT_DASHBOARD_H
#define TESTS_SUPPORT_DASHBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "tests/support/redis_server.h"

/* A job that runs. */
struct dashboard_job {
    char field[32]; /* by which the hash knows it */
    const char *queue;
    const char *payload; /* JSON text */
    const char *class;
    const char *jid;    /* NULL: none */
    const json_t *args; /* an array */
    int64_t run_at_s;
    json_t *value; /* to which `queue` and `payload` belong */
    json_t *root;  /* and the rest */
};

struct dashboard_process {
    json_t *info;
    const char *hostname;
    int64_t pid;
    int64_t concurrency;
    int64_t busy;
    int64_t rtt_us;
    int64_t rss_kb;
    double started_at;
    double beat;
    bool is_quiet;
    struct dashboard_job *jobs; /* in no order */
    size_t njobs;
};

/**
 * Reads the process @identity. Returns true when all of it is as it must be.
 * Ownership: dashboard_release(), also after a failure.
 */
bool dashboard_read(struct redis_server *redis, const char *identity,
                    struct dashboard_process *ret);

void dashboard_release(struct dashboard_process *process);

/** The job whose payload is @payload or has it as its first argument. */
const struct dashboard_job *dashboard_job(
    const struct dashboard_process *process, const char *payload);

/** The one member of the set of processes, or NULL. Ownership: free(). */
char *dashboard_identity(struct redis_server *redis);

/** The counter stat:@name, or that of today (UTC); -1 when there is none. */
int64_t dashboard_stat(struct redis_server *redis, const char *name);
int64_t dashboard_stat_today(struct redis_server *redis, const char *name);

#endif
