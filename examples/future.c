/*
 * Two callbacks on one future: they are called in the order in which they were
 * added, and not by whoever sets the result but by the loop, once control is
 * back there.
 *
 *     all_done = asyncio.Future()                    coro_future_init()
 *     all_done.add_done_callback(partial(f, n=1))    a struct that holds n
 *     all_done.set_result('the result')              coro_future_set()
 */
#include "examples/example.h"

struct registration {
    struct coro_callback callback;
    struct coro_future *future;
    int n;
};

struct scene {
    struct coro_future all_done;
    struct registration registrations[2];
};

static void on_done(struct coro_callback *callback)
{
    struct registration *self =
        list_entry(callback, struct registration, callback);
    printf("%d: future done: %s\n", self->n,
           (char *)coro_future_value(self->future));
}

static void register_callbacks(struct scene *scene)
{
    puts("registering callbacks on future");
    for (int i = 0; i < 2; i++) {
        scene->registrations[i] = (struct registration){
            .callback.run = on_done, .future = &scene->all_done, .n = i + 1};
        coro_future_add_callback(&scene->all_done,
                                 &scene->registrations[i].callback);
    }
}

static int body(void *argument)
{
    static char result[] = "the result";
    struct scene *scene = argument;
    register_callbacks(scene);
    puts("setting result of future");
    return coro_future_set(&scene->all_done, 0, result);
}

int main(void)
{
    struct scene scene;
    coro_future_init(&scene.all_done);
    return coro_main(body, &scene);
}
