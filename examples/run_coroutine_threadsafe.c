/*
 * Coroutines are submitted to a loop in another thread. Both run there at once,
 * and their results come back to this thread, which may wait for them as long
 * as it likes.
 *
 *     future = asyncio.run_coroutine_threadsafe(do_some_work(6), new_loop)
 *     print(future.result())
 *
 *     coro_submit(loop, do_some_work, &work, &remote)
 *     coro_remote_result(remote, CORO_NEVER, NULL)
 */
#include <pthread.h>

#include "examples/example.h"

#define NWORKS 2

struct work {
    int nunits;
    int64_t unit_ms;
};

static int do_some_work(void *argument)
{
    const struct work *work = argument;
    printf("Waiting:  %d\n", work->nunits);
    int status = coro_sleep(work->nunits * work->unit_ms);
    return status < 0 ? status : example_return_done(work->nunits);
}

static void *start_loop(void *loop)
{
    coro_loop_run_forever(loop);
    return NULL;
}

/* The main thread's part. */
static void submit_and_wait(struct coro_loop *loop, int64_t unit_ms)
{
    struct work works[NWORKS] = {{6, unit_ms}, {4, unit_ms}};
    struct coro_remote *remotes[NWORKS] = {NULL};
    int64_t began_ms = coro_now_ms();
    for (int i = 0; i < NWORKS; i++)
        coro_submit(loop, do_some_work, &works[i], &remotes[i]);
    for (int i = 0; i < NWORKS && remotes[i]; i++) {
        if (coro_remote_result(remotes[i], CORO_NEVER, NULL) == 0)
            puts(coro_remote_value(remotes[i]));
        coro_remote_unref(remotes[i]);
    }
    /* One after the other, they would have taken ten. */
    int64_t elapsed_ms = coro_now_ms() - began_ms;
    if (elapsed_ms >= 6 * unit_ms && elapsed_ms < 10 * unit_ms)
        puts("about 6 units");
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    struct coro_loop *loop;
    pthread_t thread;
    if (coro_loop_new(NULL, &loop) < 0)
        return 1;
    if (pthread_create(&thread, NULL, start_loop, loop) == 0) {
        submit_and_wait(loop, unit_ms);
        coro_loop_stop(loop);
        pthread_join(thread, NULL);
    }
    coro_loop_free(loop);
    return 0;
}
