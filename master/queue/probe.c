#include "master/queue/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/queue/owner.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* Copies the value of `name:` in @info to @value; empty when it is not there. */
static void find(const char *info, const char *name, char *value, size_t size)
{
    value[0] = '\0';
    size_t name_len = strlen(name);
    for (const char *line = info; line && *line;) {
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *text = line + name_len + 1;
            snprintf(value, size, "%.*s", (int)strcspn(text, "\r\n"), text);
            return;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
}

static bool is_one(const char *info, const char *name)
{
    char value[8];
    find(info, name, value, sizeof value);
    return strcmp(value, "1") == 0;
}

/* Valkey began where Redis had long been new enough. */
static void judge_version(const char *version, struct probe *probe)
{
    char *end;
    long major = strtol(version, &end, 10);
    long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    if (end == version)
        return;
    probe->is_too_old = major < 5;
    probe->is_old = major < 6 || (major == 6 && minor < 2);
}

void probe_read(const char *info, struct probe *probe)
{
    char version[32], mode[16], role[16], snapshots[16];
    find(info, "valkey_version", version, sizeof version);
    bool is_valkey = version[0] != '\0';
    if (!is_valkey)
        find(info, "redis_version", version, sizeof version);
    if (version[0])
        snprintf(probe->version, sizeof probe->version, "%s %s",
                 is_valkey ? "Valkey" : "Redis", version);
    if (!is_valkey)
        judge_version(version, probe);
    find(info, "redis_mode", mode, sizeof mode);
    probe->is_cluster =
        is_one(info, "cluster_enabled") || strcmp(mode, "cluster") == 0;
    find(info, "role", role, sizeof role);
    probe->is_replica = strcmp(role, "slave") == 0;
    find(info, "aof_enabled", snapshots, sizeof snapshots);
    probe->snapshots_only = strcmp(snapshots, "0") == 0;
    find(info, "maxmemory_policy", probe->eviction, sizeof probe->eviction);
    if (strcmp(probe->eviction, "noeviction") == 0)
        probe->eviction[0] = '\0';
}

int probe_server(struct coro_redis *redis, int64_t deadline_ms,
                 struct probe *ret_probe)
{
    *ret_probe = (struct probe){.version = ""};
    struct coro_redis_reply *reply;
    int status =
        coro_redis_call(redis, 1, CORO_REDIS_ARGS("INFO"), deadline_ms, &reply);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(reply) == CORO_REDIS_STRING)
        probe_read(coro_redis_reply_text(reply, NULL), ret_probe);
    coro_redis_reply_free(reply);
    return 0;
}

/* The script that takes jobs, for a lease that nobody has. */
static int try_claim(struct coro_redis *redis, const char *process,
                     const char *key, int64_t deadline_ms,
                     struct coro_redis_reply **ret_reply)
{
    struct owner_key lease;
    struct owner_queue queue;
    int status = owner_key_make(&lease, OWNER_LEASE_PREFIX, process, NULL, 0);
    if (status < 0)
        return status;
    status = owner_queue_init(&queue, process, key, strlen(key));
    if (status == 0) {
        const char *argv[SCRIPT_WORDS + 9] = {
            [SCRIPT_WORDS] = lease.bytes,
            queue.inbox.bytes,
            queue.inflight.bytes,
            key,
            "0:probe",
            "1000",
            "0",
            "0",
            "0",
        };
        status = script_call(redis, &script_claim, 4, SCRIPT_WORDS + 9, argv,
                             NULL, deadline_ms, ret_reply);
        owner_queue_release(&queue);
    }
    free(lease.bytes);
    return status;
}

int probe_queue(struct coro_redis *redis, const char *process, const char *key,
                int64_t deadline_ms, char *why, size_t why_size)
{
    struct coro_redis_reply *reply;
    int status =
        process ? try_claim(redis, process, key, deadline_ms, &reply)
                : coro_redis_call(redis, 3, CORO_REDIS_ARGS("RPOP", key, "0"),
                                  deadline_ms, &reply);
    if (status < 0)
        return status == -ECANCELED ? status : 0;
    const char *text = coro_redis_reply_text(reply, NULL);
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR &&
        strstr(text, "NOPERM")) {
        snprintf(why, why_size, "%s", text);
        status = -EACCES;
    }
    coro_redis_reply_free(reply);
    return status;
}

void probe_warn(const struct probe *probe)
{
    if (probe->is_old)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "%s is old: corq works with it, but waits for jobs by "
                 "BRPOPLPUSH and takes several at most once by single "
                 "commands; 6.2 or newer is better",
                 probe->version);
    if (probe->is_replica)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "the server is a replica: no job can be taken from it until "
                 "it becomes a primary");
    if (probe->snapshots_only)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "the server keeps no append-only file (appendonly no): when "
                 "it restarts, jobs since its last snapshot are lost, and "
                 "jobs already run may come back");
    if (probe->eviction[0])
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "the server may throw jobs away when its memory is full "
                 "(maxmemory-policy %s); set it to noeviction",
                 probe->eviction);
}
