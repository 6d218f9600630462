/*
 * Cancelling many tasks at once: the one that gathers them is cancelled, after
 * half a unit or by Ctrl-C, and cancels all that it waits for. It has ended
 * when they have.
 *
 *     together = asyncio.gather(*tasks)      a task that is in coro_gather()
 *     print(together.cancel())               coro_task_cancel()
 *     except asyncio.CancelledError:         its result is -ECANCELED
 */
#include "examples/example.h"

#define NTASKS 3

struct work {
    int nunits;
    int64_t unit_ms;
};

static int do_some_work(void *argument)
{
    const struct work *work = argument;
    printf("Waiting:  %d\n", work->nunits);
    return coro_sleep(work->nunits * work->unit_ms);
}

static int gather_all(void *unit_ms)
{
    struct work works[NTASKS];
    struct coro_task *tasks[NTASKS] = {NULL};
    int status = 0;
    for (int i = 0; i < NTASKS && status == 0; i++) {
        works[i] = (struct work){i + 1, *(int64_t *)unit_ms};
        status = coro_spawn(coro_loop_current(), do_some_work, &works[i], NULL,
                            &tasks[i]);
    }
    if (status == 0)
        status =
            coro_gather(tasks, NTASKS, CORO_RAISE_ERRORS, CORO_NEVER, NULL);
    for (int i = 0; i < NTASKS; i++)
        coro_task_unref(tasks[i]);
    return status;
}

static int body(void *unit_ms)
{
    struct coro_task *together;
    int status =
        coro_spawn(coro_loop_current(), gather_all, unit_ms, NULL, &together);
    if (status < 0)
        return status;
    status = coro_sleep(*(int64_t *)unit_ms / 2); /* -ECANCELED: Ctrl-C */
    puts(coro_task_cancel(together) ? "True" : "False");
    int result = 0;
    coro_task_wait(together, CORO_NEVER, &result);
    coro_task_unref(together);
    if (result == -ECANCELED)
        puts("gather cancelled");
    return status;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    struct coro_runner runner;
    if (coro_runner_init(&runner, NULL) < 0)
        return 1;
    int status = coro_runner_run(&runner, body, &unit_ms, NULL);
    fprintf(stderr, "tasks left: %zu\n", coro_runner_release(&runner));
    return status == -EINTR ? CORO_EXIT_INTERRUPTED : status < 0;
}
