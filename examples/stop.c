/*
 * Cancelling every task that is left, after two and a half units or by Ctrl-C,
 * and letting each of them end before the loop is closed.
 *
 *     except KeyboardInterrupt:             the main task's sleep returns
 *                                           -ECANCELED, and it goes on
 *     for task in asyncio.all_tasks():      coro_task_all()
 *         print(task.cancel())              coro_task_cancel()
 *
 * Ctrl-C cancels the main task only (that is what a runner is for), so that it
 * is the program that decides what becomes of the others. It returns -ECANCELED
 * then, which makes 130 of the exit status.
 */
#include "examples/example.h"

#define NTASKS 5

struct work {
    int nunits;
    int64_t unit_ms;
    char name[16];
    struct coro_task *task;
};

static int do_some_work(void *argument)
{
    const struct work *work = argument;
    printf("Waiting:  %d\n", work->nunits);
    int status = coro_sleep(work->nunits * work->unit_ms);
    return status < 0 ? status : example_return_done(work->nunits);
}

static void cancel_all(void)
{
    struct coro_task *tasks[NTASKS + 1];
    size_t ntasks = coro_task_all(coro_loop_current(), tasks, NTASKS + 1);
    for (size_t i = 0; i < ntasks; i++) {
        if (tasks[i] != coro_task_current())
            printf("%s %s\n", coro_task_name(tasks[i]),
                   coro_task_cancel(tasks[i]) ? "True" : "False");
        coro_task_unref(tasks[i]);
    }
}

static void print_result(struct coro_task *task)
{
    if (coro_task_is_cancelled(task))
        puts("CancelledError('')");
    else
        printf("'%s'\n", (char *)coro_task_value(task));
}

static int start(struct work *works, int64_t unit_ms)
{
    int status = 0;
    for (int i = 0; i < NTASKS && status == 0; i++) {
        works[i] = (struct work){.nunits = i + 1, .unit_ms = unit_ms};
        snprintf(works[i].name, sizeof works[i].name, "work-%d", i + 1);
        const struct coro_spawn_options options = {.name = works[i].name};
        status = coro_spawn(coro_loop_current(), do_some_work, &works[i],
                            &options, &works[i].task);
    }
    return status;
}

static int body(void *argument)
{
    int64_t unit_ms = *(int64_t *)argument;
    struct work works[NTASKS] = {0};
    int status = start(works, unit_ms);
    if (status == 0)
        status = coro_sleep(5 * unit_ms / 2); /* -ECANCELED: Ctrl-C */
    cancel_all();
    for (int i = 0; i < NTASKS && works[i].task; i++) {
        coro_task_wait(works[i].task, CORO_NEVER, NULL);
        print_result(works[i].task);
        coro_task_unref(works[i].task);
    }
    return status;
}

int main(int argc, char **argv)
{
    int64_t unit_ms = example_unit_ms(argc, argv);
    struct coro_runner runner;
    if (coro_runner_init(&runner, NULL) < 0)
        return 1;
    int status = coro_runner_run(&runner, body, &unit_ms, NULL);
    size_t nleft = coro_runner_release(&runner);
    fprintf(stderr, "tasks left: %zu\n", nleft);
    return status == -EINTR ? CORO_EXIT_INTERRUPTED : status < 0;
}
