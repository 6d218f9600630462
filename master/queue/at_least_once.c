/*
 * The mode at-least-once: a burst moves jobs into a hash of this process, where
 * they stay until they are settled. Blocked pops, one for each queue, only move
 * a job into the inbox, from where the next burst takes it. So no answer that is
 * lost, and no death of ours, can take a job with it.
 */
#include <errno.h>
#include <stdio.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/fetch_mode.h"
#include "master/queue/lines.h"
#include "master/queue/owner.h"
#include "master/queue/reconcile.h"
#include "master/queue/requeue.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* Behind a proxy the kernel can't know that the server is gone. */
#define SILENCE_MS 30000

/* How long giving an inbox back may take, before it is tried again. */
#define GIVE_BACK_MS 3000

static int prepare(struct fetch *fetch)
{
    struct owner *owner = fetch->owner;
    while (!owner_is_current(owner) || owner->must_reconcile) {
        if (owner_wait_held(owner, CORO_NEVER) < 0)
            return -ECANCELED;
        if (owner->must_reconcile && reconcile(fetch) == -ECANCELED)
            return -ECANCELED;
    }
    return 0;
}

/* --- bursts --------------------------------------------------------------- */

/* What was sent may have been carried out. */
static int lost(struct fetch *fetch, int status)
{
    fetch->owner->must_reconcile = true;
    if (status == -ECANCELED)
        return status;
    if (status == -ETIMEDOUT)
        coro_redis_drop(fetch->commands, "no answer in time");
    if (status == -ENOMEM)
        return coro_sleep(trouble_note(&fetch->trouble, "no memory"));
    return 0;
}

static int take_all(struct fetch *fetch, struct fetch_queue *queue,
                    struct dispatch_burst *burst,
                    const struct coro_redis_reply *reply, uint64_t attempt)
{
    size_t n = coro_redis_reply_nitems(reply);
    for (size_t i = 0; i < n; i++)
        fetch_take(fetch, queue, burst, coro_redis_reply_item(reply, i),
                   attempt + i);
    return (int)n;
}

static int digest(struct fetch *fetch, struct fetch_queue *queue,
                  struct dispatch_burst *burst,
                  const struct coro_redis_reply *reply, uint64_t attempt)
{
    switch (coro_redis_reply_type(reply)) {
    case CORO_REDIS_ERROR:
        return fetch_handle_error(fetch, queue, reply);
    case CORO_REDIS_INTEGER:
        owner_note_lost(fetch->owner);
        return 0;
    default:
        break;
    }
    trouble_over(&fetch->trouble);
    trouble_over(&queue->trouble);
    return take_all(fetch, queue, burst, reply, attempt);
}

static int claim(struct fetch *fetch, struct fetch_queue *queue, size_t most,
                 uint64_t attempt, struct coro_redis_reply **ret_reply)
{
    struct owner *owner = fetch->owner;
    const struct owner_queue *owned = owner_queue(owner, queue->queue);
    char lease_ms[24], wanted[24], bytes[24], first[24];
    snprintf(lease_ms, sizeof lease_ms, "%lld", (long long)owner->lease_ms);
    snprintf(wanted, sizeof wanted, "%zu", most);
    snprintf(bytes, sizeof bytes, "%zu", FETCH_BURST_MOST_BYTES);
    snprintf(first, sizeof first, "%llu", (unsigned long long)attempt);
    const char *argv[SCRIPT_WORDS + 9] = {
        [SCRIPT_WORDS] = owner->lease.bytes,
        owned->inbox.bytes,
        owned->inflight.bytes,
        owned->key,
        owner->value,
        lease_ms,
        wanted,
        bytes,
        first,
    };
    size_t lens[SCRIPT_WORDS + 9] = {
        [SCRIPT_WORDS] = owner->lease.len,
        owned->inbox.len,
        owned->inflight.len,
        owned->key_len,
        SIZE_MAX,
        SIZE_MAX,
        SIZE_MAX,
        SIZE_MAX,
        SIZE_MAX,
    };
    return script_call(fetch->commands, &script_claim, 4, SCRIPT_WORDS + 9,
                       argv, lens, coro_after(SILENCE_MS), ret_reply);
}

static void note_inbox(struct owner_queue *owned, size_t ntaken, size_t most)
{
    /* Fewer than were asked for: both inbox and queue are empty. */
    if (ntaken < most || owned->ninbox < ntaken)
        owned->ninbox = 0;
    else
        owned->ninbox -= ntaken;
}

static int burst_once(struct fetch *fetch, struct fetch_queue *queue,
                      size_t most, struct dispatch_burst *burst)
{
    struct owner *owner = fetch->owner;
    /* Never used again, whatever becomes of this burst. */
    uint64_t attempt = owner->next_attempt;
    owner->next_attempt += most;
    struct coro_redis_reply *reply;
    fetch_asks(fetch, most);
    int status = claim(fetch, queue, most, attempt, &reply);
    fetch_was_answered(fetch);
    if (status < 0)
        return lost(fetch, status);
    int n = digest(fetch, queue, burst, reply, attempt);
    if (coro_redis_reply_type(reply) == CORO_REDIS_ARRAY)
        note_inbox(owner_queue(owner, queue->queue), (size_t)n, most);
    coro_redis_reply_free(reply);
    return n;
}

/* --- waiting -------------------------------------------------------------- */

static int wait_once(struct fetch *fetch, int timeout_s,
                     struct dispatch_burst *burst)
{
    (void)burst;
    for (size_t i = 0; i < fetch->nqueues; i++)
        fetch->are_wanted[i] = fetch_may_ask(&fetch->queues[i]);
    int status = lines_wait(fetch->lines, fetch->are_wanted,
                            coro_after(timeout_s * 1000));
    return status < 0 ? status : 1;
}

/* A blocked pop has brought what nobody here can start: others may. */
static int return_inboxes(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->owner->nqueues; i++) {
        struct owner_queue *owned = &fetch->owner->queues[i];
        if (owned->ninbox == 0 || !owner_is_current(fetch->owner))
            continue;
        struct requeue requeue = {
            .redis = fetch->commands,
            .lease = &fetch->owner->lease,
            .queue = owned,
        };
        size_t ninbox = owned->ninbox;
        int64_t n = requeue_inbox(&requeue, coro_after(GIVE_BACK_MS));
        if (n == -ECANCELED)
            return -ECANCELED;
        if (n >= 0)
            owned->ninbox -= ninbox;
    }
    return 0;
}

static int rest(struct fetch *fetch, int64_t deadline_ms)
{
    int status = lines_rest(fetch->lines, deadline_ms);
    while (status == 0 && fetch->nasked > 0)
        status = coro_park(&fetch->quiet_waiters, deadline_ms);
    return status < 0 ? status : return_inboxes(fetch);
}

const struct fetch_mode fetch_at_least_once = {
    .name = "at-least-once",
    .prepare = prepare,
    .burst = burst_once,
    .wait = wait_once,
    .rest = rest,
};
