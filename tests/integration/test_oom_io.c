/*
 * Out of memory, at every allocation in turn: names, descriptors, and
 * connections to a Redis that is there, found directly or by sentinels.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/io/fd.h"
#include "coro/io/redis.h"
#include "coro/io/resolve.h"
#include "coro/sched/inbox.h"
#include "coro/sched/schedule.h"
#include "tests/support/oom.h"
#include "tests/support/redis_server.h"
#include "tests/support/sentinel_set.h"

#define SOON coro_after(60000)

struct scene {
    coro_task_fn *body;
    struct coro_redis_address address;
};

/* Runs the body in a loop, and waits until nobody else has it any more: a
 * look-up's thread gives its reference back a little later. */
static int in_loop(void *argument)
{
    struct scene *scene = argument;
    struct coro_loop *loop;
    struct coro_task *task;
    int result = 0;
    int status = coro_loop_new(NULL, &loop);
    if (status < 0)
        return status;
    coro_loop_ref(loop);
    status =
        coro_spawn(loop, scene->body, scene,
                   &(struct coro_spawn_options){.large_stack = true}, &task);
    if (status == 0) {
        status = coro_loop_run_until_complete(loop, task, &result);
        coro_task_unref(task);
    }
    coro_loop_free(loop);
    while (atomic_load(&loop->nrefs) > 1)
        sched_yield();
    coro_loop_unref(loop);
    return status < 0 ? status : result;
}

static void sweep(struct scene *scene)
{
    assert_true(oom_sweep(in_loop, scene, OOM_ONE) > 0);
    assert_true(oom_sweep(in_loop, scene, OOM_REST) > 0);
}

/* --- names and descriptors ------------------------------------------------ */

static int look_up(void *argument)
{
    struct coro_addresses addresses;
    (void)argument;
    /* A name to the resolver, which has to ask nobody. */
    int status = coro_resolve("127.1", SOON, &addresses);
    if (status < 0)
        return status;
    return addresses.naddresses == 1 ? 0 : -EPROTO;
}

static void a_name_is_looked_up_or_not(void **state)
{
    (void)state;
    struct scene scene = {.body = look_up};
    sweep(&scene);
}

static int wait_for_pipe(void *argument)
{
    int ends[2];
    (void)argument;
    if (pipe(ends) < 0)
        return -errno;
    int status = coro_fd_wait(ends[1], true, SOON);
    close(ends[0]);
    close(ends[1]);
    return status;
}

static void a_descriptor_is_waited_for_or_not(void **state)
{
    (void)state;
    struct scene scene = {.body = wait_for_pipe};
    sweep(&scene);
}

/* --- Redis ---------------------------------------------------------------- */

/* What the first attempt comes to: a later one would have enough memory. */
static void on_event(void *argument, const struct coro_redis_event *event)
{
    if (event->state == CORO_REDIS_UP)
        coro_future_set(argument, 0, NULL);
    if (event->state == CORO_REDIS_DOWN)
        coro_future_set(argument, -ENOMEM, NULL);
}

static int call_long(struct coro_redis *redis)
{
    const char *words[40] = {"DEL"};
    struct coro_redis_reply *reply;
    for (size_t i = 1; i < 40; i++)
        words[i] = "nothing";
    int status = coro_redis_call(redis, 40, words, NULL, SOON, &reply);
    if (status < 0)
        return status;
    bool is_right = coro_redis_reply_type(reply) == CORO_REDIS_INTEGER;
    coro_redis_reply_free(reply);
    return is_right ? 0 : -EPROTO;
}

static int call_many(struct coro_redis *redis)
{
    const char *ping[] = {"PING"};
    const char *lrange[] = {"LRANGE", "list", "0", "-1"};
    const struct coro_redis_command commands[] = {{.argc = 1, .argv = ping},
                                                  {.argc = 4, .argv = lrange}};
    struct coro_redis_reply *replies[2];
    int status = coro_redis_pipeline(redis, commands, 2, SOON, replies);
    if (status < 0)
        return status;
    bool is_right = coro_redis_reply_nitems(replies[1]) == 3;
    coro_redis_reply_free(replies[0]);
    coro_redis_reply_free(replies[1]);
    return is_right ? 0 : -EPROTO;
}

static int use_redis(void *argument)
{
    struct scene *scene = argument;
    struct coro_future first;
    struct coro_redis *redis = NULL;
    const struct coro_redis_options options = {.address = &scene->address,
                                               .client_name = "name",
                                               .on_event = on_event,
                                               .argument = &first};
    coro_future_init(&first);
    int status = coro_redis_start(coro_loop_current(), &options, &redis);
    if (status < 0)
        return status;
    status = coro_future_await(&first, SOON);
    if (status == 0)
        status = call_long(redis);
    if (status == 0)
        status = call_many(redis);
    coro_redis_stop(redis);
    return status;
}

static void a_connection_and_its_calls_work_or_say_so(void **state)
{
    (void)state;
    static char host[] = "127.0.0.1";
    struct redis_server server = {0};
    redis_server_start(&server, NULL);
    redis_integer(&server, "RPUSH list a b c");
    struct scene scene = {
        .body = use_redis,
        .address = {.host = host, .port = server.port},
    };
    sweep(&scene);
    redis_server_release(&server);
}

static void sentinels_are_asked_or_not(void **state)
{
    (void)state;
    static struct sentinel_set set;
    struct scene scene = {.body = use_redis};
    char why[CORO_REDIS_URL_WHY_MAX];
    sentinel_set_start(&set);
    redis_integer(sentinel_set_primary(&set), "RPUSH list a b c");
    assert_int_equal(
        coro_redis_url_parse(set.url, &scene.address, why, sizeof why), 0);
    sweep(&scene);
    coro_redis_address_release(&scene.address);
    sentinel_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_looked_up_or_not),
        cmocka_unit_test(a_descriptor_is_waited_for_or_not),
        cmocka_unit_test(a_connection_and_its_calls_work_or_say_so),
        cmocka_unit_test(sentinels_are_asked_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
