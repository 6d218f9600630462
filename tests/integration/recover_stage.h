/*
 * For tests of recovering (recover.h): a process that is no more, with what it
 * had in Redis and what its vitals say, and one that recovers it.
 *
 *     recover_prepare("q");
 *     recover_put(stage, 1, payload, len);
 *     recover_run(7, 1);               its job 7 was running, as attempt 1
 *     recover_crash_by(7);
 *     recover_play(stage, 1);          one job goes back, or is set aside
 */
#ifndef TESTS_INTEGRATION_RECOVER_STAGE_H
#define TESTS_INTEGRATION_RECOVER_STAGE_H

#include "master/queue/recover.h"
#include "tests/integration/least_stage.h"

#define DEAD             "host:2:cd"
#define DEAD_LEASE       OWNER_LEASE_PREFIX DEAD
#define DEAD_INBOX(k)    OWNER_INBOX_PREFIX DEAD ":" k
#define DEAD_INFLIGHT(k) OWNER_INFLIGHT_PREFIX DEAD ":" k

#define RECOVER_MARKS 1000

struct recover_stage {
    struct vitals *vitals;
    struct recover_case corpse;
    size_t nmarks; /* how many are in use */
    int64_t wanted;
};

static struct recover_stage dead;

static inline void recover_begin(const char *identity)
{
    memset(dead.vitals, 0, vitals_bytes(RECOVER_MARKS));
    dead.nmarks = 0;
    dead.corpse = (struct recover_case){
        .identity = identity,
        .vitals = dead.vitals,
        .nmarks = RECOVER_MARKS,
        .cause = RECOVER_INNOCENT,
        .what = "",
    };
}

/* The keys of its queues, in order. */
#define recover_prepare(...)        \
    do {                            \
        least_prepare(__VA_ARGS__); \
        recover_begin(DEAD);        \
    } while (0)

/* Has it in flight in the queue with this key. */
static inline void recover_put_in(struct stage *stage, const char *key,
                                  uint64_t attempt, const char *payload,
                                  size_t len)
{
    redis_do(&stage->server, "HSET %s%s:%s %016llu %b", OWNER_INFLIGHT_PREFIX,
             dead.corpse.identity, key, (unsigned long long)attempt, payload,
             len);
}

static inline void recover_run_in(uint32_t queue, uint64_t number,
                                  uint64_t attempt)
{
    struct vitals_mark *mark = &dead.vitals->marks[dead.nmarks++];
    atomic_store(&mark->attempt, attempt);
    atomic_store(&mark->queue, queue);
    atomic_store(&mark->number, number);
}

static inline void recover_crash_by(uint64_t number)
{
    dead.vitals->crash.job = number;
    dead.corpse.cause = RECOVER_CRASH;
    dead.corpse.what = "SIGSEGV at address 0x0";
}

/* What comes of it; in a script with a connection. */
static inline int64_t recover_now(struct stage *stage)
{
    return recover_process(
        &(struct recover_options){
            .redis = stage->redis,
            .queues = least.queues,
            .nqueues = least.nqueues,
            .process = LEAST_PROCESS,
        },
        &dead.corpse, coro_after(PATIENCE_MS));
}

static inline int recover_script(void *argument)
{
    struct stage *stage = argument;
    stage_connect(stage, stage->server.port);
    int64_t n = recover_now(stage);
    if (n != dead.wanted)
        fprintf(stderr, "recovered %lld, expected %lld\n", (long long)n,
                (long long)dead.wanted);
    expect_that(n == dead.wanted);
    coro_redis_stop(stage->redis);
    return 0;
}

/* Recovers it, which must give @wanted. */
static inline void recover_play(struct stage *stage, int64_t wanted)
{
    dead.wanted = wanted;
    stage_play(stage, recover_script);
}

/* --- a scene -------------------------------------------------------------- */

/* A job, and its counter. */
#define RECOVER_JOB \
    "{\"class\":\"A\",\"args\":[9007199254740993],\"jid\":\"j-1\"}"
#define RECOVER_COUNTER "corq:crashes:j-1"

/* Five in flight, of which the third is guilty, two that were not yet seen. */
static inline void recover_fill(struct stage *stage)
{
    recover_prepare("q", "other");
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    least_put(stage, DEAD_INFLIGHT("q"), 1, 5);
    least_push(stage, DEAD_INBOX("q"), 6, 7);
    least_push(stage, "q", 8, 9);
    least_put(stage, DEAD_INFLIGHT("other"), 10, 11);
    for (uint64_t i = 1; i <= 5; i++)
        recover_run_in(0, 100 + i, i);
    recover_run_in(1, 110, 10);
    recover_crash_by(103);
}

static inline bool recover_is_back(struct stage *stage)
{
    return least_gives(stage, "9 8 3 7 6 5 4 2 1", "LRANGE q 0 -1") &&
           least_gives(stage, "11 10", "LRANGE other 0 -1") &&
           least_gives(stage, "", "KEYS corq:in*");
}

static inline bool recover_is_charged_once(struct stage *stage)
{
    redisReply *keys = redis_reply(&stage->server, "KEYS corq:crashes:*");
    bool is_one =
        keys->elements == 1 &&
        least_gives(stage, "1", "HGET %s crashed", keys->element[0]->str);
    freeReplyObject(keys);
    return is_one && recover_is_back(stage);
}

static inline void recover_fill_last(struct stage *stage)
{
    recover_fill(stage);
    redis_do(&stage->server, "HSET " DEAD_INFLIGHT("q") " %s " RECOVER_JOB,
             "0000000000000003");
    redis_do(&stage->server,
             "HSET " RECOVER_COUNTER " crashed 2 process host:1:x");
}

static inline bool recover_is_dead_once(struct stage *stage)
{
    return least_gives(stage, "3", "HGET " RECOVER_COUNTER " crashed") &&
           least_gives(stage, "1", "ZCARD corq:dead") &&
           least_gives(stage, "9 8 7 6 5 4 2 1", "LRANGE q 0 -1") &&
           least_gives(stage, "11 10", "LRANGE other 0 -1") &&
           least_gives(stage, "", "KEYS corq:in*");
}

static inline bool recover_logged(const char *text)
{
    return strstr(log_file_read(&file), text);
}

static inline int recover_setup(void **state)
{
    size_t align = alignof(struct vitals);
    size_t size = (vitals_bytes(RECOVER_MARKS) + align - 1) / align * align;
    dead.vitals = aligned_alloc(align, size);
    assert_non_null(dead.vitals);
    return least_setup(state);
}

static inline int recover_teardown(void **state)
{
    free(dead.vitals);
    return least_teardown(state);
}

#define RECOVER_TEST(name) \
    cmocka_unit_test_setup_teardown(name, recover_setup, recover_teardown)

#endif
