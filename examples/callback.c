/*
 * A task's result is delivered to a callback.
 *
 *     task = asyncio.ensure_future(do_some_work(2))    coro_spawn()
 *     task.add_done_callback(callback)            coro_future_add_callback()
 *     loop.run_until_complete(task)           coro_loop_run_until_complete()
 *
 * In C the callback lies in a struct of ours, which tells it whose end it is;
 * the loop calls it in the turn after that end.
 */
#include "examples/example.h"

struct delivery {
    struct coro_callback callback;
    struct coro_task *task;
};

static int do_some_work(void *nunits)
{
    printf("Waiting:  %d\n", *(int *)nunits);
    return example_return_done(*(int *)nunits);
}

static void print_result(struct coro_callback *callback)
{
    struct delivery *delivery = list_entry(callback, struct delivery, callback);
    printf("Callback:  %s\n", (char *)coro_task_value(delivery->task));
}

int main(void)
{
    struct coro_loop *loop;
    if (coro_loop_new(NULL, &loop) < 0)
        return 1;
    int nunits = 2;
    int status = 0;
    struct delivery delivery = {.callback.run = print_result};
    if (coro_spawn(loop, do_some_work, &nunits, NULL, &delivery.task) == 0) {
        coro_future_add_callback(coro_task_future(delivery.task),
                                 &delivery.callback);
        coro_loop_run_until_complete(loop, delivery.task, &status);
        coro_task_unref(delivery.task);
    }
    coro_loop_free(loop);
    return status < 0;
}
