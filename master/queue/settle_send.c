/*
 * Sending what settles jobs, until Redis has it; and what can't be written to,
 * which holds up nothing else.
 */
#include <errno.h>
#include <stdio.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/settle_batch.h"

#define ANSWER_MS 30000

/* --- sending -------------------------------------------------------------- */

static int call(struct settle_lane *lane, struct coro_redis_reply **ret_reply)
{
    struct settle_batch *batch = lane->batch;
    struct coro_redis *redis = lane->settle->redis;
    int64_t deadline_ms = coro_after(ANSWER_MS);
    if (batch->script)
        return script_call(redis, batch->script, batch->nkeys, batch->argc,
                           batch->argv, batch->lens, deadline_ms, ret_reply);
    return coro_redis_call(redis, batch->argc, batch->argv, batch->lens,
                           deadline_ms, ret_reply);
}

/* Sends the batch once. Returns -ECANCELED, or 0 with what the answer means,
 * and its text in @why. */
static int send_once(struct settle_lane *lane, enum answer *ret_answer,
                     char *why, size_t why_size)
{
    struct settle *settle = lane->settle;
    struct coro_redis_reply *reply;
    lane->sent_generation = coro_redis_generation(settle->redis);
    int status = call(lane, &reply);
    if (status == -ECANCELED)
        return status;
    if (status < 0) {
        /* An answer that is so late may come yet, and what was sent may be
         * carried out after it was sent again; not so on a new connection. */
        if (status == -ETIMEDOUT)
            coro_redis_drop(settle->redis, "no answer in time");
        snprintf(why, why_size, "%s", strerror(-status));
        *ret_answer = ANSWER_LATER;
        lane->is_sent_again = true;
        return 0;
    }
    *ret_answer = answer_of(reply);
    if (*ret_answer == ANSWER_OK)
        settle->mode->note(lane, reply);
    snprintf(why, why_size, "%s", coro_redis_reply_text(reply, NULL));
    coro_redis_reply_free(reply);
    return 0;
}

/* Until the batch is in Redis, or we are told to end, or its key can't be
 * used. */
enum answer settle_send(struct settle_lane *lane)
{
    char why[160];
    struct coro_redis *redis = lane->settle->redis;
    lane->is_sent_again = false;
    for (;;) {
        if (coro_redis_wait_up(redis, CORO_NEVER) < 0)
            return ANSWER_LATER;
        enum answer answer;
        if (send_once(lane, &answer, why, sizeof why) < 0)
            return ANSWER_LATER;
        if (answer == ANSWER_OK) {
            trouble_over(&lane->trouble);
            return answer;
        }
        if (answer == ANSWER_QUEUE)
            return answer;
        if (answer == ANSWER_RECONNECT)
            coro_redis_drop(redis, why);
        if (coro_sleep(trouble_note(&lane->trouble, why)) < 0)
            return ANSWER_LATER;
    }
}

/* --- what can't be written to --------------------------------------------- */

static const char *name_of(const struct settle *settle,
                           enum settle_target target)
{
    switch (target) {
    case SETTLE_TARGET_OWN:
        return settle->mode->keeps_jobs ? "corq:retry or " SETTLE_DEAD_KEY
                                        : SETTLE_DEAD_KEY;
    case SETTLE_TARGET_SHARED:
        return "retry or dead";
    case SETTLE_TARGET_QUEUE:
        return "their queue";
    case SETTLE_TARGET_FLIGHT:
        break;
    }
    return "the jobs in flight";
}

bool settle_may_write(const struct settle *settle, enum settle_target target)
{
    return settle->not_before_ms[target] <= coro_now_ms();
}

/* What goes elsewhere is not held up. */
void settle_note_refusal(struct settle *settle, enum settle_target target)
{
    char why[100];
    snprintf(why, sizeof why, "can't write to %s", name_of(settle, target));
    settle->not_before_ms[target] =
        coro_now_ms() + trouble_note(&settle->refusals[target], why);
}

/* All that waits goes where nothing can be written just now. */
int settle_wait_for_targets(struct settle_lane *lane)
{
    int64_t now_ms = coro_now_ms(), deadline_ms = CORO_NEVER;
    for (size_t i = 0; i < SETTLE_NTARGETS; i++) {
        int64_t at_ms = lane->settle->not_before_ms[i];
        if (at_ms > now_ms && at_ms < deadline_ms)
            deadline_ms = at_ms;
    }
    if (deadline_ms == CORO_NEVER)
        return 0; /* the time has come just now */
    int status = coro_park(&lane->work_waiters, deadline_ms);
    return status == -ECANCELED ? status : 0;
}
