#include "master/queue/prune.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "master/queue/script.h"
#include "worker/log.h"

#define SET_KEY "processes"

/* The same lock as other programs', held for as many seconds as theirs. */
#define LOCK_KEY "process_cleanup"
#define LOCK_S   "60"

/* At each step about so many members are looked at; and so many steps. */
#define SCAN_COUNT "100"
#define SCAN_MOST  100
#define CALL_MOST  1000

#define CURSOR_BYTES 24
#define ANSWER_MS    10000

struct prune {
    struct coro_redis *redis;
    struct trouble *trouble;
    bool was_refused; /* a part of it, at least */
};

/* True for a reply that is an error, which is then noted. */
static bool is_refused(struct prune *prune,
                       const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) != CORO_REDIS_ERROR)
        return false;
    prune->was_refused = true;
    trouble_note(prune->trouble, coro_redis_reply_text(reply, NULL));
    return true;
}

/* Looks at @nmembers members of @members from @first on. */
static int prune_some(struct prune *prune,
                      const struct coro_redis_reply *members, size_t first,
                      size_t nmembers)
{
    size_t nwords = SCRIPT_WORDS + 1 + nmembers;
    const char **words = calloc(nwords, sizeof *words);
    size_t *lens = calloc(nwords, sizeof *lens);
    struct coro_redis_reply *reply;
    int status = -ENOMEM;
    if (words && lens) {
        words[SCRIPT_WORDS] = SET_KEY;
        lens[SCRIPT_WORDS] = SIZE_MAX;
        for (size_t i = 0; i < nmembers; i++)
            words[SCRIPT_WORDS + 1 + i] =
                coro_redis_reply_text(coro_redis_reply_item(members, first + i),
                                      &lens[SCRIPT_WORDS + 1 + i]);
        status =
            script_call(prune->redis, &script_prune, nmembers + 1, (int)nwords,
                        words, lens, coro_after(ANSWER_MS), &reply);
    }
    free(words);
    free(lens);
    if (status < 0)
        return status;
    int64_t nremoved = coro_redis_reply_integer(reply);
    if (!is_refused(prune, reply) && nremoved > 0)
        log_line(LOG_LEVEL_INFO, "redis", NULL, 0,
                 "%lld processes that are gone were taken out of " SET_KEY,
                 (long long)nremoved);
    coro_redis_reply_free(reply);
    return 0;
}

static int prune_step(struct prune *prune,
                      const struct coro_redis_reply *members)
{
    size_t nmembers = coro_redis_reply_nitems(members);
    int status = 0;
    for (size_t i = 0; i < nmembers && status == 0; i += CALL_MOST) {
        size_t n = nmembers - i < CALL_MOST ? nmembers - i : CALL_MOST;
        status = prune_some(prune, members, i, n);
    }
    return status;
}

/* One step through the set. @cursor is where it goes on; "0" at its end. */
static int scan_step(struct prune *prune, char cursor[CURSOR_BYTES])
{
    struct coro_redis_reply *reply;
    int status = coro_redis_call(
        prune->redis, 5,
        CORO_REDIS_ARGS("SSCAN", SET_KEY, cursor, "COUNT", SCAN_COUNT),
        coro_after(ANSWER_MS), &reply);
    if (status < 0)
        return status;
    cursor[0] = '0';
    cursor[1] = '\0';
    if (!is_refused(prune, reply) && coro_redis_reply_nitems(reply) == 2) {
        size_t len;
        const char *next =
            coro_redis_reply_text(coro_redis_reply_item(reply, 0), &len);
        if (len > 0 && len < CURSOR_BYTES)
            memcpy(cursor, next, len + 1);
        status = prune_step(prune, coro_redis_reply_item(reply, 1));
    }
    coro_redis_reply_free(reply);
    return status;
}

/* Returns 1 when the lock is ours, 0 when it is not, or a status. */
static int take_lock(struct prune *prune)
{
    struct coro_redis_reply *reply;
    int status = coro_redis_call(
        prune->redis, 6,
        CORO_REDIS_ARGS("SET", LOCK_KEY, "1", "NX", "EX", LOCK_S),
        coro_after(ANSWER_MS), &reply);
    if (status < 0)
        return status;
    status = !is_refused(prune, reply) &&
             coro_redis_reply_type(reply) == CORO_REDIS_STATUS;
    coro_redis_reply_free(reply);
    return status;
}

int prune_processes(struct coro_redis *redis, struct trouble *trouble)
{
    struct prune prune = {.redis = redis, .trouble = trouble};
    int status = take_lock(&prune);
    char cursor[CURSOR_BYTES] = "0";
    for (int i = 0; status > 0 && i < SCAN_MOST; i++) {
        status = scan_step(&prune, cursor);
        if (status == 0)
            status = strcmp(cursor, "0") != 0;
    }
    if (status >= 0 && !prune.was_refused)
        trouble_over(trouble);
    return status < 0 ? status : 0;
}
