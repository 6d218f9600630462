#include "master/queue/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/requeue.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* How often in its time the lease is refreshed. */
#define REFRESHES 4

#define ANSWER_MS 10000

void owner_format_attempt(char text[OWNER_ATTEMPT_BYTES], uint64_t attempt)
{
    for (size_t i = OWNER_ATTEMPT_BYTES - 1; i-- > 0; attempt /= 10)
        text[i] = (char)('0' + attempt % 10);
    text[OWNER_ATTEMPT_BYTES - 1] = '\0';
}

bool owner_is_attempt(const char *text)
{
    size_t ndigits = strspn(text, "0123456789");
    return ndigits == OWNER_ATTEMPT_BYTES - 1 && text[ndigits] == '\0';
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* They are of one width, so as text they are in the order of numbers. */
void owner_sort_attempts(const char **attempts, size_t nattempts)
{
    qsort(attempts, nattempts, sizeof *attempts, by_text);
}

/* --- keys ----------------------------------------------------------------- */

int owner_key_make(struct owner_key *ret, const char *prefix,
                   const char *process, const char *key, size_t key_len)
{
    size_t prefix_len = strlen(prefix), process_len = strlen(process);
    size_t len = prefix_len + process_len + (key ? 1 + key_len : 0);
    char *bytes = malloc(len + 1);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, prefix, prefix_len);
    memcpy(bytes + prefix_len, process, process_len);
    if (key) {
        bytes[prefix_len + process_len] = ':';
        memcpy(bytes + prefix_len + process_len + 1, key, key_len);
    }
    bytes[len] = '\0';
    *ret = (struct owner_key){bytes, len};
    return 0;
}

static int make_member(struct owner_queue *queue, const char *process)
{
    int status =
        owner_key_make(&queue->member, "", process, queue->key, queue->key_len);
    if (status == 0)
        queue->member.bytes[strlen(process)] = ' ';
    return status;
}

int owner_queue_init(struct owner_queue *ret, const char *process,
                     const char *key, size_t key_len)
{
    *ret = (struct owner_queue){.key = key, .key_len = key_len};
    int status =
        owner_key_make(&ret->inbox, OWNER_INBOX_PREFIX, process, key, key_len);
    if (status == 0)
        status = owner_key_make(&ret->inflight, OWNER_INFLIGHT_PREFIX, process,
                                key, key_len);
    if (status == 0)
        status = make_member(ret, process);
    if (status < 0)
        owner_queue_release(ret);
    return status;
}

void owner_queue_release(struct owner_queue *queue)
{
    free(queue->inbox.bytes);
    free(queue->inflight.bytes);
    free(queue->member.bytes);
    *queue = (struct owner_queue){.key = NULL};
}

struct owner_queue *owner_queue(struct owner *owner,
                                const struct job_queue *queue)
{
    return &owner->queues[queue - owner->first_queue];
}

bool owner_has_ghosts(const struct owner *owner)
{
    for (size_t i = 0; i < owner->nqueues; i++)
        if (coro_now_ms() < owner->queues[i].ghost_until_ms)
            return true;
    return false;
}

/* --- birth and death ------------------------------------------------------ */

void owner_learn_where(char where[OWNER_WHERE_MAX])
{
    char boot[37] = "", space[32] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t nboot = fd < 0 ? -1 : read(fd, boot, sizeof boot - 1);
    if (fd >= 0)
        close(fd);
    ssize_t nspace = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    const char *number = strchr(space, '[');
    where[0] = '\0';
    if (nboot == (ssize_t)sizeof boot - 1 && nspace > 0 && number)
        snprintf(where, OWNER_WHERE_MAX, "%s.%.*s", boot,
                 (int)strcspn(number + 1, "]"), number + 1);
}

int owner_init(struct owner *owner, const struct owner_options *options)
{
    *owner = (struct owner){
        .redis = options->redis,
        .process = options->process,
        .lease_ms = options->lease_ms,
        .supervisor = options->supervisor,
        .next_attempt = 1,
        .first_queue = options->queues,
        .on_held = options->on_held,
        .argument = options->argument,
    };
    list_init(&owner->keeper_waiters);
    list_init(&owner->held_waiters);
    trouble_init(&owner->trouble, "holding the lease");
    owner_learn_where(owner->where);
    int status = owner_key_make(&owner->lease, OWNER_LEASE_PREFIX,
                                owner->process, NULL, 0);
    owner->queues = calloc(options->nqueues, sizeof *owner->queues);
    if (!owner->queues)
        status = -ENOMEM;
    while (status == 0 && owner->nqueues < options->nqueues) {
        const struct job_queue *queue = &options->queues[owner->nqueues];
        status = owner_queue_init(&owner->queues[owner->nqueues],
                                  owner->process, queue->key, queue->key_len);
        owner->nqueues += status == 0;
    }
    if (status < 0)
        owner_release(owner);
    return status;
}

void owner_release(struct owner *owner)
{
    for (size_t i = 0; i < owner->nqueues; i++)
        owner_queue_release(&owner->queues[i]);
    free(owner->queues);
    free(owner->lease.bytes);
    owner->queues = NULL;
    owner->lease.bytes = NULL;
    owner->nqueues = 0;
}

/* --- the lease's value ---------------------------------------------------- */

static void format_value(struct owner *owner)
{
    int len = snprintf(owner->value, sizeof owner->value, "%llu:%s",
                       (unsigned long long)owner->number, owner->where);
    if (owner->supervisor > 0)
        snprintf(owner->value + len, sizeof owner->value - (size_t)len, ":%ld",
                 (long)owner->supervisor);
}

bool owner_value_is_local(const char *value, const char *where,
                          pid_t *ret_supervisor)
{
    const char *colon = strchr(value, ':');
    size_t len = strlen(where);
    if (!colon || len == 0 || strncmp(colon + 1, where, len) != 0)
        return false;
    const char *rest = colon + 1 + len;
    *ret_supervisor = 0;
    if (*rest == '\0')
        return true;
    char *end;
    long pid = *rest == ':' ? strtol(rest + 1, &end, 10) : 0;
    /* What else a version to come may say there is not known here. */
    if (pid <= 0 || pid > INT_MAX || *end != '\0')
        return false;
    *ret_supervisor = (pid_t)pid;
    return true;
}

/* --- taking and keeping --------------------------------------------------- */

bool owner_is_current(const struct owner *owner)
{
    return owner->is_held && coro_redis_is_up(owner->redis) &&
           owner->generation == coro_redis_generation(owner->redis);
}

void owner_nudge(struct owner *owner)
{
    while (coro_wake_first(&owner->keeper_waiters, 0))
        ;
}

void owner_note_lost(struct owner *owner)
{
    owner->is_held = false;
    owner_nudge(owner);
}

int owner_wait_held(struct owner *owner, int64_t deadline_ms)
{
    while (!owner_is_current(owner)) {
        owner_nudge(owner);
        int status = coro_park(&owner->held_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

static void note_held(struct owner *owner, uint64_t generation)
{
    trouble_over(&owner->trouble);
    owner->is_held = true;
    owner->generation = generation;
    owner->must_reconcile = true;
    /* A pop of a connection that is gone may have filled them. */
    for (size_t i = 0; i < owner->nqueues; i++)
        owner->queues[i].ninbox++;
    while (coro_wake_first(&owner->held_waiters, 0))
        ;
    owner->on_held(owner->argument);
}

/* What an answer is worth: 0, or how long to wait before the next try. */
static int64_t judge(struct owner *owner, int status,
                     const struct coro_redis_reply *reply)
{
    if (status < 0)
        return trouble_note(&owner->trouble, strerror(-status));
    enum answer answer = answer_of(reply);
    if (answer == ANSWER_OK)
        return 0;
    const char *why = coro_redis_reply_text(reply, NULL);
    if (answer == ANSWER_RECONNECT)
        coro_redis_drop(owner->redis, why);
    return trouble_note(&owner->trouble, why);
}

/* The words of lease.lua. Returns how many, with the arrays on the heap. */
static int word_lease(struct owner *owner, const char *lease_ms,
                      const char ***ret_argv, size_t **ret_lens)
{
    size_t nwords = SCRIPT_WORDS + 4 + owner->nqueues;
    const char **argv = calloc(nwords, sizeof *argv);
    size_t *lens = calloc(nwords, sizeof *lens);
    *ret_argv = argv;
    *ret_lens = lens;
    if (!argv || !lens)
        return -ENOMEM;
    int argc = SCRIPT_WORDS;
    argv[argc] = owner->lease.bytes;
    lens[argc++] = owner->lease.len;
    argv[argc] = OWNER_SET_KEY;
    lens[argc++] = SIZE_MAX;
    argv[argc] = owner->value;
    lens[argc++] = SIZE_MAX;
    argv[argc] = lease_ms;
    lens[argc++] = SIZE_MAX;
    for (size_t i = 0; i < owner->nqueues; i++) {
        argv[argc] = owner->queues[i].member.bytes;
        lens[argc++] = owner->queues[i].member.len;
    }
    return argc;
}

/* Takes the lease with a new number. Returns 0, how long to wait before the
 * next try, or -ECANCELED. */
static int64_t take(struct owner *owner)
{
    char lease_ms[24];
    snprintf(lease_ms, sizeof lease_ms, "%lld", (long long)owner->lease_ms);
    owner->is_held = false;
    owner->number++;
    format_value(owner);
    uint64_t generation = coro_redis_generation(owner->redis);
    const char **argv;
    size_t *lens;
    struct coro_redis_reply *reply = NULL;
    int argc = word_lease(owner, lease_ms, &argv, &lens);
    int status = argc < 0
                     ? argc
                     : script_call(owner->redis, &script_lease, 2, argc, argv,
                                   lens, coro_after(ANSWER_MS), &reply);
    free(argv);
    free(lens);
    if (status == -ECANCELED)
        return status;
    int64_t wait_ms = judge(owner, status, reply);
    if (wait_ms == 0 && owner->has_had && coro_redis_reply_integer(reply) == 0)
        log_line(LOG_LEVEL_WARN, "redis", NULL, 0,
                 "the lease of this process ran out before it was refreshed: "
                 "its jobs may be run by another process as well; it was taken "
                 "anew");
    if (wait_ms == 0)
        owner->has_had = true;
    if (wait_ms == 0 && generation == coro_redis_generation(owner->redis))
        note_held(owner, generation);
    coro_redis_reply_free(reply);
    return wait_ms;
}

/* Refreshes the lease. As take(). */
static int64_t refresh(struct owner *owner)
{
    char lease_ms[24];
    snprintf(lease_ms, sizeof lease_ms, "%lld", (long long)owner->lease_ms);
    struct coro_redis_reply *reply = NULL;
    int status = coro_redis_call(
        owner->redis, 3,
        CORO_REDIS_ARGS("PEXPIRE", owner->lease.bytes, lease_ms),
        coro_after(owner->lease_ms), &reply);
    if (status == -ECANCELED)
        return status;
    int64_t wait_ms = judge(owner, status, reply);
    if (wait_ms == 0)
        trouble_over(&owner->trouble);
    if (wait_ms == 0 && coro_redis_reply_integer(reply) == 0)
        owner->is_held = false;
    coro_redis_reply_free(reply);
    return wait_ms;
}

static int keep(void *argument)
{
    struct owner *owner = argument;
    for (;;) {
        if (coro_redis_wait_up(owner->redis, CORO_NEVER) < 0)
            return -ECANCELED;
        int64_t wait_ms =
            owner_is_current(owner) ? refresh(owner) : take(owner);
        if (wait_ms == -ECANCELED)
            return -ECANCELED;
        bool is_fine = wait_ms == 0;
        if (is_fine && !owner_is_current(owner))
            continue;
        int status = is_fine
                         ? coro_park(&owner->keeper_waiters,
                                     coro_after(owner->lease_ms / REFRESHES))
                         : coro_sleep(wait_ms);
        if (status == -ECANCELED)
            return status;
    }
}

int owner_start(struct owner *owner, struct coro_loop *loop)
{
    coro_group_init(&owner->tasks, loop);
    return coro_group_spawn(
        &owner->tasks, keep, owner,
        &(struct coro_spawn_options){.name = "lease", .large_stack = true});
}

void owner_stop(struct owner *owner)
{
    coro_group_close(&owner->tasks);
}

/* --- leaving -------------------------------------------------------------- */

static int give_up_lease(struct owner *owner, int64_t deadline_ms)
{
    const char *argv[SCRIPT_WORDS + 2] = {
        [SCRIPT_WORDS] = owner->lease.bytes,
        [SCRIPT_WORDS + 1] = owner->value,
    };
    struct coro_redis_reply *reply;
    int status = script_call(owner->redis, &script_release, 1, SCRIPT_WORDS + 2,
                             argv, NULL, deadline_ms, &reply);
    if (status == 0)
        coro_redis_reply_free(reply);
    return status;
}

/* What is left of one queue: an answer that was lost on its way here may have
 * left jobs that nobody knows. */
static int64_t leave_queue(struct owner *owner, struct owner_queue *queue,
                           int64_t deadline_ms)
{
    struct requeue requeue = {
        .redis = owner->redis,
        .lease = &owner->lease,
        .queue = queue,
    };
    int64_t ninbox = requeue_inbox(&requeue, deadline_ms);
    if (ninbox < 0)
        return ninbox;
    int64_t ninflight = requeue_inflight(&requeue, deadline_ms);
    return ninflight < 0 ? ninflight : ninbox + ninflight;
}

int owner_leave(struct owner *owner, bool is_clean, int64_t deadline_ms)
{
    int64_t nback = 0, failure = 0;
    for (size_t i = 0; i < owner->nqueues; i++) {
        int64_t n = leave_queue(owner, &owner->queues[i], deadline_ms);
        if (n < 0)
            failure = n;
        else
            nback += n;
    }
    int status = give_up_lease(owner, deadline_ms);
    owner->is_held = false;
    for (size_t i = 0; is_clean && status == 0 && i < owner->nqueues; i++)
        requeue_forget(owner->redis, &owner->lease, &owner->queues[i],
                       deadline_ms);
    if (failure == 0 && status < 0)
        failure = status;
    return failure < 0 ? (int)failure : (int)nback;
}
