/*
 * A loop in a daemon thread: nobody waits for that thread, it goes with the
 * process. Ctrl-C reaches the main thread, which has the daemon's tasks
 * cancelled and waits until they have tidied up, and then leaves.
 *
 *     t.daemon = True                        pthread_detach()
 *     except KeyboardInterrupt:              a sleep that returns -ECANCELED
 *         task.cancel()                      coro_remote_cancel()
 */
#include <pthread.h>

#include "examples/example.h"

#define NWORKERS 3

static int64_t unit_ms;

static int work(void *name)
{
    printf("%s works\n", (const char *)name);
    while (coro_sleep(unit_ms) == 0)
        ;
    printf("%s tidies up\n", (const char *)name);
    return -ECANCELED;
}

static void *run_loop(void *loop)
{
    coro_loop_run_forever(loop);
    return NULL;
}

static int start_daemon(struct coro_loop **ret_loop)
{
    pthread_t thread;
    int status = coro_loop_new(NULL, ret_loop);
    if (status < 0)
        return status;
    int error = pthread_create(&thread, NULL, run_loop, *ret_loop);
    if (error) {
        coro_loop_free(*ret_loop);
        return -error;
    }
    pthread_detach(thread);
    return 0;
}

static int body(void *loop)
{
    static char names[NWORKERS][8] = {"one", "two", "three"};
    struct coro_remote *workers[NWORKERS] = {NULL};
    int status = 0;
    for (int i = 0; i < NWORKERS && status == 0; i++)
        status = coro_submit(loop, work, names[i], &workers[i]);
    if (status == 0)
        status = coro_sleep_until(CORO_NEVER); /* until Ctrl-C */
    for (int i = 0; i < NWORKERS; i++) {
        if (!workers[i])
            continue;
        coro_remote_cancel(workers[i]);
        coro_remote_wait(workers[i], CORO_NEVER, NULL);
        coro_remote_unref(workers[i]);
    }
    puts("the main thread leaves");
    return status;
}

int main(int argc, char **argv)
{
    struct coro_loop *loop;
    unit_ms = example_unit_ms(argc, argv);
    if (start_daemon(&loop) < 0)
        return 1;
    return coro_main(body, loop);
}
