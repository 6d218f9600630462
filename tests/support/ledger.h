/*
 * A ledger of jobs: how often each was started and how often it was done, as
 * the logs of all processes that had some of them tell.
 *
 *     scene_push_sleeps(scene, "queue", "0.02", 5000);
 *     struct ledger ledger;
 *     ledger_open(&ledger, "0.02", 5000);
 *     … run, kill, ledger_enter(&ledger, &program), run again …
 *     assert_true(ledger_balances(&ledger, most_twice));
 *     ledger_close(&ledger);
 *
 * And what is to be left in Redis when all is done: nothing.
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/program.h"
#include "tests/support/redis_server.h"

struct ledger {
    const char *prefix; /* of the payloads; five digits follow */
    size_t njobs;
    uint16_t *nstarted; /* by number, from 1 */
    uint16_t *ndone;
};

/** An empty one. @prefix is borrowed. */
void ledger_open(struct ledger *ledger, const char *prefix, size_t njobs);

/** Frees it. */
void ledger_close(struct ledger *ledger);

/** Enters what @program has logged. Once for each program that was started. */
void ledger_enter(struct ledger *ledger, struct program *program);

/** How many jobs were never done. */
size_t ledger_nlost(const struct ledger *ledger);

/** How many starts there were beyond the first of each job. */
size_t ledger_ntwice(const struct ledger *ledger);

/**
 * True when no job is lost and at most @most_twice were started again. Prints
 * the figures, and the first jobs that are lost.
 */
bool ledger_balances(const struct ledger *ledger, size_t most_twice);

/** What is waited for: all jobs of @queue have been run and settled. */
struct drain {
    struct redis_server *redis;
    const char *const *queues; /* ends with NULL */
};

/** True when nothing is queued, held or to be retried. For wait_until(). */
bool is_drained(void *drain);

/** Waits for that, as long as PATIENCE_MS; prints what is there if not. */
bool sees_drained(struct redis_server *redis, const char *const *queues);

/**
 * True when there is no key of ours but corq:dead and marks that go by
 * themselves. Prints those that are there.
 */
bool nothing_is_left(struct redis_server *redis);

/**
 * The same, but for corq:owners: who ends just after its connections were lost
 * leaves its name there, as a pop of his may still be carried out.
 */
bool nothing_but_owners_is_left(struct redis_server *redis);

#define QUEUES(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
