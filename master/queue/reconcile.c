#include "master/queue/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/queue/answer.h"
#include "master/queue/owner.h"
#include "master/queue/requeue.h"
#include "worker/log.h"

#define ANSWER_MS 30000

/* Payloads that are asked for in one go; each may be large. */
#define FEW 16

/* Attempts as numbers, sorted. */
struct known {
    uint64_t *attempts;
    size_t n;
    size_t room;
};

/* One queue's work. */
struct work {
    struct fetch *fetch;
    struct fetch_queue *queue;
    struct owner_queue *owned;
    const struct known *known;
    const char **unknown; /* names, the oldest first; borrowed from a reply */
    size_t nunknown;
    size_t nstarted;
    size_t nreturned;
};

/* --- what is known -------------------------------------------------------- */

static void note_known(const struct job *job, void *argument)
{
    struct known *known = argument;
    if (known->n < known->room)
        known->attempts[known->n++] = job->attempt;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Does not suspend: nothing changes between counting and writing down. */
static int learn_known(const struct fetch *fetch, struct known *known)
{
    struct dispatch *dispatch = fetch->dispatch;
    known->room = dispatch->nheld;
    known->n = 0;
    known->attempts = calloc(known->room + 1, sizeof *known->attempts);
    if (!known->attempts)
        return -ENOMEM;
    list_foreach (link, &dispatch->in_flight)
        note_known(list_entry(link, struct job, in_flight), known);
    settle_each(dispatch->settle, note_known, known);
    qsort(known->attempts, known->n, sizeof *known->attempts, by_number);
    return 0;
}

static bool is_known(const struct known *known, const char *name)
{
    uint64_t attempt = strtoull(name, NULL, 10);
    return bsearch(&attempt, known->attempts, known->n, sizeof attempt,
                   by_number);
}

/* --- what is not ---------------------------------------------------------- */

static int find_unknown(struct work *work, const struct coro_redis_reply *names)
{
    size_t n = coro_redis_reply_nitems(names);
    work->unknown = calloc(n + 1, sizeof *work->unknown);
    if (!work->unknown)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *name =
            coro_redis_reply_text(coro_redis_reply_item(names, i), NULL);
        if (owner_is_attempt(name) && !is_known(work->known, name))
            work->unknown[work->nunknown++] = name;
    }
    owner_sort_attempts(work->unknown, work->nunknown);
    return 0;
}

static size_t may_start(const struct fetch *fetch)
{
    return fetch->is_quiet || fetch->dispatch->is_draining
               ? 0
               : dispatch_credit(fetch->dispatch);
}

static void start(struct work *work, const char *const *names,
                  const struct coro_redis_reply *payloads)
{
    struct dispatch_burst burst = {NULL, NULL};
    size_t n = coro_redis_reply_nitems(payloads);
    for (size_t i = 0; i < n; i++) {
        const struct coro_redis_reply *payload =
            coro_redis_reply_item(payloads, i);
        if (coro_redis_reply_type(payload) != CORO_REDIS_STRING)
            continue; /* settled just now */
        fetch_take(work->fetch, work->queue, &burst, payload,
                   strtoull(names[i], NULL, 10));
        work->nstarted++;
    }
    dispatch_send(work->fetch->dispatch, &burst);
}

/* Asks for the payloads of @n attempts and starts them. */
static int start_few(struct work *work, const char *const *names, size_t n)
{
    const char *argv[2 + FEW] = {"HMGET", work->owned->inflight.bytes};
    size_t lens[2 + FEW] = {5, work->owned->inflight.len};
    for (size_t i = 0; i < n; i++) {
        argv[2 + i] = names[i];
        lens[2 + i] = SIZE_MAX;
    }
    struct coro_redis_reply *payloads;
    int status = coro_redis_call(work->fetch->commands, (int)(2 + n), argv,
                                 lens, coro_after(ANSWER_MS), &payloads);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(payloads) == CORO_REDIS_ERROR)
        status = -EAGAIN;
    else
        start(work, names, payloads);
    coro_redis_reply_free(payloads);
    return status;
}

static int start_or_return(struct work *work)
{
    size_t at = 0;
    while (at < work->nunknown) {
        size_t n = may_start(work->fetch);
        if (n == 0)
            break;
        n = n < FEW ? n : FEW;
        n = n < work->nunknown - at ? n : work->nunknown - at;
        int status = start_few(work, work->unknown + at, n);
        if (status < 0)
            return status;
        at += n;
    }
    struct requeue requeue = {
        .redis = work->fetch->commands,
        .lease = &work->fetch->owner->lease,
        .queue = work->owned,
    };
    int64_t nback =
        requeue_attempts(&requeue, work->unknown + at, work->nunknown - at,
                         coro_after(ANSWER_MS));
    if (nback > 0)
        work->nreturned = (size_t)nback;
    return nback < 0 ? (int)nback : 0;
}

/* --- one queue, and all --------------------------------------------------- */

static int ask_names(struct work *work, struct coro_redis_reply **ret_names)
{
    const char *argv[] = {"HKEYS", work->owned->inflight.bytes};
    size_t lens[] = {5, work->owned->inflight.len};
    int status = coro_redis_call(work->fetch->commands, 2, argv, lens,
                                 coro_after(ANSWER_MS), ret_names);
    if (status < 0 || coro_redis_reply_type(*ret_names) != CORO_REDIS_ERROR)
        return status;
    int64_t wait_ms = trouble_note(&work->queue->trouble,
                                   coro_redis_reply_text(*ret_names, NULL));
    coro_redis_reply_free(*ret_names);
    return coro_sleep(wait_ms) == -ECANCELED ? -ECANCELED : -EAGAIN;
}

static int reconcile_queue(struct fetch *fetch, struct fetch_queue *queue)
{
    struct work work = {
        .fetch = fetch,
        .queue = queue,
        .owned = owner_queue(fetch->owner, queue->queue),
    };
    struct coro_redis_reply *names;
    int status = ask_names(&work, &names);
    if (status < 0)
        return status;
    struct known known = {.attempts = NULL};
    status = learn_known(fetch, &known);
    work.known = &known;
    if (status == 0)
        status = find_unknown(&work, names);
    if (status == 0)
        status = start_or_return(&work);
    free(work.unknown);
    free(known.attempts);
    coro_redis_reply_free(names);
    if (work.nstarted + work.nreturned > 0)
        log_line(LOG_LEVEL_INFO, "redis", NULL, 0,
                 "%zu jobs had been taken when the connection was lost: "
                 "started %zu of them, gave %zu back",
                 work.nstarted + work.nreturned, work.nstarted, work.nreturned);
    return status;
}

int reconcile(struct fetch *fetch)
{
    struct owner *owner = fetch->owner;
    uint64_t generation = coro_redis_generation(fetch->commands);
    owner->must_reconcile = false;
    int status = settle_wait_sent(fetch->dispatch->settle, CORO_NEVER);
    for (size_t i = 0; i < fetch->nqueues && status == 0; i++)
        status = reconcile_queue(fetch, &fetch->queues[i]);
    if (status == 0 && generation == coro_redis_generation(fetch->commands))
        return 0;
    owner->must_reconcile = true;
    /* On a connection that is there it must not be tried in a circle. */
    if (status < 0 && status != -ECANCELED && coro_redis_is_up(fetch->commands))
        status = coro_sleep(
            trouble_note(&fetch->trouble, "can't compare what is in flight"));
    return status == -ECANCELED ? status : -EAGAIN;
}
