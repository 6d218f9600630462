#include "tests/support/sentinel_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/wait.h"

#define NAME SENTINEL_SET_NAME

/* What they take for dead, and what only sentinel_set_kill_primary() wants. */
#define NEVER_MS     "600000"
#define DEAD_SOON_MS "500"

/* --- what they say -------------------------------------------------------- */

static bool has_role(struct redis_server *server, const char *role)
{
    if (server->pid == 0)
        return false;
    redisReply *reply = redis_reply(server, "ROLE");
    bool is_it = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                 strcmp(reply->element[0]->str, role) == 0;
    freeReplyObject(reply);
    return is_it;
}

struct redis_server *sentinel_set_primary(struct sentinel_set *set)
{
    for (size_t i = 0; i < 2; i++)
        if (has_role(&set->servers[i], "master"))
            return &set->servers[i];
    fail_msg("there is no primary");
    return NULL;
}

static bool names(struct redis_server *sentinel,
                  const struct redis_server *server)
{
    redisReply *reply =
        redis_reply(sentinel, "SENTINEL get-master-addr-by-name " NAME);
    bool is_it = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 atoi(reply->element[1]->str) == server->port;
    freeReplyObject(reply);
    return is_it;
}

/* The value of a field in [name, value, name, …]. */
static const char *field(const redisReply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        if (strcmp(reply->element[i]->str, name) == 0)
            return reply->element[i + 1]->str;
    return "";
}

static bool knows_the_replica(struct redis_server *sentinel)
{
    redisReply *reply = redis_reply(sentinel, "SENTINEL replicas " NAME);
    bool knows =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        strcmp(field(reply->element[0], "flags"), "slave") == 0 &&
        strcmp(field(reply->element[0], "master-link-status"), "ok") == 0;
    freeReplyObject(reply);
    return knows;
}

static bool knows_the_sentinels(struct redis_server *sentinel)
{
    redisReply *reply = redis_reply(sentinel, "SENTINEL master " NAME);
    bool knows = reply->type == REDIS_REPLY_ARRAY &&
                 strcmp(field(reply, "flags"), "master") == 0 &&
                 atoi(field(reply, "num-other-sentinels")) == SENTINELS - 1;
    freeReplyObject(reply);
    return knows;
}

static bool all_know_all(void *argument)
{
    struct sentinel_set *set = argument;
    for (size_t i = 0; i < SENTINELS; i++)
        if (!knows_the_replica(&set->sentinels[i]) ||
            !knows_the_sentinels(&set->sentinels[i]))
            return false;
    return true;
}

/* --- starting ------------------------------------------------------------- */

static void start_servers(struct sentinel_set *set)
{
    static const char *common = "repl-diskless-sync-delay 0\n"
                                "repl-ping-replica-period 1\n";
    redis_server_start(&set->servers[0], common);
    char config[160];
    snprintf(config, sizeof config, "%sreplicaof 127.0.0.1 %u\n", common,
             (unsigned)set->servers[0].port);
    redis_server_start(&set->servers[1], config);
}

/* Looks around more often than usual. Two periods have to stay long: a replica
 * is no candidate when its news are older than five pings, and a promoted one
 * is demoted again by whoever hasn't heard of it for four greetings. Older
 * servers know no such command, and the tests take longer. */
static void hurry(struct redis_server *sentinel)
{
    freeReplyObject(redis_reply(sentinel, "SENTINEL DEBUG info-period 100 "
                                          "ask-period 100 publish-period 500"));
}

static void start_sentinel(struct redis_server *sentinel, uint16_t port)
{
    char config[256];
    snprintf(config, sizeof config,
             "sentinel monitor " NAME " 127.0.0.1 %u 2\n"
             "sentinel down-after-milliseconds " NAME " " NEVER_MS "\n"
             "sentinel failover-timeout " NAME " 5000\n",
             (unsigned)port);
    sentinel->is_sentinel = true;
    redis_server_start(sentinel, config);
    hurry(sentinel);
}

void sentinel_set_start(struct sentinel_set *set)
{
    start_servers(set);
    for (size_t i = 0; i < SENTINELS; i++)
        start_sentinel(&set->sentinels[i], set->servers[0].port);
    snprintf(set->url, sizeof set->url,
             "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/" NAME,
             (unsigned)set->sentinels[0].port, (unsigned)set->sentinels[1].port,
             (unsigned)set->sentinels[2].port);
    assert_true(wait_until(all_know_all, set, PATIENCE_MS));
}

void sentinel_set_release(struct sentinel_set *set)
{
    for (size_t i = 0; i < SENTINELS; i++)
        redis_server_release(&set->sentinels[i]);
    for (size_t i = 0; i < 2; i++)
        redis_server_release(&set->servers[i]);
    *set = (struct sentinel_set){0};
}

/* --- from one to the other ------------------------------------------------ */

struct change {
    struct sentinel_set *set;
    struct redis_server *before;
    struct redis_server *after;
};

static struct change change_of(struct sentinel_set *set)
{
    struct redis_server *before = sentinel_set_primary(set);
    return (struct change){
        .set = set,
        .before = before,
        .after = &set->servers[before == &set->servers[0]],
    };
}

static bool has_changed(void *argument)
{
    struct change *change = argument;
    for (size_t i = 0; i < SENTINELS; i++)
        if (change->set->sentinels[i].pid > 0 &&
            !names(&change->set->sentinels[i], change->after))
            return false;
    return has_role(change->after, "master");
}

/* A sentinel that got no answer from the replica in time gives up, and doesn't
 * try again by itself when nobody is dead. One that is still at it refuses. */
static bool has_failed_over(void *argument)
{
    struct change *change = argument;
    struct redis_server *sentinel = &change->set->sentinels[0];
    if (names(sentinel, change->before))
        freeReplyObject(redis_reply(sentinel, "SENTINEL FAILOVER " NAME));
    return has_changed(change);
}

bool sentinel_set_fail_over(struct sentinel_set *set)
{
    struct change change = change_of(set);
    return wait_until(has_failed_over, &change, PATIENCE_MS);
}

bool sentinel_set_kill_primary(struct sentinel_set *set)
{
    struct change change = change_of(set);
    for (size_t i = 0; i < SENTINELS; i++)
        redis_do(&set->sentinels[i],
                 "SENTINEL SET " NAME " down-after-milliseconds " DEAD_SOON_MS);
    redis_server_kill(change.before);
    return wait_until(has_changed, &change, PATIENCE_MS);
}

void sentinel_set_swap(struct sentinel_set *set)
{
    struct change change = change_of(set);
    redis_do(change.after, "REPLICAOF NO ONE");
    redis_do(change.before, "REPLICAOF 127.0.0.1 %d", (int)change.after->port);
}

void sentinel_set_teach(struct sentinel_set *set)
{
    struct redis_server *primary = sentinel_set_primary(set);
    for (size_t i = 0; i < SENTINELS; i++) {
        redis_do(&set->sentinels[i], "SENTINEL REMOVE " NAME);
        redis_do(&set->sentinels[i], "SENTINEL MONITOR " NAME " 127.0.0.1 %d 2",
                 (int)primary->port);
    }
}
