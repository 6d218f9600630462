/*
 * What became of the jobs of a fault: counted, held against what is promised,
 * and written down for the table in docs/reliability.md.
 *
 *     verdict_give(&(struct verdict){.row = VERDICT_KILLED,
 *                                    .njobs = njobs,
 *                                    .nlost = …,
 *                                    .most_twice = nkills * CONCURRENCY});
 *
 * Most tests have a ledger of their jobs, and leave the counting to
 * verdict_of_ledger(). Where $CORQ_VERDICTS names a file, as `make reliability`
 * has it, each verdict is a line at its end. Whatever was lost, stuck or left
 * behind, and more repetitions than may be, fail the test that is running.
 */
#ifndef TESTS_SUPPORT_VERDICT_H
#define TESTS_SUPPORT_VERDICT_H

#include <stddef.h>

#include "tests/support/ledger.h"
#include "tests/support/redis_server.h"
#include "tests/support/verdict_rows.h"

#define VERDICT_ENUM(name, words) VERDICT_##name,

enum verdict_row { VERDICT_ROWS(VERDICT_ENUM) VERDICT_NROWS };

struct verdict {
    enum verdict_row row;
    size_t njobs;
    size_t nlost;      /* neither run to their end nor anywhere in Redis */
    size_t ntwice;     /* starts beyond the first of each job */
    size_t most_twice; /* as many as may be */
    size_t nstuck;     /* still queued or held when all should be done */
    size_t nleft;      /* keys in Redis that nobody has any use for */
    const char *note;  /* a figure worth reading, in a few words; or NULL */
};

/** Starts the clock of the next verdict. A test that takes a scene need not. */
void verdict_begin(void);

/** Prints the verdict, writes it down, and fails the test if it is bad. */
void verdict_give(const struct verdict *verdict);

/**
 * The verdict on the jobs of @ledger, with what lies in Redis now: to be given
 * when all has been done and every process has ended. @verdict has the row,
 * @most_twice and perhaps a note; a job set aside counts as one that ended.
 */
void verdict_of_ledger(struct verdict verdict, const struct ledger *ledger,
                       struct redis_server *redis, const char *const *queues);

/** How many jobs are queued, held, or to be retried. */
size_t verdict_count_stuck(struct redis_server *redis,
                           const char *const *queues);

/**
 * How many keys of ours there are but the dead set, the fleet's time-limited
 * ones, and the names of owners, which the next leader forgets.
 */
size_t verdict_count_left(struct redis_server *redis);

#endif
