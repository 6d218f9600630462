#include "master/queue/due.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "master/queue/answer.h"
#include "master/queue/dead_limits.h"
#include "master/queue/score.h"
#include "master/queue/script.h"
#include "master/queue/settle.h"
#include "worker/log.h"
#include "worker/record.h"
#include "worker/scan.h"

#define ANSWER_MS 30000

#define SHARED     "queue:"
#define SHARED_LEN 6

/* The names of queues, for other programs that show them. */
#define NAMES_KEY "queues"

/* Words of a script call that are not members and what they become. */
#define WORDS_MOST (SCRIPT_WORDS + 8)

const struct due_set due_sets[DUE_NSETS] = {
    {.key = "corq:retry", .dead = SETTLE_DEAD_KEY},
    {.key = "corq:schedule", .dead = SETTLE_DEAD_KEY},
    {.key = "retry", .dead = "dead", .is_shared = true},
    {.key = "schedule", .dead = "dead", .is_shared = true},
};

/* A piece of one of the round's buffers, which may move while they grow. */
struct piece {
    size_t at;
    size_t len;
};

/* A member, and what becomes of it. */
struct item {
    const struct due_set *set;
    const char *member;
    size_t member_len;
    struct piece key;    /* of its queue; empty when it is buried */
    struct piece record; /* the payload, or what the dead set gets */
    bool is_buried;
    bool is_named; /* its queue is one that other programs show */
    bool is_done;
};

/* All that one look has found, and the words of the call under way. */
struct round {
    struct item *items;
    size_t nitems;
    struct coro_buf keys;
    struct coro_buf records;
    int64_t now_us;
    const char **argv;
    size_t *lens;
    int argc;
};

/* What came of a call. */
struct verdict {
    enum answer answer;
    int64_t number; /* the script's */
    char why[160];
};

/* --- reading -------------------------------------------------------------- */

static int write_remains(struct round *round, const struct item *item)
{
    if (item->set->is_shared)
        return coro_buf_append(&round->records, item->member, item->member_len);
    char jid[RECORD_JID_BYTES];
    int status = record_make_jid(jid);
    if (status < 0)
        return status;
    return record_write_failure(
        item->member, item->member_len,
        &(struct record_failure){
            .key = item->set->key,
            .key_len = strlen(item->set->key),
            .jid = jid,
            .retry = -1,
            .retry_count = -1,
            .now_us = round->now_us,
            .error_class = "NotAJob",
            .error_message = "found in a set of jobs to be run later, but "
                             "does not say to which queue it belongs",
        },
        &round->records);
}

static bool is_named(const struct round *round, const struct item *item)
{
    struct scan_result job;
    return item->key.len > SHARED_LEN &&
           memcmp(round->keys.data + item->key.at, SHARED, SHARED_LEN) == 0 &&
           scan_job(item->member, item->member_len, &job) == SCAN_DESCRIBED;
}

/* The bytes of @piece, which are never NULL. */
static const char *bytes_of(const struct coro_buf *buf, struct piece piece)
{
    return buf->data ? buf->data + piece.at : "";
}

/* Decides what becomes of @item. Returns 0, or -ENOMEM. */
static int read_item(struct round *round, struct item *item)
{
    item->key.at = round->keys.len;
    item->record.at = round->records.len;
    int status = record_write_due(item->member, item->member_len, round->now_us,
                                  &round->keys, &round->records);
    item->is_buried = status == -EINVAL;
    if (item->is_buried)
        status = write_remains(round, item);
    item->key.len = round->keys.len - item->key.at;
    item->record.len = round->records.len - item->record.at;
    if (status == 0)
        item->is_named = is_named(round, item);
    return status;
}

/* Returns 0, or -ENOMEM when some had to be left out: they are still due. */
static int read_items(struct round *round, const struct coro_redis_reply *look,
                      size_t first)
{
    int worst = 0;
    for (size_t i = first; i + 1 < coro_redis_reply_nitems(look); i += 2) {
        int64_t set = coro_redis_reply_integer(coro_redis_reply_item(look, i));
        if (set < 1 || set > DUE_NSETS)
            continue;
        struct item *item = &round->items[round->nitems];
        *item = (struct item){.set = &due_sets[set - 1]};
        item->member = coro_redis_reply_text(coro_redis_reply_item(look, i + 1),
                                             &item->member_len);
        int status = read_item(round, item);
        if (status == 0)
            round->nitems++;
        else
            worst = status;
    }
    return worst;
}

static int round_init(struct round *round, size_t most)
{
    *round = (struct round){.now_us = coro_wall_us()};
    coro_buf_init(&round->keys, CORO_BUF_NO_LIMIT);
    coro_buf_init(&round->records, CORO_BUF_NO_LIMIT);
    size_t nwords = WORDS_MOST + 2 * most;
    round->items = calloc(most, sizeof *round->items);
    round->argv = calloc(nwords, sizeof *round->argv);
    round->lens = calloc(nwords, sizeof *round->lens);
    return round->items && round->argv && round->lens ? 0 : -ENOMEM;
}

static void round_release(struct round *round)
{
    coro_buf_release(&round->keys);
    coro_buf_release(&round->records);
    free(round->items);
    free(round->argv);
    free(round->lens);
}

/* --- groups: members of one set that become the same ---------------------- */

static bool goes_with(const struct round *round, const struct item *a,
                      const struct item *b)
{
    return !b->is_done && a->set == b->set && a->is_buried == b->is_buried &&
           a->is_named == b->is_named && a->key.len == b->key.len &&
           memcmp(bytes_of(&round->keys, a->key),
                  bytes_of(&round->keys, b->key), a->key.len) == 0;
}

static void add_word(struct round *round, const char *word, size_t len)
{
    round->argv[round->argc] = word;
    round->lens[round->argc++] = len;
}

static void add_string(struct round *round, const char *word)
{
    add_word(round, word, strlen(word));
}

/* Adds the group of @first, which is its first: members, and their records
 * where these are wanted. Returns how many members it has. */
static int64_t add_group(struct round *round, const struct item *first,
                         bool with_records)
{
    int64_t nmembers = 0;
    const struct item *end = round->items + round->nitems;
    for (const struct item *item = first; item < end; item++) {
        if (!goes_with(round, first, item))
            continue;
        add_word(round, item->member, item->member_len);
        if (with_records)
            add_word(round, bytes_of(&round->records, item->record),
                     item->record.len);
        nmembers++;
    }
    return nmembers;
}

static void finish_group(struct round *round, struct item *first)
{
    struct item *end = round->items + round->nitems;
    for (struct item *item = first + 1; item < end; item++)
        item->is_done = item->is_done || goes_with(round, first, item);
    first->is_done = true;
}

/* Calls @script with the words. Returns 0 or -ECANCELED. */
static int call(struct due *due, struct round *round,
                const struct script *script, size_t nkeys,
                struct verdict *ret_verdict)
{
    struct coro_redis_reply *reply;
    int status =
        script_call(due->redis, script, nkeys, round->argc, round->argv,
                    round->lens, coro_after(ANSWER_MS), &reply);
    if (status == -ECANCELED)
        return status;
    const char *why = strerror(-status);
    *ret_verdict = (struct verdict){.answer = ANSWER_LATER};
    if (status == 0) {
        ret_verdict->answer = answer_of(reply);
        ret_verdict->number = coro_redis_reply_integer(reply);
        why = coro_redis_reply_text(reply, NULL);
    }
    snprintf(ret_verdict->why, sizeof ret_verdict->why, "%s", why);
    if (status == 0)
        coro_redis_reply_free(reply);
    return 0;
}

/* How long to wait after an answer that is none. */
static int64_t note_trouble(struct due *due, const struct verdict *verdict)
{
    if (verdict->answer == ANSWER_RECONNECT)
        coro_redis_drop(due->redis, verdict->why);
    return trouble_note(due->trouble, verdict->why);
}

/* --- putting off ---------------------------------------------------------- */

/* Jobs for a key that can't be used come back every time: one line for all. */
static void tell_put_off(struct due *due, const struct round *round,
                         const struct item *first, const char *why)
{
    const char *key = first->is_buried ? first->set->dead
                                       : bytes_of(&round->keys, first->key);
    size_t len = first->is_buried ? strlen(key) : first->key.len;
    size_t told_len = len < sizeof due->told_key ? len : sizeof due->told_key;
    bool is_told = due->told_len == told_len &&
                   memcmp(due->told_key, key, told_len) == 0 &&
                   coro_now_ms() < due->told_until_ms;
    if (is_told)
        return;
    memcpy(due->told_key, key, told_len);
    due->told_len = told_len;
    due->told_until_ms = coro_after(DUE_PUT_OFF_MS);
    const struct log_field fields[] = {
        log_bytes("queue", key, len),
        log_string("set", first->set->key),
    };
    log_line(LOG_LEVEL_WARN, NULL, fields, 2,
             "due jobs can't be moved and are put off by %d s: %s",
             DUE_PUT_OFF_MS / 1000, why);
}

/* As settle_group(). */
static int64_t put_off(struct due *due, struct round *round, struct item *first,
                       const char *why)
{
    char score[SCORE_BYTES];
    score_format(score, coro_wall_us() + INT64_C(1000) * DUE_PUT_OFF_MS);
    round->argc = SCRIPT_WORDS;
    add_string(round, first->set->key);
    add_string(round, score);
    add_group(round, first, false);
    struct verdict verdict;
    int status = call(due, round, &script_put_off, 1, &verdict);
    if (status < 0)
        return status;
    if (verdict.answer != ANSWER_OK)
        return note_trouble(due, &verdict);
    tell_put_off(due, round, first, why);
    finish_group(round, first);
    return 0;
}

/* --- moving and burying --------------------------------------------------- */

static int move_group(struct due *due, struct round *round,
                      const struct item *first, bool with_name,
                      struct verdict *ret_verdict)
{
    const char *key = bytes_of(&round->keys, first->key);
    round->argc = SCRIPT_WORDS;
    add_string(round, first->set->key);
    add_word(round, key, first->key.len);
    if (with_name) {
        add_string(round, NAMES_KEY);
        add_word(round, key + SHARED_LEN, first->key.len - SHARED_LEN);
    } else {
        add_string(round, "");
    }
    add_group(round, first, true);
    return call(due, round, &script_move, with_name ? 3 : 2, ret_verdict);
}

/* To the queue; its name is left out when that alone is forbidden. */
static int move_to_queue(struct due *due, struct round *round,
                         const struct item *first, struct verdict *ret_verdict)
{
    int status = move_group(due, round, first, first->is_named, ret_verdict);
    if (status == 0 && first->is_named && ret_verdict->answer == ANSWER_QUEUE)
        status = move_group(due, round, first, false, ret_verdict);
    if (status < 0 || ret_verdict->answer != ANSWER_OK)
        return status;
    const struct log_field fields[] = {
        log_bytes("queue", bytes_of(&round->keys, first->key), first->key.len),
        log_string("set", first->set->key),
        log_int("jobs", ret_verdict->number),
    };
    log_line(LOG_LEVEL_DEBUG, NULL, fields, 3, "due jobs moved");
    return 0;
}

static int move_to_dead(struct due *due, struct round *round,
                        const struct item *first, struct verdict *ret_verdict)
{
    char now[SCORE_BYTES];
    struct dead_limits limits;
    const struct due_set *set = first->set;
    round->argc = SCRIPT_WORDS;
    add_string(round, set->key);
    add_string(round, set->dead);
    add_string(round, score_format(now, round->now_us));
    dead_limits_set(&limits, round->now_us, set->is_shared);
    add_string(round, limits.oldest);
    add_string(round, DEAD_MOST);
    add_string(round, limits.newest);
    int64_t nmembers = add_group(round, first, true);
    int status = call(due, round, &script_bury, 2, ret_verdict);
    if (status < 0 || ret_verdict->answer != ANSWER_OK)
        return status;
    const struct log_field fields[] = {
        log_string("set", set->key),
        log_int("entries", nmembers),
        log_int("removed", ret_verdict->number),
    };
    log_line(LOG_LEVEL_WARN, NULL, fields, ret_verdict->number > 0 ? 3 : 2,
             "due, but no jobs that could be run: set aside in %s%s", set->dead,
             ret_verdict->number > 0 ? ", from which the oldest had to go"
                                     : "");
    return 0;
}

/* Deals with @first and what goes with it; returns as due_move(). */
static int64_t settle_group(struct due *due, struct round *round,
                            struct item *first)
{
    struct verdict verdict;
    int status = first->is_buried ? move_to_dead(due, round, first, &verdict)
                                  : move_to_queue(due, round, first, &verdict);
    if (status < 0)
        return status;
    if (verdict.answer == ANSWER_QUEUE)
        return put_off(due, round, first, verdict.why);
    if (verdict.answer != ANSWER_OK)
        return note_trouble(due, &verdict);
    finish_group(round, first);
    return 0;
}

static int64_t settle_round(struct due *due, struct round *round,
                            const struct coro_redis_reply *look, size_t first)
{
    int status = round_init(round, coro_redis_reply_nitems(look) / 2 + 1);
    if (status == 0)
        status = read_items(round, look, first);
    for (size_t i = 0; i < round->nitems; i++) {
        if (round->items[i].is_done)
            continue;
        int64_t wait_ms = settle_group(due, round, &round->items[i]);
        if (wait_ms != 0)
            return wait_ms;
    }
    return status < 0 ? trouble_note(due->trouble, strerror(-status)) : 0;
}

int64_t due_move(struct due *due, const struct coro_redis_reply *look,
                 size_t first)
{
    struct round round;
    int64_t wait_ms = settle_round(due, &round, look, first);
    round_release(&round);
    return wait_ms;
}
