/*
 * The master takes jobs from the list "queue" in Redis, in the main thread; the
 * worker is a loop in a daemon thread and runs as many at once as there are.
 *
 *     master_worker [UNIT [URL [--brpop]]]
 *
 * Two ways of taking, as in the notes that this follows: ask, and when there is
 * nothing rest for a unit,
 *
 *     task = rcon.rpop("queue")                    coro_redis_call()
 *     if not task: time.sleep(1); continue         coro_sleep()
 *
 * or, with --brpop, let Redis answer when there is something. Each job is a
 * number of units to wait:
 *
 *     asyncio.run_coroutine_threadsafe(            coro_submit()
 *         do_some_work(int(task)), new_loop)
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "examples/example.h"

struct master {
    int64_t unit_ms;
    struct coro_redis_address address;
    bool is_blocking;
    struct coro_loop *worker;
};

struct job {
    int nunits;
    int64_t unit_ms;
};

static int do_some_work(void *argument)
{
    struct job job = *(struct job *)argument;
    free(argument);
    printf("Waiting %d\n", job.nunits);
    int status = coro_sleep(job.nunits * job.unit_ms);
    if (status == 0)
        printf("Done after %ds\n", job.nunits);
    return status;
}

/* Hands the job over to the worker's thread. */
static int submit(const struct master *master, const char *text)
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct job){(int)strtol(text, NULL, 10), master->unit_ms};
    int status = coro_submit(master->worker, do_some_work, job, NULL);
    if (status < 0)
        free(job);
    return status;
}

/* Takes one job, or none after a rest. */
static int take(const struct master *master, struct coro_redis *redis)
{
    struct coro_redis_reply *reply;
    int status =
        master->is_blocking
            ? coro_redis_call(redis, 3, CORO_REDIS_ARGS("BRPOP", "queue", "0"),
                              CORO_NEVER, &reply)
            : coro_redis_call(redis, 2, CORO_REDIS_ARGS("RPOP", "queue"),
                              CORO_NEVER, &reply);
    if (status < 0)
        return status;
    const struct coro_redis_reply *item = coro_redis_reply_nitems(reply) == 2
                                              ? coro_redis_reply_item(reply, 1)
                                              : reply;
    if (coro_redis_reply_type(item) == CORO_REDIS_STRING)
        status = submit(master, coro_redis_reply_text(item, NULL));
    else
        status = coro_sleep(master->unit_ms);
    coro_redis_reply_free(reply);
    return status;
}

static int take_for_ever(void *argument)
{
    const struct master *master = argument;
    struct coro_redis *redis;
    const struct coro_redis_options options = {.address = &master->address};
    int status = coro_redis_start(coro_loop_current(), &options, &redis);
    if (status < 0)
        return status;
    status = coro_redis_wait_up(redis, CORO_NEVER);
    while (status == 0)
        status = take(master, redis);
    coro_redis_stop(redis);
    return status;
}

static void *run_loop(void *loop)
{
    coro_loop_run_forever(loop);
    return NULL;
}

/* The main thread, beside the worker's; returns the exit status. */
static int run(struct master *master)
{
    pthread_t thread;
    if (coro_loop_new(NULL, &master->worker) < 0)
        return 1;
    int status = 1;
    if (pthread_create(&thread, NULL, run_loop, master->worker) == 0) {
        status = coro_main(take_for_ever, master);
        coro_loop_stop(master->worker);
        pthread_join(thread, NULL);
    }
    /* What still runs is cancelled when its loop is freed. */
    printf("cancelled %zu\n", coro_loop_free(master->worker));
    return status;
}

int main(int argc, char **argv)
{
    struct master master = {
        .unit_ms = example_unit_ms(argc, argv),
        .is_blocking = argc > 3 && strcmp(argv[3], "--brpop") == 0,
    };
    char why[CORO_REDIS_URL_WHY_MAX];
    if (coro_redis_url_parse(argc > 2 ? argv[2] : "redis://127.0.0.1",
                             &master.address, why, sizeof why) < 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    int status = run(&master);
    coro_redis_address_release(&master.address);
    return status;
}
