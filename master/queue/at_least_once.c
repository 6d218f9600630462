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

/* How often the inbox is looked into while a pop that was given up may fill it,
 * or one does not end. */
#define GHOST_EVERY_MS 1000

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

static void note_gone(struct owner_queue *owned, size_t n)
{
    owned->ninbox -= n < owned->ninbox ? n : owned->ninbox;
}

/* @nbefore  how much was known to lie there when the burst was sent: what has
 *           come since may not be in it. */
static void note_inbox(struct owner_queue *owned, size_t nbefore, size_t ntaken,
                       size_t most)
{
    /* Fewer than were asked for: both inbox and queue were empty. */
    if (ntaken < most || nbefore < ntaken)
        note_gone(owned, nbefore);
    else
        note_gone(owned, ntaken);
}

static int burst_once(struct fetch *fetch, struct fetch_queue *queue,
                      size_t most, struct dispatch_burst *burst)
{
    struct owner *owner = fetch->owner;
    /* Never used again, whatever becomes of this burst. */
    uint64_t attempt = owner->next_attempt;
    owner->next_attempt += most;
    struct owner_queue *owned = owner_queue(owner, queue->queue);
    size_t nbefore = owned->ninbox;
    struct coro_redis_reply *reply;
    fetch_asks(fetch, most);
    int status = claim(fetch, queue, most, attempt, &reply);
    fetch_was_answered(fetch);
    if (status < 0)
        return lost(fetch, status);
    int n = digest(fetch, queue, burst, reply, attempt);
    if (coro_redis_reply_type(reply) == CORO_REDIS_ARRAY)
        note_inbox(owned, nbefore, (size_t)n, most);
    coro_redis_reply_free(reply);
    return n;
}

/* --- waiting -------------------------------------------------------------- */

static int wait_once(struct fetch *fetch, int timeout_s,
                     struct dispatch_burst *burst)
{
    (void)burst;
    for (size_t i = 0; i < fetch->nqueues; i++) {
        struct fetch_queue *queue = &fetch->queues[i];
        fetch->are_wanted[i] = fetch_may_ask(queue);
        /* It came while the queues were looked into. */
        if (fetch->are_wanted[i] &&
            owner_queue(fetch->owner, queue->queue)->ninbox > 0)
            return 1;
    }
    int64_t timeout_ms =
        owner_has_ghosts(fetch->owner) ? GHOST_EVERY_MS : timeout_s * 1000;
    int status =
        lines_wait(fetch->lines, fetch->are_wanted, coro_after(timeout_ms));
    return status < 0 ? status : 1;
}

/* A blocked pop has brought what nobody here can start: others may. Returns 0,
 * 1 when that has to be looked at again, or -ECANCELED. */
static int return_inboxes(struct fetch *fetch)
{
    int status = 0;
    for (size_t i = 0; i < fetch->owner->nqueues; i++) {
        struct owner_queue *owned = &fetch->owner->queues[i];
        bool has_ghost = coro_now_ms() < owned->ghost_until_ms;
        if (has_ghost)
            status = 1;
        if (!owner_is_current(fetch->owner))
            return 0; /* it is looked at when it is */
        if (owned->ninbox == 0 && !has_ghost)
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
            note_gone(owned, ninbox);
        else
            status = 1;
    }
    return status;
}

static int rest(struct fetch *fetch, int64_t deadline_ms)
{
    int status = lines_rest(fetch->lines, deadline_ms);
    while (status == 0 && fetch->nasked > 0)
        status = coro_park(&fetch->quiet_waiters, deadline_ms);
    if (status == 0)
        status = return_inboxes(fetch);
    fetch->rest_until_ms =
        status == 0 ? CORO_NEVER : coro_after(GHOST_EVERY_MS);
    return status < 0 ? status : 0;
}

const struct fetch_mode fetch_at_least_once = {
    .name = "at-least-once",
    .prepare = prepare,
    .burst = burst_once,
    .wait = wait_once,
    .rest = rest,
};
