/*
 * Out of memory, at every allocation in turn: loops, tasks, queues, the pool
 * and the connection.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/io/redis.h"
#include "coro/sched/group.h"
#include "coro/sched/loop.h"
#include "coro/sched/queue.h"
#include "tests/support/oom.h"
#include "worker/pool.h"

static void sweep(int (*scenario)(void *argument))
{
    assert_true(oom_sweep(scenario, NULL, OOM_ONE) > 0);
    assert_true(oom_sweep(scenario, NULL, OOM_REST) > 0);
}

static int make_loop(void *argument)
{
    (void)argument;
    struct coro_loop *loop;
    int status = coro_loop_new(NULL, &loop);
    if (status == 0)
        coro_loop_free(loop);
    return status;
}

static void a_loop_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(make_loop);
}

static int relax(void *argument)
{
    (void)argument;
    return coro_relax();
}

static int spawn_some(void *argument)
{
    (void)argument;
    struct coro_loop *loop;
    int status = coro_loop_new(NULL, &loop);
    if (status < 0)
        return status;
    struct coro_task *last = NULL;
    for (int i = 0; i < 200 && status == 0; i++) {
        coro_task_unref(last);
        last = NULL;
        const struct coro_spawn_options options = {.large_stack = i % 2};
        status = coro_spawn(loop, relax, NULL, &options, &last);
    }
    if (last)
        coro_loop_run_until_complete(loop, last, NULL);
    coro_task_unref(last);
    coro_loop_free(loop);
    return status;
}

static void a_task_is_spawned_or_the_spawner_is_told(void **state)
{
    (void)state;
    sweep(spawn_some);
}

static int make_queue(void *argument)
{
    (void)argument;
    struct coro_queue queue;
    int status = coro_queue_init(&queue, 1000);
    if (status == 0)
        coro_queue_release(&queue);
    return status;
}

static void a_queue_is_made_or_not(void **state)
{
    (void)state;
    sweep(make_queue);
}

static void receive_nothing(void *argument, struct coro_submit_node *node)
{
    (void)argument;
    (void)node;
}

static int make_pool(void *argument)
{
    (void)argument;
    struct coro_loop *loop;
    struct pool pool;
    struct coro_submit up;
    struct vitals *vitals = vitals_new(10);
    if (!vitals)
        return -ENOMEM;
    int status = coro_loop_new(NULL, &loop);
    if (status < 0) {
        free(vitals);
        return status;
    }
    coro_submit_open(&up, loop, receive_nothing, NULL);
    const struct pool_options options = {
        .concurrency = 10, .up = &up, .vitals = vitals};
    status = pool_init(&pool, loop, &options);
    coro_submit_close(&up);
    coro_loop_free(loop);
    if (status == 0)
        pool_release(&pool);
    free(vitals);
    return status;
}

static void a_pool_is_made_or_not(void **state)
{
    (void)state;
    sweep(make_pool);
}

static int connect_in_vain(void *argument)
{
    const struct coro_redis_options options = {.address = argument,
                                               .client_name = "name"};
    struct coro_redis *redis = NULL;
    int status = coro_redis_start(coro_loop_current(), &options, &redis);
    if (status < 0)
        return status;
    for (int i = 0; i < 10; i++)
        coro_relax();
    coro_redis_stop(redis);
    return 0;
}

static int connect_in_loop(void *argument)
{
    int result = 0;
    int status = coro_run(connect_in_vain, argument, &result);
    return status < 0 ? status : result;
}

static void a_connection_is_started_or_not(void **state)
{
    (void)state;
    static char host[] = "127.0.0.1", name[] = "name";
    /* Nobody listens at this port; how far it gets is not the question. */
    struct coro_redis_host sentinels[] = {{host, 1}, {host, 1}};
    struct coro_redis_address addresses[] = {
        {.host = host, .port = 1},
        {.sentinels = sentinels, .nsentinels = 2, .primary_name = name},
    };
    for (size_t i = 0; i < 2; i++) {
        assert_true(oom_sweep(connect_in_loop, &addresses[i], OOM_ONE) > 0);
        assert_true(oom_sweep(connect_in_loop, &addresses[i], OOM_REST) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_is_made_whole_or_not_at_all),
        cmocka_unit_test(a_task_is_spawned_or_the_spawner_is_told),
        cmocka_unit_test(a_queue_is_made_or_not),
        cmocka_unit_test(a_pool_is_made_or_not),
        cmocka_unit_test(a_connection_is_started_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
