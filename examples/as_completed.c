/*
 * Results in the order in which they come, not in that in which they were
 * asked for: the longest was asked for first here.
 *
 *     for task in asyncio.as_completed(tasks):     coro_as_completed_next()
 *         result = await task
 */
#include "examples/example.h"

#define NTASKS 5

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

static int print_as_they_come(struct coro_task *const *tasks)
{
    struct coro_as_completed each;
    int status = coro_as_completed_init(&each, tasks, NTASKS);
    if (status < 0)
        return status;
    struct coro_task *task;
    while ((status = coro_as_completed_next(&each, CORO_NEVER, &task)) > 0)
        printf("Task ret: %s\n", (char *)coro_task_value(task));
    coro_as_completed_release(&each);
    return status;
}

static int body(void *unit_ms)
{
    struct work works[NTASKS];
    struct coro_task *tasks[NTASKS] = {NULL};
    int status = 0;
    for (int i = 0; i < NTASKS && status == 0; i++) {
        works[i] = (struct work){NTASKS - i, *(int64_t *)unit_ms};
        status = coro_spawn(coro_loop_current(), do_some_work, &works[i], NULL,
                            &tasks[i]);
    }
    if (status == 0)
        status = print_as_they_come(tasks);
    for (int i = 0; i < NTASKS; i++)
        coro_task_unref(tasks[i]);
    return status;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    return coro_main(body, &unit_ms);
}
