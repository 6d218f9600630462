#include "coro/sched/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/deadline.h"
#include "coro/sched/inbox.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

struct coro_remote {
    atomic_uint nrefs;
    struct coro_loop *loop; /* with a reference */
    coro_task_fn *function;
    void *argument;
    uint64_t tag; /* of who submitted it */

    pthread_mutex_t lock;
    pthread_cond_t done;
    struct coro_remote_callback *callbacks;
    bool is_done;
    int status; /* of the wait: 0, or why there is no result */
    int result;
    void *value;
    void (*free_value)(void *value);

    struct coro_post start;
    struct coro_post cancel;
    atomic_bool is_cancelling; /* `cancel` is on its way */

    /* The loop's alone, while the task runs. */
    struct coro_task *task;
    struct coro_callback ended;
    struct list link;
};

struct coro_remote *coro_remote_ref(struct coro_remote *remote)
{
    atomic_fetch_add_explicit(&remote->nrefs, 1, memory_order_relaxed);
    return remote;
}

void coro_remote_unref(struct coro_remote *remote)
{
    if (!remote || atomic_fetch_sub(&remote->nrefs, 1) != 1)
        return;
    if (remote->free_value)
        coro_tag_call(remote->tag, remote->free_value, remote->value);
    pthread_cond_destroy(&remote->done);
    pthread_mutex_destroy(&remote->lock);
    coro_loop_unref(remote->loop);
    free(remote);
}

/* --- in the loop's thread ------------------------------------------------- */

/* Tells everybody, and gives back the reference that the task had. */
static void finish(struct coro_remote *remote, int status, int result)
{
    pthread_mutex_lock(&remote->lock);
    remote->is_done = true;
    remote->status = status;
    remote->result = result;
    struct coro_remote_callback *callback = remote->callbacks;
    remote->callbacks = NULL;
    pthread_cond_broadcast(&remote->done);
    pthread_mutex_unlock(&remote->lock);
    while (callback) {
        struct coro_remote_callback *next = callback->next;
        callback->run(callback, remote);
        callback = next;
    }
    coro_remote_unref(remote);
}

static void on_task_ended(struct coro_callback *callback)
{
    struct coro_remote *remote =
        list_entry(callback, struct coro_remote, ended);
    int result = coro_task_result(remote->task);
    /* Not yet done, it is still this thread's alone. */
    remote->free_value = remote->task->free_value;
    remote->value = coro_task_take_value(remote->task);
    coro_task_unref(remote->task);
    remote->task = NULL;
    list_remove(&remote->link);
    finish(remote, 0, result);
}

static void start_task(struct coro_post *post, int status)
{
    struct coro_remote *remote = list_entry(post, struct coro_remote, start);
    /* The order to cancel may be one portion behind. */
    if (status == 0 && atomic_load(&remote->is_cancelling)) {
        finish(remote, 0, -ECANCELED);
        return;
    }
    if (status == 0)
        status = coro_spawn(remote->loop, remote->function, remote->argument,
                            &(struct coro_spawn_options){.name = "submitted"},
                            &remote->task);
    if (status < 0) {
        finish(remote, status, 0);
        return;
    }
    remote->task->tag = remote->tag;
    list_append(&remote->loop->remotes, &remote->link);
    remote->ended.run = on_task_ended;
    coro_future_add_callback(coro_task_future(remote->task), &remote->ended);
}

static void cancel_task(struct coro_post *post, int status)
{
    struct coro_remote *remote = list_entry(post, struct coro_remote, cancel);
    atomic_store(&remote->is_cancelling, false);
    if (status == 0 && remote->task)
        coro_task_cancel(remote->task);
    coro_remote_unref(remote);
}

void coro_remote_end_all(struct coro_loop *loop)
{
    struct list *link;
    while ((link = list_take_first(&loop->remotes))) {
        struct coro_remote *remote = list_entry(link, struct coro_remote, link);
        remote->task = NULL;
        finish(remote, -ESHUTDOWN, 0);
    }
}

/* --- in any thread -------------------------------------------------------- */

static struct coro_remote *remote_new(struct coro_loop *loop,
                                      coro_task_fn *function, void *argument)
{
    struct coro_remote *remote = calloc(1, sizeof *remote);
    if (!remote)
        return NULL;
    atomic_init(&remote->nrefs, 1);
    remote->loop = coro_loop_ref(loop);
    remote->function = function;
    remote->argument = argument;
    remote->tag = coro_tag();
    remote->start.run = start_task;
    remote->cancel.run = cancel_task;
    pthread_mutex_init(&remote->lock, NULL);
    coro_cond_init(&remote->done);
    return remote;
}

int coro_submit(struct coro_loop *loop, coro_task_fn *function, void *argument,
                struct coro_remote **ret_remote)
{
    ensure(function);
    if (coro_loop_is_stopped(loop))
        return -ESHUTDOWN;
    struct coro_remote *remote = remote_new(loop, function, argument);
    if (!remote)
        return -ENOMEM;
    if (ret_remote)
        coro_remote_ref(remote);
    int status = coro_loop_post(loop, &remote->start);
    if (status < 0) {
        if (ret_remote)
            coro_remote_unref(remote);
        coro_remote_unref(remote);
        return status;
    }
    if (ret_remote)
        *ret_remote = remote;
    return 0;
}

bool coro_remote_is_done(struct coro_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    bool is_done = remote->is_done;
    pthread_mutex_unlock(&remote->lock);
    return is_done;
}

void *coro_remote_value(struct coro_remote *remote)
{
    return coro_remote_is_done(remote) ? remote->value : NULL;
}

bool coro_remote_cancel(struct coro_remote *remote)
{
    if (coro_remote_is_done(remote))
        return false;
    if (atomic_exchange(&remote->is_cancelling, true))
        return true;
    coro_remote_ref(remote);
    /* Refused, the loop is being freed, which cancels the task as well. */
    if (coro_loop_post(remote->loop, &remote->cancel) < 0)
        coro_remote_unref(remote);
    return true;
}

int coro_remote_result(struct coro_remote *remote, int64_t deadline_ms,
                       int *ret_result)
{
    bool is_own = coro_loop_current() == remote->loop;
    int status = 0;
    pthread_mutex_lock(&remote->lock);
    while (!remote->is_done && !is_own && status != -ETIMEDOUT)
        status = coro_cond_wait(&remote->done, &remote->lock, deadline_ms);
    if (remote->is_done)
        status = remote->status;
    else if (is_own)
        status = -EDEADLK;
    if (status == 0 && ret_result)
        *ret_result = remote->result;
    pthread_mutex_unlock(&remote->lock);
    return status;
}

void coro_remote_add_callback(struct coro_remote *remote,
                              struct coro_remote_callback *callback)
{
    callback->next = NULL;
    pthread_mutex_lock(&remote->lock);
    bool is_done = remote->is_done;
    if (!is_done) {
        struct coro_remote_callback **end = &remote->callbacks;
        while (*end)
            end = &(*end)->next;
        *end = callback;
    }
    pthread_mutex_unlock(&remote->lock);
    if (is_done)
        callback->run(callback, remote);
}

bool coro_remote_remove_callback(struct coro_remote *remote,
                                 struct coro_remote_callback *callback)
{
    pthread_mutex_lock(&remote->lock);
    struct coro_remote_callback **place = &remote->callbacks;
    while (*place && *place != callback)
        place = &(*place)->next;
    bool is_found = *place;
    if (is_found)
        *place = callback->next;
    pthread_mutex_unlock(&remote->lock);
    return is_found;
}

/* --- waiting as a coroutine ----------------------------------------------- */

static const char in_another_loop[] = "a task of another loop";

/* Of the waiter, until it gives up while a post is on its way to its loop. */
struct wait {
    struct coro_remote_callback callback;
    struct coro_post post;
    struct coro_loop *loop; /* of the waiter, with a reference */
    struct coro_future told;
    bool is_abandoned;
};

static void wait_free(struct wait *wait)
{
    coro_loop_unref(wait->loop);
    free(wait);
}

static void tell_waiter(struct coro_post *post, int status)
{
    struct wait *wait = list_entry(post, struct wait, post);
    if (wait->is_abandoned || status < 0)
        wait_free(wait);
    else
        coro_future_set(&wait->told, 0, NULL);
}

static void post_to_waiter(struct coro_remote_callback *callback,
                           struct coro_remote *remote)
{
    struct wait *wait = list_entry(callback, struct wait, callback);
    (void)remote;
    /* Once it is posted that loop may go on, and end, at any moment. */
    struct coro_loop *loop = coro_loop_ref(wait->loop);
    /* Refused: that loop was freed, and the waiter with it. */
    if (coro_loop_post(loop, &wait->post) < 0)
        wait_free(wait);
    coro_loop_unref(loop);
}

static int wait_new(struct coro_remote *remote, struct wait **ret_wait)
{
    struct wait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return -ENOMEM;
    wait->callback.run = post_to_waiter;
    wait->post.run = tell_waiter;
    wait->loop = coro_loop_ref(coro_loop_current());
    coro_future_init(&wait->told);
    coro_remote_add_callback(remote, &wait->callback);
    *ret_wait = wait;
    return 0;
}

static void wait_leave(struct coro_remote *remote, struct wait *wait)
{
    if (coro_future_is_done(&wait->told) ||
        coro_remote_remove_callback(remote, &wait->callback))
        wait_free(wait);
    else
        wait->is_abandoned = true;
}

/* Who is told of the end is told by a message, which may come after the
 * deadline although the end did not. */
static int unless_done(struct coro_remote *remote, int status)
{
    return status == -ETIMEDOUT && coro_remote_is_done(remote) ? 0 : status;
}

int coro_remote_wait(struct coro_remote *remote, int64_t deadline_ms,
                     int *ret_result)
{
    struct wait *wait;
    coro_ensure_task();
    int status = wait_new(remote, &wait);
    if (status < 0)
        return status;
    status = coro_future_park(&wait->told, deadline_ms, in_another_loop);
    wait_leave(remote, wait);
    status = unless_done(remote, status);
    return status < 0 ? status : coro_remote_result(remote, 0, ret_result);
}

int coro_remote_await(struct coro_remote *remote, int64_t deadline_ms)
{
    struct coro_task *self = coro_task_current();
    struct wait *wait;
    bool was_cancelled = false;
    int result = 0;
    coro_ensure_task();
    int status = wait_new(remote, &wait);
    if (status < 0)
        return status;
    while ((status = coro_future_park(&wait->told, deadline_ms,
                                      in_another_loop)) == -ECANCELED) {
        was_cancelled = true;
        deadline_ms = CORO_NEVER;
        coro_remote_cancel(remote);
    }
    wait_leave(remote, wait);
    status = unless_done(remote, status);
    if (status == 0)
        status = coro_remote_result(remote, 0, &result);
    if (status == 0)
        status = result;
    if (was_cancelled && status != -ECANCELED)
        coro_task_cancel_later(self);
    return status;
}
