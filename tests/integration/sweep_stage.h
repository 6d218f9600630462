/*
 * For tests of the sweeper: a stage (least_stage.h) on which it sweeps, and a
 * process that has left something behind.
 */
#ifndef TESTS_INTEGRATION_SWEEP_STAGE_H
#define TESTS_INTEGRATION_SWEEP_STAGE_H

#include "master/queue/sweep.h"
#include "tests/integration/least_stage.h"

#define DEAD          "host:2:cd"
#define DEAD_LEASE    OWNER_LEASE_PREFIX DEAD
#define DEAD_INBOX    OWNER_INBOX_PREFIX DEAD ":q"
#define DEAD_INFLIGHT OWNER_INFLIGHT_PREFIX DEAD ":q"

#define LEASE_MS 400

static struct sweep sweep;
static struct schedule schedule;
static bool is_one_of_many;

/* Starts the sweeper of the process that leads. */
static inline void begin(struct stage *stage)
{
    schedule = (struct schedule){
        .is_leader = true,
        .leader_until_ms = CORO_NEVER,
    };
    least_open(stage, stage->server.port);
    coro_group_init(&least.group, coro_loop_current());
    expect_that(sweep_start(&sweep, &(struct sweep_options){
                                        .group = &least.group,
                                        .redis = stage->redis,
                                        .process = least.owner.process,
                                        .lease_ms = least.owner.lease_ms,
                                        .schedule = &schedule,
                                        .is_one_of_many = is_one_of_many,
                                    }) == 0);
}

static inline void end(struct stage *stage)
{
    coro_group_close(&least.group);
    sweep_release(&sweep);
    least_close(stage);
}

static inline bool has_suspects(void *argument)
{
    (void)argument;
    return !list_is_empty(&sweep.suspects);
}

static inline bool has_none(void *argument)
{
    return !has_suspects(argument);
}

/* A look is counted when it begins, and has ended when there is a time. */
static inline bool has_looked(void *nlooks)
{
    return sweep.nlooks >= *(uint64_t *)nlooks && sweep.last_ms > 0;
}

/* Waits until the sweeper has looked so many times more. */
static inline bool looks_again(uint64_t ntimes)
{
    uint64_t nlooks = sweep.nlooks + ntimes;
    return stage_wait_until(has_looked, &nlooks);
}

/* What a process had when it ended. */
static inline void leave_behind(struct stage *stage)
{
    redis_do(&stage->server, "SADD corq:owners %s", DEAD " q");
    least_put(stage, DEAD_INFLIGHT, 1, 3);
    least_push(stage, DEAD_INBOX, 4, 5);
    least_push(stage, "q", 6, 6);
}

static inline void prepare(void)
{
    least_prepare("q");
    least.lease_ms = LEASE_MS;
}

#endif
