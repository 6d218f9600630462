#include "master/queue/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/queue/requeue.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* Processes that run jobs have an id of their own. */
#define PID_LEAST 1

static int make(struct orphans *orphans, const char *process,
                size_t process_len, const char *key, size_t key_len)
{
    *orphans = (struct orphans){.process = NULL};
    if (process_len == 0 || memchr(process, '\0', process_len))
        return -EINVAL;
    orphans->process = strndup(process, process_len);
    orphans->key = malloc(key_len + 1);
    int status = orphans->process && orphans->key ? 0 : -ENOMEM;
    if (status == 0) {
        memcpy(orphans->key, key, key_len);
        orphans->key[key_len] = '\0';
        status = owner_key_make(&orphans->lease, OWNER_LEASE_PREFIX,
                                orphans->process, NULL, 0);
    }
    if (status == 0)
        status = owner_queue_init(&orphans->owned, orphans->process,
                                  orphans->key, key_len);
    if (status < 0)
        orphans_release(orphans);
    return status;
}

int orphans_init(struct orphans *orphans, const char *member, size_t len)
{
    const char *space = memchr(member, ' ', len);
    if (!space)
        return -EINVAL;
    size_t process_len = (size_t)(space - member);
    return make(orphans, member, process_len, space + 1, len - process_len - 1);
}

int orphans_init_for(struct orphans *orphans, const char *process,
                     const char *key, size_t key_len)
{
    return make(orphans, process, strlen(process), key, key_len);
}

/* Steps over a prefix, and returns the length of "host:pid:random" behind it,
 * which a ':' follows; 0 when there is no such thing. */
static size_t process_len_of(const char *text, size_t len)
{
    size_t ncolons = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] == ':' && ++ncolons == 3)
            return i;
    return 0;
}

int orphans_init_by_key(struct orphans *orphans, const char *key, size_t len)
{
    static const char *const prefixes[] = {OWNER_INBOX_PREFIX,
                                           OWNER_INFLIGHT_PREFIX};
    for (size_t i = 0; i < 2; i++) {
        size_t skip = strlen(prefixes[i]);
        if (len <= skip || memcmp(key, prefixes[i], skip) != 0)
            continue;
        const char *process = key + skip;
        size_t process_len = process_len_of(process, len - skip);
        size_t before = skip + process_len + 1;
        if (process_len == 0)
            return -EINVAL;
        return make(orphans, process, process_len, key + before, len - before);
    }
    return -EINVAL;
}

void orphans_release(struct orphans *orphans)
{
    owner_queue_release(&orphans->owned);
    free(orphans->lease.bytes);
    free(orphans->process);
    free(orphans->key);
    *orphans = (struct orphans){.process = NULL};
}

int orphans_look(const struct orphans *orphans, struct coro_redis *redis,
                 char value[OWNER_VALUE_MAX], int64_t deadline_ms)
{
    struct coro_redis_reply *reply;
    int status =
        coro_redis_call(redis, 2, CORO_REDIS_ARGS("GET", orphans->lease.bytes),
                        deadline_ms, &reply);
    if (status < 0)
        return status;
    enum coro_redis_type type = coro_redis_reply_type(reply);
    if (type == CORO_REDIS_ERROR)
        status = -EREMOTEIO;
    else
        status = type == CORO_REDIS_NIL;
    snprintf(value, OWNER_VALUE_MAX, "%s",
             status == 0 ? coro_redis_reply_text(reply, NULL) : "");
    coro_redis_reply_free(reply);
    return status;
}

static long pid_of(const char *process)
{
    const char *colon = strchr(process, ':');
    return colon ? strtol(colon + 1, NULL, 10) : 0;
}

/* It has ended, and its parent may not have asked yet how. */
static bool is_zombie(long pid)
{
    char path[40], stat[256] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
    if (fd >= 0)
        close(fd);
    /* Its name stands in brackets and may hold brackets; the state follows. */
    const char *name_end = n > 0 ? strrchr(stat, ')') : NULL;
    return name_end && (name_end[1] == ' ' && name_end[2] == 'Z');
}

/* A number that was given to somebody else since is not known to be gone. */
static bool is_gone(long pid)
{
    return is_zombie(pid) || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
}

static bool is_of_host(const struct orphans *orphans, const char *process)
{
    size_t len = strcspn(process, ":");
    return strncmp(orphans->process, process, len) == 0 &&
           orphans->process[len] == ':';
}

bool orphans_are_local(const struct orphans *orphans, const char *value,
                       const char *process, const char *where)
{
    pid_t supervisor;
    long pid = pid_of(orphans->process);
    return owner_value_is_local(value, where, &supervisor) &&
           is_of_host(orphans, process) && pid > PID_LEAST && is_gone(pid) &&
           (supervisor == 0 || is_gone(supervisor));
}

int orphans_end_lease(const struct orphans *orphans, struct coro_redis *redis,
                      const char *value, int64_t deadline_ms)
{
    const char *argv[SCRIPT_WORDS + 2] = {
        [SCRIPT_WORDS] = orphans->lease.bytes,
        value,
    };
    struct coro_redis_reply *reply;
    int status = script_call(redis, &script_release, 1, SCRIPT_WORDS + 2, argv,
                             NULL, deadline_ms, &reply);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(reply) == CORO_REDIS_ERROR)
        status = -EREMOTEIO;
    coro_redis_reply_free(reply);
    return status;
}

static void tell(const struct orphans *orphans, int64_t njobs)
{
    const struct log_field fields[] = {
        log_string("process", orphans->process),
        log_bytes("queue", orphans->owned.key, orphans->owned.key_len),
    };
    log_line(LOG_LEVEL_WARN, NULL, fields, 2,
             "given back, of a process that is gone: %lld jobs",
             (long long)njobs);
}

int64_t orphans_give_back(const struct orphans *orphans,
                          struct coro_redis *redis, int64_t deadline_ms)
{
    struct requeue requeue = {
        .redis = redis,
        .lease = &orphans->lease,
        .queue = &orphans->owned,
        .are_orphans = true,
    };
    int64_t ninbox = requeue_inbox(&requeue, deadline_ms);
    int64_t ninflight =
        ninbox < 0 ? ninbox : requeue_inflight(&requeue, deadline_ms);
    if (ninflight == -EREMOTEIO) {
        const struct log_field fields[] = {
            log_string("process", orphans->process),
            log_bytes("queue", orphans->owned.key, orphans->owned.key_len),
        };
        log_line(LOG_LEVEL_WARN, NULL, fields, 2,
                 "jobs of a process that is gone can't be given back: %s",
                 requeue.why);
    }
    int64_t njobs = (ninbox > 0 ? ninbox : 0) + (ninflight > 0 ? ninflight : 0);
    if (njobs > 0)
        tell(orphans, njobs);
    return ninflight < 0 ? ninflight : njobs;
}
