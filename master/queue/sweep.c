#include "master/queue/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/orphans.h"
#include "master/queue/requeue.h"
#include "worker/log.h"

/* How often in a lease it is looked. */
#define LOOKS 4

/* A pop blocks for 5 s at the most, and is given up 3 s later. */
#define EMPTY_MS 10000

#define ANSWER_MS 30000

/* How many keys a step of the net looks at. */
#define NET_KEYS "1000"

/* A member of the owners whose lease is missing. */
struct suspect {
    struct list link;
    struct orphans orphans;
    int64_t since_ms;       /* when it was first seen to be missing */
    int64_t empty_since_ms; /* when nothing of it was found; 0: not yet */
    uint64_t look;          /* in which it was last seen */
};

static struct suspect *suspect_of(struct list *link)
{
    return list_entry(link, struct suspect, link);
}

static void drop(struct suspect *suspect)
{
    list_remove(&suspect->link);
    orphans_release(&suspect->orphans);
    free(suspect);
}

static struct suspect *find(struct sweep *sweep, const char *member, size_t len)
{
    list_foreach (link, &sweep->suspects) {
        struct suspect *suspect = suspect_of(link);
        const struct owner_key *known = &suspect->orphans.owned.member;
        if (known->len == len && memcmp(known->bytes, member, len) == 0)
            return suspect;
    }
    return NULL;
}

static bool is_ours(const struct sweep *sweep, const struct orphans *orphans)
{
    return strcmp(orphans->process, sweep->process) == 0;
}

/* --- one member ----------------------------------------------------------- */

/* Takes @orphans. */
static int note_missing(struct sweep *sweep, struct orphans *orphans)
{
    const struct owner_key *member = &orphans->owned.member;
    struct suspect *suspect = find(sweep, member->bytes, member->len);
    if (suspect) {
        orphans_release(orphans);
    } else {
        suspect = calloc(1, sizeof *suspect);
        if (!suspect) {
            orphans_release(orphans);
            return -ENOMEM;
        }
        suspect->orphans = *orphans;
        suspect->since_ms = coro_now_ms();
        list_append(&sweep->suspects, &suspect->link);
    }
    suspect->look = sweep->nlooks;
    return 0;
}

/* The process was here and is no more: its lease need not run out. */
static int end_local(struct sweep *sweep, struct orphans *orphans,
                     const char *value)
{
    int64_t deadline_ms = coro_after(ANSWER_MS);
    int status = orphans_end_lease(orphans, sweep->redis, value, deadline_ms);
    if (status < 0)
        return status;
    int64_t n = orphans_give_back(orphans, sweep->redis, deadline_ms);
    return n < 0 && n != -EBUSY && n != -EREMOTEIO ? (int)n : 0;
}

static int look_at(struct sweep *sweep, const char *member, size_t len)
{
    struct orphans orphans;
    int status = orphans_init(&orphans, member, len);
    if (status == -EINVAL)
        return 0; /* nobody of ours wrote it */
    if (status < 0)
        return status;
    char value[OWNER_VALUE_MAX];
    if (!is_ours(sweep, &orphans))
        status =
            orphans_look(&orphans, sweep->redis, value, coro_after(ANSWER_MS));
    if (status == 1)
        return note_missing(sweep, &orphans);
    if (status == -EREMOTEIO)
        status = 0; /* not for us to see; others are */
    if (status == 0 && !is_ours(sweep, &orphans) &&
        orphans_are_local(&orphans, value, sweep->process, sweep->where))
        status = end_local(sweep, &orphans, value);
    orphans_release(&orphans);
    return status;
}

/* --- all members ---------------------------------------------------------- */

static int look_at_some(struct sweep *sweep,
                        const struct coro_redis_reply *members)
{
    for (size_t i = 0; i < coro_redis_reply_nitems(members); i++) {
        size_t len;
        const char *member =
            coro_redis_reply_text(coro_redis_reply_item(members, i), &len);
        int status = look_at(sweep, member, len);
        if (status < 0)
            return status;
    }
    return 0;
}

/* One step of a scan: [cursor, [item, …]]. Keeps the cursor, calls @use with
 * the items. */
static int scan_step(struct sweep *sweep, int argc, const char **argv,
                     char cursor[24],
                     int (*use)(struct sweep *sweep,
                                const struct coro_redis_reply *items))
{
    struct coro_redis_reply *reply;
    int status = coro_redis_call(sweep->redis, argc, argv, NULL,
                                 coro_after(ANSWER_MS), &reply);
    if (status < 0)
        return status;
    if (coro_redis_reply_nitems(reply) == 2) {
        snprintf(cursor, 24, "%s",
                 coro_redis_reply_text(coro_redis_reply_item(reply, 0), NULL));
        trouble_over(&sweep->trouble);
        status = use(sweep, coro_redis_reply_item(reply, 1));
    } else {
        trouble_note(&sweep->trouble, coro_redis_reply_text(reply, NULL));
        status = -EREMOTEIO;
    }
    coro_redis_reply_free(reply);
    return status;
}

static int look_at_owners(struct sweep *sweep)
{
    char cursor[24] = "0";
    int status;
    do {
        const char *argv[] = {"SSCAN", OWNER_SET_KEY, cursor, "COUNT", "100"};
        status = scan_step(sweep, 5, argv, cursor, look_at_some);
    } while (status == 0 && strcmp(cursor, "0") != 0);
    return status;
}

/* --- the net -------------------------------------------------------------- */

static int catch (struct sweep *sweep, const struct coro_redis_reply *keys)
{
    int status = 0;
    for (size_t i = 0; i < coro_redis_reply_nitems(keys) && status == 0; i++) {
        size_t len;
        const char *key =
            coro_redis_reply_text(coro_redis_reply_item(keys, i), &len);
        struct orphans orphans;
        if (orphans_init_by_key(&orphans, key, len) < 0)
            continue;
        const char *argv[] = {"SADD", OWNER_SET_KEY,
                              orphans.owned.member.bytes};
        size_t lens[] = {SIZE_MAX, SIZE_MAX, orphans.owned.member.len};
        if (!is_ours(sweep, &orphans))
            status = coro_redis_call(sweep->redis, 3, argv, lens,
                                     coro_after(ANSWER_MS), NULL);
        orphans_release(&orphans);
    }
    return status;
}

static int cast_net(struct sweep *sweep)
{
    char cursor[24];
    memcpy(cursor, sweep->cursor, sizeof cursor);
    const char *argv[] = {"SCAN",       cursor,  "MATCH",
                          "corq:in*:*", "COUNT", NET_KEYS};
    return scan_step(sweep, 6, argv, sweep->cursor, catch);
}

/* --- those that are gone -------------------------------------------------- */

static int settle_empty(struct sweep *sweep, struct suspect *suspect)
{
    int64_t now_ms = coro_now_ms();
    if (suspect->empty_since_ms == 0)
        suspect->empty_since_ms = now_ms;
    if (now_ms - suspect->empty_since_ms < sweep->empty_ms)
        return 0;
    int status = requeue_forget(sweep->redis, &suspect->orphans.lease,
                                &suspect->orphans.owned, coro_after(ANSWER_MS));
    if (status == 1)
        drop(suspect);
    return status < 0 ? status : 0;
}

static int recover(struct sweep *sweep, struct suspect *suspect)
{
    int64_t n = orphans_give_back(&suspect->orphans, sweep->redis,
                                  coro_after(ANSWER_MS));
    if (n == -EBUSY) {
        drop(suspect);
        return 0;
    }
    if (n > 0)
        suspect->empty_since_ms = 0;
    if (n == 0)
        return settle_empty(sweep, suspect);
    return n < 0 && n != -EREMOTEIO ? (int)n : 0;
}

static int recover_all(struct sweep *sweep)
{
    int status = 0;
    list_foreach_safe (link, &sweep->suspects) {
        struct suspect *suspect = suspect_of(link);
        if (suspect->look != sweep->nlooks)
            drop(suspect); /* it is back, or forgotten */
        else if (coro_now_ms() - suspect->since_ms >= sweep->lease_ms / 2)
            status = recover(sweep, suspect);
        if (status < 0)
            return status;
    }
    return 0;
}

/* --- looking -------------------------------------------------------------- */

/* Redis, or we, may have stood still: all that is known is from before. */
static void begin_anew(struct sweep *sweep)
{
    list_foreach (link, &sweep->suspects) {
        suspect_of(link)->since_ms = coro_now_ms();
        suspect_of(link)->empty_since_ms = 0;
    }
}

static bool was_gap(const struct sweep *sweep, int64_t start_ms)
{
    int64_t now_ms = coro_now_ms();
    return sweep->last_ms == 0 ||
           sweep->generation != coro_redis_generation(sweep->redis) ||
           start_ms - sweep->last_ms > sweep->lease_ms / 2 ||
           now_ms - start_ms > sweep->lease_ms / LOOKS;
}

static int look(struct sweep *sweep)
{
    int64_t start_ms = coro_now_ms();
    sweep->nlooks++;
    int status = look_at_owners(sweep);
    if (status < 0 || was_gap(sweep, start_ms))
        begin_anew(sweep);
    /* Whether Redis answers during what follows is seen by the next look: it
     * comes so much later. */
    int64_t looked_ms = coro_now_ms();
    sweep->generation = coro_redis_generation(sweep->redis);
    if (status == 0)
        status = recover_all(sweep);
    if (status == 0)
        status = cast_net(sweep);
    if (status == -EREMOTEIO)
        status = 0; /* without the net it works as well */
    sweep->last_ms = status == 0 ? looked_ms : 0;
    return status;
}

static int main_loop(void *argument)
{
    struct sweep *sweep = argument;
    int64_t every_ms = sweep->lease_ms / LOOKS;
    /* At the start it is looked for those that certainly are no more. */
    bool is_due = sweep->looks_at_start;
    for (;;) {
        if (coro_redis_wait_up(sweep->redis, CORO_NEVER) < 0)
            return -ECANCELED;
        if (!is_due && !schedule_is_leader(sweep->schedule))
            sweep->last_ms = 0;
        else if (look(sweep) == -ECANCELED)
            return -ECANCELED;
        is_due = false;
        if (coro_sleep(every_ms) < 0)
            return -ECANCELED;
    }
}

int sweep_start(struct sweep *sweep, const struct sweep_options *options)
{
    *sweep = (struct sweep){
        .redis = options->redis,
        .process = options->process,
        .schedule = options->schedule,
        .lease_ms = options->lease_ms,
        .empty_ms = EMPTY_MS,
        .looks_at_start = !options->is_one_of_many,
        .cursor = "0",
    };
    list_init(&sweep->suspects);
    owner_learn_where(sweep->where);
    trouble_init(&sweep->trouble, "looking for processes that are gone");
    return coro_group_spawn(
        options->group, main_loop, sweep,
        &(struct coro_spawn_options){.name = "sweep", .large_stack = true});
}

void sweep_release(struct sweep *sweep)
{
    list_foreach_safe (link, &sweep->suspects)
        drop(suspect_of(link));
}
