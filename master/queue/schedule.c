#include "master/queue/schedule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "master/queue/answer.h"
#include "master/queue/score.h"
#include "master/queue/script.h"
#include "worker/log.h"

/* A leader looks at least so often. */
#define LOOK_EVERY_MS 1000

/* Who does not lead asks after ASK_MS, and up to that much more. */
#define ASK_MS        2000
#define ASK_JITTER_MS 2001

#define ANSWER_MS 10000

/* The pop that blocks: its time-out, and ours for its answer. */
#define WAKE_S         "5"
#define WAKE_ANSWER_MS 15000

/* Of each set, at one look. */
#define LOOK_MOST       "100"
#define LOOK_MOST_BYTES "1048576"

/* --- the connection that blocks ------------------------------------------- */

static void wake_up(struct schedule *schedule)
{
    schedule->is_woken = true;
    coro_wake_first(&schedule->waiters, 0);
}

/* Blocks once. Returns 0, or -ECANCELED. */
static int listen_once(struct schedule *schedule)
{
    struct coro_redis_reply *reply;
    int status = coro_redis_call(
        schedule->wake, 3, CORO_REDIS_ARGS("BRPOP", SCHEDULE_WAKE_KEY, WAKE_S),
        coro_after(WAKE_ANSWER_MS), &reply);
    if (status == -ETIMEDOUT)
        coro_redis_drop(schedule->wake, "no answer");
    if (status == -ENOMEM)
        return coro_sleep(
            trouble_note(&schedule->wake_trouble, strerror(ENOMEM)));
    if (status < 0)
        return status == -ECANCELED ? status : 0;
    enum answer answer = answer_of(reply);
    int64_t wait_ms = 0;
    if (answer == ANSWER_OK)
        trouble_over(&schedule->wake_trouble);
    else if (answer != ANSWER_AGAIN)
        wait_ms = trouble_note(&schedule->wake_trouble,
                               coro_redis_reply_text(reply, NULL));
    if (answer == ANSWER_RECONNECT)
        coro_redis_drop(schedule->wake, coro_redis_reply_text(reply, NULL));
    if (coro_redis_reply_type(reply) == CORO_REDIS_ARRAY)
        wake_up(schedule);
    coro_redis_reply_free(reply);
    return wait_ms > 0 ? coro_sleep(wait_ms) : 0;
}

static int listen_main(void *argument)
{
    struct schedule *schedule = argument;
    int status = 0;
    while (status == 0) {
        status = coro_redis_wait_up(schedule->wake, CORO_NEVER);
        if (status == 0)
            status = listen_once(schedule);
    }
    return status;
}

/* Without it we look once a second all the same. */
static void start_listening(struct schedule *schedule)
{
    struct coro_loop *loop = coro_loop_current();
    int status = coro_redis_start(
        loop,
        &(struct coro_redis_options){.address = schedule->address,
                                     .client_name = schedule->client_name,
                                     .after = schedule->redis},
        &schedule->wake);
    if (status == 0) {
        coro_group_init(&schedule->wake_group, loop);
        status = coro_group_spawn(
            &schedule->wake_group, listen_main, schedule,
            &(struct coro_spawn_options){.name = "wake", .large_stack = true});
        if (status == 0)
            return;
        coro_redis_stop(schedule->wake);
        schedule->wake = NULL;
    }
    trouble_note(&schedule->wake_trouble, strerror(-status));
}

static void stop_listening(struct schedule *schedule)
{
    if (!schedule->wake)
        return;
    coro_group_close(&schedule->wake_group);
    coro_redis_stop(schedule->wake);
    schedule->wake = NULL;
}

/* --- leading -------------------------------------------------------------- */

static void lead(struct schedule *schedule, int64_t asked_ms)
{
    schedule->leader_until_ms = asked_ms + SCHEDULE_LOCK_MS;
    if (!schedule->is_leader)
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "this process moves due jobs to their queues now");
    schedule->is_leader = true;
    if (!schedule->wake)
        start_listening(schedule);
}

static void follow(struct schedule *schedule)
{
    if (schedule->is_leader)
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0,
                 "another process moves due jobs to their queues now");
    schedule->is_leader = false;
    stop_listening(schedule);
}

bool schedule_is_leader(const struct schedule *schedule)
{
    return schedule->is_leader && coro_now_ms() < schedule->leader_until_ms;
}

/* --- looking -------------------------------------------------------------- */

/* How long until @score is due, at most until the next look is anyway. */
static int64_t until_score(const char *score)
{
    if (!*score)
        return LOOK_EVERY_MS;
    double us = strtod(score, NULL) * 1e6 - (double)coro_wall_us();
    if (!(us < LOOK_EVERY_MS * 1e3))
        return LOOK_EVERY_MS;
    return us > 0 ? (int64_t)ceil(us / 1e3) : 0;
}

/* Tells which sets could not be read, and which can again. */
static void tell_broken(struct schedule *schedule,
                        const struct coro_redis_reply *look)
{
    unsigned broken = 0;
    for (size_t i = 2; i + 1 < coro_redis_reply_nitems(look); i += 2) {
        int64_t set = -coro_redis_reply_integer(coro_redis_reply_item(look, i));
        if (set < 1 || set > DUE_NSETS)
            continue;
        broken |= 1U << set;
        if (!(schedule->broken_sets & (1U << set)))
            log_line(LOG_LEVEL_WARN, NULL, NULL, 0, "%s can't be read: %s",
                     due_sets[set - 1].key,
                     coro_redis_reply_text(coro_redis_reply_item(look, i + 1),
                                           NULL));
    }
    for (unsigned set = 1; set <= DUE_NSETS; set++)
        if (schedule->broken_sets & ~broken & (1U << set))
            log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s can be read again",
                     due_sets[set - 1].key);
    schedule->broken_sets = broken;
}

/* What the leader does with its look: returns as take_turn(). */
static int64_t use_look(struct schedule *schedule,
                        const struct coro_redis_reply *look)
{
    tell_broken(schedule, look);
    size_t nfound = 0;
    for (size_t i = 2; i < coro_redis_reply_nitems(look); i += 2)
        nfound += coro_redis_reply_integer(coro_redis_reply_item(look, i)) > 0;
    int64_t wait_ms = 0;
    if (nfound > 0)
        wait_ms = due_move(&schedule->due, look, 2);
    if (wait_ms != 0)
        return wait_ms < 0 ? wait_ms : coro_sleep(wait_ms);
    trouble_over(&schedule->trouble);
    if (nfound > 0 || schedule->is_woken)
        return 0;
    return until_score(
        coro_redis_reply_text(coro_redis_reply_item(look, 1), NULL));
}

static int ask(struct schedule *schedule, struct coro_redis_reply **ret_reply)
{
    char now[SCORE_BYTES], lock[24];
    const char *argv[SCRIPT_WORDS + 1 + DUE_NSETS + 5];
    int argc = SCRIPT_WORDS;
    snprintf(lock, sizeof lock, "%d", SCHEDULE_LOCK_MS);
    argv[argc++] = SCHEDULE_LEADER_KEY;
    for (size_t i = 0; i < schedule->nsets; i++)
        argv[argc++] = due_sets[i].key;
    argv[argc++] = schedule->process;
    argv[argc++] = lock;
    argv[argc++] = score_format(now, coro_wall_us());
    argv[argc++] = LOOK_MOST;
    argv[argc++] = LOOK_MOST_BYTES;
    return script_call(schedule->redis, &script_due, 1 + schedule->nsets, argc,
                       argv, NULL, coro_after(ANSWER_MS), ret_reply);
}

/* The sets that are shared with other programs may be forbidden to us: then
 * all of the script is, and is sent without them. */
static bool leaves_out_shared(struct schedule *schedule, const char *why)
{
    if (schedule->nsets == DUE_NOUR_SETS || !strstr(why, "NOPERM") ||
        !strstr(why, "key"))
        return false;
    schedule->nsets = DUE_NOUR_SETS;
    if (!schedule->is_told_forbidden)
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "the sets retry and schedule, which other programs use, are "
                 "forbidden to us: only corq's own are watched");
    schedule->is_told_forbidden = true;
    return true;
}

/* Returns as take_turn(). */
static int64_t handle_error(struct schedule *schedule,
                            const struct coro_redis_reply *reply)
{
    const char *why = coro_redis_reply_text(reply, NULL);
    enum answer answer = answer_of(reply);
    if (answer == ANSWER_QUEUE && leaves_out_shared(schedule, why))
        return 0;
    if (answer == ANSWER_RECONNECT)
        coro_redis_drop(schedule->redis, why);
    return coro_sleep(trouble_note(&schedule->trouble, why));
}

static int64_t handle_reply(struct schedule *schedule, int64_t asked_ms,
                            const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_nitems(reply) == 0)
        return handle_error(schedule, reply);
    if (coro_redis_reply_integer(coro_redis_reply_item(reply, 0)) == 0) {
        follow(schedule);
        trouble_over(&schedule->trouble);
        return ASK_MS + (int64_t)coro_rng_below(&schedule->rng, ASK_JITTER_MS);
    }
    lead(schedule, asked_ms);
    return use_look(schedule, reply);
}

/* What may be used is found out anew on each connection: who asks may by now
 * be allowed to. */
static void note_connection(struct schedule *schedule)
{
    uint64_t generation = coro_redis_generation(schedule->redis);
    if (generation != schedule->generation)
        schedule->nsets = DUE_NSETS;
    schedule->generation = generation;
}

/* Asks once, and moves what is due. Returns for how many ms there is nothing
 * to do, or -ECANCELED. */
static int64_t take_turn(struct schedule *schedule)
{
    int status = coro_redis_wait_up(schedule->redis, CORO_NEVER);
    if (status < 0)
        return status;
    note_connection(schedule);
    schedule->is_woken = false;
    int64_t asked_ms = coro_now_ms();
    struct coro_redis_reply *reply;
    status = ask(schedule, &reply);
    if (status == -ECANCELED)
        return status;
    /* A lost connection is told, and waited for, by itself. */
    if (status == -ECONNRESET || status == -ENOTCONN)
        return 0;
    if (status < 0)
        return coro_sleep(trouble_note(&schedule->trouble, strerror(-status)));
    int64_t wait_ms = handle_reply(schedule, asked_ms, reply);
    coro_redis_reply_free(reply);
    return wait_ms;
}

static int run(struct schedule *schedule)
{
    while (!schedule->is_stopping) {
        int64_t wait_ms = take_turn(schedule);
        int status = wait_ms < 0 ? (int)wait_ms : 0;
        if (wait_ms > 0 && !schedule->is_woken)
            status = coro_park(&schedule->waiters, coro_after(wait_ms));
        if (status == -ECANCELED)
            return status;
    }
    return 0;
}

static int schedule_main(void *argument)
{
    struct schedule *schedule = argument;
    schedule->task = coro_task_current();
    int status = run(schedule);
    stop_listening(schedule);
    schedule->is_leader = false;
    schedule->task = NULL;
    return status;
}

/* --- starting and stopping ------------------------------------------------ */

int schedule_start(struct schedule *schedule,
                   const struct schedule_options *options)
{
    *schedule = (struct schedule){
        .redis = options->redis,
        .address = options->address,
        .client_name = options->client_name,
        .process = options->process,
        .nsets = DUE_NSETS,
        .due = {.redis = options->redis, .trouble = &schedule->trouble},
    };
    list_init(&schedule->waiters);
    trouble_init(&schedule->trouble, "moving due jobs");
    trouble_init(&schedule->wake_trouble, "waiting for news of jobs");
    coro_rng_init_random(&schedule->rng);
    return coro_group_spawn(
        options->group, schedule_main, schedule,
        &(struct coro_spawn_options){.name = "schedule", .large_stack = true});
}

static int stop_task(struct schedule *schedule, int64_t deadline_ms)
{
    schedule->is_stopping = true;
    if (!schedule->task)
        return 0;
    struct coro_task *task = coro_task_ref(schedule->task);
    coro_task_cancel(task);
    int status = coro_task_wait(task, deadline_ms, NULL);
    coro_task_unref(task);
    return status;
}

int schedule_stop(struct schedule *schedule, int64_t deadline_ms)
{
    int status = stop_task(schedule, deadline_ms);
    if (status < 0)
        return status;
    /* Also when we don't lead: our last question may have been heard. */
    const char *argv[SCRIPT_WORDS + 2];
    argv[SCRIPT_WORDS] = SCHEDULE_LEADER_KEY;
    argv[SCRIPT_WORDS + 1] = schedule->process;
    struct coro_redis_reply *reply;
    status = script_call(schedule->redis, &script_resign, 1, SCRIPT_WORDS + 2,
                         argv, NULL, deadline_ms, &reply);
    if (status == 0)
        coro_redis_reply_free(reply);
    return status;
}
