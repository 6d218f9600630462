/*
 * Three babies sleep at once, in one thread: two units in all, not six.
 *
 * In Python `await asyncio.sleep(2)` gives the thread to whoever is ready. Here
 * coro_sleep() does; it looks like a call that blocks, and blocks nobody.
 *
 *     tasks = [baby(1), baby(2), baby(3)]          coro_spawn(), three times
 *     loop.run_until_complete(asyncio.wait(tasks)) coro_wait()
 */
#include "examples/example.h"

struct baby {
    int number;
    int64_t unit_ms;
};

static int sleep_and_wake(void *argument)
{
    const struct baby *baby = argument;
    printf("baby %d sleep!\n", baby->number);
    int status = coro_sleep(2 * baby->unit_ms);
    if (status < 0)
        return status;
    printf("baby %d week up!\n", baby->number);
    return 0;
}

static int put_to_bed(void *unit_ms)
{
    struct baby babies[3];
    struct coro_task *tasks[3] = {NULL};
    int status = 0;
    for (int i = 0; i < 3 && status == 0; i++) {
        babies[i] = (struct baby){i + 1, *(int64_t *)unit_ms};
        status = coro_spawn(coro_loop_current(), sleep_and_wake, &babies[i],
                            NULL, &tasks[i]);
    }
    if (status == 0)
        status = coro_wait(tasks, 3, CORO_ALL_COMPLETED, CORO_NEVER);
    for (int i = 0; i < 3; i++)
        coro_task_unref(tasks[i]);
    return status;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    return coro_main(put_to_bed, &unit_ms);
}
