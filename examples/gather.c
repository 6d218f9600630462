/*
 * Coroutines within a coroutine: it waits for three at once, and their results
 * come in the order in which they were asked for, whoever is first. They then
 * come out of the loop as the outer one's result.
 *
 *     async def main():
 *         return await asyncio.gather(*tasks)        coro_gather()
 *
 *     results = loop.run_until_complete(main())      coro_task_return()
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

/* The tasks are the list of results: each keeps its own. */
static void free_list(void *list)
{
    struct coro_task **tasks = list;
    for (int i = 0; i < NTASKS; i++)
        coro_task_unref(tasks[i]);
    free(tasks);
}

static int gather_all(void *unit_ms)
{
    static const int nunits[NTASKS] = {1, 2, 4};
    struct work works[NTASKS];
    struct coro_task **tasks = calloc(NTASKS, sizeof *tasks);
    int status = tasks ? coro_defer(free_list, tasks) : -ENOMEM;
    for (int i = 0; i < NTASKS && status == 0; i++) {
        works[i] = (struct work){nunits[i], *(int64_t *)unit_ms};
        status = coro_spawn(coro_loop_current(), do_some_work, &works[i], NULL,
                            &tasks[i]);
    }
    if (status == 0)
        status =
            coro_gather(tasks, NTASKS, CORO_RAISE_ERRORS, CORO_NEVER, NULL);
    if (status < 0)
        return status;
    coro_undefer(free_list, tasks); /* it becomes the result */
    return coro_task_return(tasks, free_list);
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    struct coro_loop *loop;
    struct coro_task *task;
    int status = coro_loop_new(NULL, &loop);
    if (status < 0)
        return 1;
    if (coro_spawn(loop, gather_all, &unit_ms, NULL, &task) == 0) {
        coro_loop_run_until_complete(loop, task, &status);
        struct coro_task **results = coro_task_value(task);
        for (int i = 0; results && i < NTASKS; i++)
            printf("Task ret:  %s\n", (char *)coro_task_value(results[i]));
        coro_task_unref(task);
    }
    coro_loop_free(loop);
    return status < 0;
}
