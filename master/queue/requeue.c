#include "master/queue/requeue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/queue/script.h"

/* So many jobs move in one call at the most: others want to be served, too. */
#define MOVES_MOST 100
#define MOVES_TEXT "100"

/* The integer that @reply is, or why it is none. Frees @reply. */
static int64_t number_of(struct requeue *requeue,
                         struct coro_redis_reply *reply)
{
    int64_t number = coro_redis_reply_integer(reply);
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR) {
        snprintf(requeue->why, sizeof requeue->why, "%s",
                 coro_redis_reply_text(reply, NULL));
        number = -EREMOTEIO;
    } else if (number < 0) {
        number = -EBUSY;
    }
    coro_redis_reply_free(reply);
    return number;
}

static int word(const struct requeue *requeue, const struct owner_key *source,
                const char **argv, size_t *lens)
{
    int argc = SCRIPT_WORDS;
    argv[argc] = requeue->lease->bytes;
    lens[argc++] = requeue->lease->len;
    argv[argc] = source->bytes;
    lens[argc++] = source->len;
    argv[argc] = requeue->queue->key;
    lens[argc++] = requeue->queue->key_len;
    argv[argc] = requeue->are_orphans ? "orphans" : "own";
    lens[argc++] = SIZE_MAX;
    return argc;
}

int64_t requeue_inbox(struct requeue *requeue, int64_t deadline_ms)
{
    int64_t nmoved = 0;
    for (;;) {
        const char *argv[SCRIPT_WORDS + 5];
        size_t lens[SCRIPT_WORDS + 5];
        int argc = word(requeue, &requeue->queue->inbox, argv, lens);
        argv[argc] = MOVES_TEXT;
        lens[argc++] = SIZE_MAX;
        struct coro_redis_reply *reply;
        int status = script_call(requeue->redis, &script_requeue_inbox, 3, argc,
                                 argv, lens, deadline_ms, &reply);
        if (status < 0)
            return status;
        int64_t n = number_of(requeue, reply);
        if (n < 0)
            return n;
        nmoved += n;
        if (n < MOVES_MOST)
            return nmoved;
    }
}

/* The last @n of @attempts, in one call. */
static int64_t move_last(struct requeue *requeue, const char *const *attempts,
                         size_t nattempts, size_t n, int64_t deadline_ms)
{
    const char *argv[SCRIPT_WORDS + 4 + MOVES_MOST];
    size_t lens[SCRIPT_WORDS + 4 + MOVES_MOST];
    int argc = word(requeue, &requeue->queue->inflight, argv, lens);
    for (size_t i = 1; i <= n; i++) {
        argv[argc] = attempts[nattempts - i];
        lens[argc++] = SIZE_MAX;
    }
    struct coro_redis_reply *reply;
    int status = script_call(requeue->redis, &script_requeue, 3, argc, argv,
                             lens, deadline_ms, &reply);
    return status < 0 ? status : number_of(requeue, reply);
}

int64_t requeue_attempts(struct requeue *requeue, const char *const *attempts,
                         size_t nattempts, int64_t deadline_ms)
{
    int64_t nmoved = 0;
    while (nattempts > 0) {
        size_t n = nattempts < MOVES_MOST ? nattempts : MOVES_MOST;
        int64_t moved = move_last(requeue, attempts, nattempts, n, deadline_ms);
        if (moved < 0)
            return moved;
        nmoved += moved;
        nattempts -= n;
    }
    return nmoved;
}

static int64_t move_all(struct requeue *requeue,
                        const struct coro_redis_reply *names,
                        int64_t deadline_ms)
{
    size_t n = coro_redis_reply_nitems(names);
    if (n == 0)
        return 0;
    const char **attempts = calloc(n, sizeof *attempts);
    if (!attempts)
        return -ENOMEM;
    size_t nattempts = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name =
            coro_redis_reply_text(coro_redis_reply_item(names, i), NULL);
        if (owner_is_attempt(name))
            attempts[nattempts++] = name;
    }
    owner_sort_attempts(attempts, nattempts);
    int64_t nmoved =
        requeue_attempts(requeue, attempts, nattempts, deadline_ms);
    free(attempts);
    return nmoved;
}

int64_t requeue_inflight(struct requeue *requeue, int64_t deadline_ms)
{
    const char *argv[] = {"HKEYS", requeue->queue->inflight.bytes};
    size_t lens[] = {5, requeue->queue->inflight.len};
    struct coro_redis_reply *names;
    int status =
        coro_redis_call(requeue->redis, 2, argv, lens, deadline_ms, &names);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(names) == CORO_REDIS_ERROR)
        return number_of(requeue, names);
    int64_t nmoved = move_all(requeue, names, deadline_ms);
    coro_redis_reply_free(names);
    return nmoved;
}

int requeue_forget(struct coro_redis *redis, const struct owner_key *lease,
                   const struct owner_queue *queue, int64_t deadline_ms)
{
    const char *argv[SCRIPT_WORDS + 5] = {
        [SCRIPT_WORDS] = OWNER_SET_KEY,
        [SCRIPT_WORDS + 1] = lease->bytes,
        [SCRIPT_WORDS + 2] = queue->inbox.bytes,
        [SCRIPT_WORDS + 3] = queue->inflight.bytes,
        [SCRIPT_WORDS + 4] = queue->member.bytes,
    };
    size_t lens[SCRIPT_WORDS + 5] = {
        [SCRIPT_WORDS] = SIZE_MAX,
        [SCRIPT_WORDS + 1] = lease->len,
        [SCRIPT_WORDS + 2] = queue->inbox.len,
        [SCRIPT_WORDS + 3] = queue->inflight.len,
        [SCRIPT_WORDS + 4] = queue->member.len,
    };
    struct coro_redis_reply *reply;
    int status = script_call(redis, &script_forget, 4, SCRIPT_WORDS + 5, argv,
                             lens, deadline_ms, &reply);
    if (status < 0)
        return status;
    bool is_forgotten = coro_redis_reply_integer(reply) == 1;
    coro_redis_reply_free(reply);
    return is_forgotten;
}
