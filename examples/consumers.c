/*
 * Ten coroutines of one thread, each of which takes its jobs from Redis itself,
 * until Ctrl-C.
 *
 *     consumers [UNIT [URL]]
 *
 * Without master and worker: the endless loop that takes jobs is moved into the
 * coroutine. All ten share one connection, which sends what they ask in one
 * turn as one message.
 *
 *     for i in range(10):
 *         asyncio.ensure_future(worker())         coro_group_spawn()
 *     except KeyboardInterrupt:
 *         asyncio.gather(*all_tasks).cancel()     coro_group_close()
 */
#include "examples/example.h"

#define NCONSUMERS 10

struct program {
    int64_t unit_ms;
    struct coro_redis_address address;
    struct coro_redis *redis;
    int nended;
};

static int work(const struct program *program, const char *text)
{
    printf("Wait  %s\n", text);
    int status = coro_sleep(strtol(text, NULL, 10) * program->unit_ms);
    if (status == 0)
        printf("Done  %s\n", text);
    return status;
}

static int take_one(const struct program *program)
{
    struct coro_redis_reply *reply;
    int status =
        coro_redis_call(program->redis, 2, CORO_REDIS_ARGS("RPOP", "queue"),
                        CORO_NEVER, &reply);
    if (status < 0)
        return status;
    if (coro_redis_reply_type(reply) == CORO_REDIS_STRING)
        status = work(program, coro_redis_reply_text(reply, NULL));
    else
        status = coro_sleep(program->unit_ms);
    coro_redis_reply_free(reply);
    return status;
}

static int consume(void *argument)
{
    struct program *program = argument;
    int status = 0;
    puts("Start worker");
    while (status == 0)
        status = take_one(program);
    program->nended++;
    return status;
}

static int run_consumers(struct program *program)
{
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    int status = coro_redis_wait_up(program->redis, CORO_NEVER);
    for (int i = 0; i < NCONSUMERS && status == 0; i++)
        status = coro_group_spawn(&group, consume, program, NULL);
    if (status == 0)
        status = coro_group_wait(&group, CORO_NEVER); /* -ECANCELED: Ctrl-C */
    coro_group_close(&group);
    printf("%d workers ended\n", program->nended);
    return status;
}

static int body(void *argument)
{
    struct program *program = argument;
    const struct coro_redis_options options = {.address = &program->address};
    int status =
        coro_redis_start(coro_loop_current(), &options, &program->redis);
    if (status < 0)
        return status;
    status = run_consumers(program);
    coro_redis_stop(program->redis);
    return status;
}

int main(int argc, char **argv)
{
    struct program program = {.unit_ms = example_unit_ms(argc, argv)};
    char why[CORO_REDIS_URL_WHY_MAX];
    if (coro_redis_url_parse(argc > 2 ? argv[2] : "redis://127.0.0.1",
                             &program.address, why, sizeof why) < 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    int status = coro_main(body, &program);
    coro_redis_address_release(&program.address);
    return status;
}
