/*
 * A loop in another thread is given two functions that block. It calls one
 * after the other: six units and three. Whoever gave them to it goes on at once.
 *
 *     t = Thread(target=start_loop, args=(new_loop,))
 *     new_loop.call_soon_threadsafe(more_work, 6)  coro_call_soon_threadsafe()
 */
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "examples/example.h"

struct work {
    int nunits;
    int64_t unit_ms;
};

/* A plain function, no coroutine: while it sleeps its whole loop does. */
static void more_work(void *argument)
{
    const struct work *work = argument;
    int64_t delay_ms = work->nunits * work->unit_ms;
    printf("More work %d\n", work->nunits);
    nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000},
              NULL);
    printf("Finished more work %d\n", work->nunits);
}

static void stop(void *loop)
{
    coro_loop_stop(loop);
}

static void *start_loop(void *loop)
{
    coro_loop_run_forever(loop);
    return NULL;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    struct work works[] = {{6, unit_ms}, {3, unit_ms}};
    struct coro_loop *loop;
    pthread_t thread;
    if (coro_loop_new(NULL, &loop) < 0)
        return 1;
    if (pthread_create(&thread, NULL, start_loop, loop) != 0) {
        coro_loop_free(loop);
        return 1;
    }
    int64_t began_ms = coro_now_ms();
    int status = coro_call_soon_threadsafe(loop, more_work, &works[0]);
    if (status == 0)
        status = coro_call_soon_threadsafe(loop, more_work, &works[1]);
    bool is_free = coro_now_ms() - began_ms < unit_ms;
    /* In line behind the others, unlike coro_loop_stop() itself. */
    if (coro_call_soon_threadsafe(loop, stop, loop) < 0)
        coro_loop_stop(loop);
    pthread_join(thread, NULL);
    printf("main not blocked: %s\n", is_free ? "True" : "False");
    coro_loop_free(loop);
    return status < 0;
}
