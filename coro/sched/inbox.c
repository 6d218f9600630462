#include "coro/sched/inbox.h"

#include <errno.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

/* How many messages one turn works off. Each may have become a task. */
#define PORTION 1000

static struct coro_post *take_post(struct coro_inbox *inbox)
{
    struct coro_submit_node *node = inbox->first;
    if (!node)
        return NULL;
    inbox->first = node->next;
    if (!inbox->first)
        inbox->end = &inbox->first;
    return list_entry(node, struct coro_post, node);
}

static void keep_posts(void *argument, struct coro_submit_node *oldest)
{
    struct coro_inbox *inbox = argument;
    *inbox->end = oldest;
    while (*inbox->end)
        inbox->end = &(*inbox->end)->next;
}

static void run_portion(struct coro_source *source)
{
    struct coro_inbox *inbox = list_entry(source, struct coro_inbox, more);
    for (int i = 0; i < PORTION; i++) {
        struct coro_post *post = take_post(inbox);
        if (!post)
            return;
        post->run(post, 0);
    }
}

static bool has_no_backlog(struct coro_source *source)
{
    return !list_entry(source, struct coro_inbox, more)->first;
}

void coro_inbox_open(struct coro_inbox *inbox, struct coro_loop *loop)
{
    coro_submit_open(&inbox->queue, loop, keep_posts, inbox);
    inbox->first = NULL;
    inbox->end = &inbox->first;
    inbox->more =
        (struct coro_source){.poll = run_portion, .arm = has_no_backlog};
    coro_loop_add_source(loop, &inbox->more);
}

void coro_inbox_close(struct coro_inbox *inbox)
{
    struct coro_submit_node *rest = coro_submit_close(&inbox->queue);
    if (rest)
        keep_posts(inbox, rest);
    coro_loop_remove_source(&inbox->more);
    struct coro_post *post;
    while ((post = take_post(inbox)))
        post->run(post, -ESHUTDOWN);
}

int coro_loop_post(struct coro_loop *loop, struct coro_post *post)
{
    return coro_submit_push(&loop->inbox.queue, &post->node);
}

/* --- calls ---------------------------------------------------------------- */

struct call {
    struct coro_post post;
    void (*function)(void *argument);
    void *argument;
    uint64_t tag; /* of who ordered it */
};

static void run_call(struct coro_post *post, int status)
{
    struct call call = *list_entry(post, struct call, post);
    free(list_entry(post, struct call, post));
    if (status == 0)
        coro_tag_call(call.tag, call.function, call.argument);
}

int coro_call_soon_threadsafe(struct coro_loop *loop,
                              void (*function)(void *argument), void *argument)
{
    ensure(function);
    if (coro_loop_is_stopped(loop))
        return -ESHUTDOWN;
    struct call *call = malloc(sizeof *call);
    if (!call)
        return -ENOMEM;
    *call = (struct call){.post.run = run_call,
                          .function = function,
                          .argument = argument,
                          .tag = coro_tag()};
    int status = coro_loop_post(loop, &call->post);
    if (status < 0)
        free(call);
    return status;
}
