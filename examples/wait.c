/*
 * Waiting for several tasks, but not for ever: what is not done in time is
 * still pending, and goes on.
 *
 *     dones, pendings = await asyncio.wait(tasks, timeout=3)
 *
 *     coro_wait(tasks, 3, CORO_ALL_COMPLETED, coro_after(3 * unit))
 *
 * There are no two sets to be returned in C: each task can be asked.
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
    int status = coro_sleep(work->nunits * work->unit_ms);
    return status < 0 ? status : example_return_done(work->nunits);
}

static void print_counts(struct coro_task *const *tasks)
{
    int ndone = 0;
    for (int i = 0; i < NTASKS; i++)
        ndone += coro_task_is_done(tasks[i]);
    printf("done %d pending %d\n", ndone, NTASKS - ndone);
}

static int wait_twice(struct coro_task *const *tasks, int64_t unit_ms)
{
    int status =
        coro_wait(tasks, NTASKS, CORO_ALL_COMPLETED, coro_after(3 * unit_ms));
    if (status < 0 && status != -ETIMEDOUT)
        return status;
    print_counts(tasks);
    for (int i = 0; i < NTASKS; i++)
        printf("Task ret:  %s\n", coro_task_is_done(tasks[i])
                                      ? (char *)coro_task_value(tasks[i])
                                      : "pending");
    status = coro_wait(tasks, NTASKS, CORO_ALL_COMPLETED, CORO_NEVER);
    print_counts(tasks);
    return status;
}

static int body(void *argument)
{
    static const int nunits[NTASKS] = {1, 2, 4};
    int64_t unit_ms = *(int64_t *)argument;
    struct work works[NTASKS];
    struct coro_task *tasks[NTASKS] = {NULL};
    int status = 0;
    for (int i = 0; i < NTASKS && status == 0; i++) {
        works[i] = (struct work){nunits[i], unit_ms};
        status = coro_spawn(coro_loop_current(), do_some_work, &works[i], NULL,
                            &tasks[i]);
    }
    if (status == 0)
        status = wait_twice(tasks, unit_ms);
    for (int i = 0; i < NTASKS; i++)
        coro_task_unref(tasks[i]);
    return status;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    return coro_main(body, &unit_ms);
}
