#include "coro/sched/watch.h"

#include <errno.h>
#include <stdlib.h>

#include "coro/sched/schedule.h"

struct coro_watch {
    struct coro_callback callback;
    struct coro_watch_set *set;
    struct coro_task *task; /* NULL: the same as one before it */
    struct list in_ended;
};

static bool is_met(const struct coro_watch_set *set)
{
    if (set->npending == 0)
        return true;
    switch (set->until) {
    case CORO_FIRST_COMPLETED:
        return !list_is_empty(&set->ended);
    case CORO_FIRST_ERROR:
        return set->first_error < 0;
    case CORO_FIRST_FAILURE:
        return set->first_failure < 0;
    case CORO_ALL_COMPLETED:
        break;
    }
    return false;
}

static void note_end(struct coro_watch *watch)
{
    struct coro_watch_set *set = watch->set;
    int result = watch->task->ended.status;
    list_append(&set->ended, &watch->in_ended);
    set->npending--;
    if (result < 0 && set->first_failure == 0)
        set->first_failure = result;
    if (result < 0 && result != -ECANCELED && set->first_error == 0)
        set->first_error = result;
}

static void on_end(struct coro_callback *callback)
{
    struct coro_watch *watch =
        list_entry(callback, struct coro_watch, callback);
    struct coro_watch_set *set = watch->set;
    note_end(watch);
    if (is_met(set))
        coro_wake_first(&set->waiters, 0);
    /* Nothing will come any more for those who still wait. */
    while (set->npending == 0 && coro_wake_first(&set->waiters, 0))
        ;
}

static bool has_watch_of(struct coro_future *ended,
                         const struct coro_watch_set *set)
{
    struct coro_callback *callback = ended->callbacks;
    for (; callback; callback = callback->next)
        if (callback->run == on_end &&
            list_entry(callback, struct coro_watch, callback)->set == set)
            return true;
    return false;
}

/* Also one that has ended is given the callback, so that a second watch of it
 * is noticed: settle_ended() takes it back. */
static void begin_watch(struct coro_watch *watch, struct coro_watch_set *set,
                        struct coro_task *task)
{
    struct coro_future *ended = &task->ended;
    watch->set = set;
    watch->callback.run = on_end;
    watch->callback.is_direct = true;
    list_init(&watch->in_ended);
    if (has_watch_of(ended, set))
        return;
    watch->task = coro_task_ref(task);
    watch->callback.next = ended->callbacks;
    ended->callbacks = &watch->callback;
    set->npending++;
}

static void settle_ended(struct coro_watch_set *set)
{
    for (size_t i = 0; i < set->nwatches; i++) {
        struct coro_watch *watch = &set->watches[i];
        if (!watch->task || !coro_task_is_done(watch->task))
            continue;
        coro_future_remove_callback(&watch->task->ended, &watch->callback);
        note_end(watch);
    }
}

int coro_watch_init(struct coro_watch_set *set, struct coro_task *const *tasks,
                    size_t ntasks)
{
    *set = (struct coro_watch_set){.nwatches = ntasks};
    list_init(&set->ended);
    list_init(&set->waiters);
    if (ntasks == 0)
        return 0;
    set->watches = calloc(ntasks, sizeof *set->watches);
    if (!set->watches)
        return -ENOMEM;
    for (size_t i = 0; i < ntasks; i++)
        begin_watch(&set->watches[i], set, tasks[i]);
    settle_ended(set);
    return 0;
}

void coro_watch_release(struct coro_watch_set *set)
{
    for (size_t i = 0; i < set->nwatches; i++) {
        struct coro_watch *watch = &set->watches[i];
        if (!watch->task)
            continue;
        coro_future_remove_callback(&watch->task->ended, &watch->callback);
        coro_task_unref(watch->task);
    }
    free(set->watches);
    set->watches = NULL;
    set->nwatches = 0;
}

/* Noted where it may suspend, and not for what is met already. */
static int park(struct coro_watch_set *set, int64_t deadline_ms)
{
    const struct coro_awaits awaits = {.set = set};
    coro_awaits_note(&awaits);
    int status = coro_park_for(&set->waiters, deadline_ms, "tasks");
    coro_awaits_note(NULL);
    return status;
}

int coro_watch_wait(struct coro_watch_set *set, enum coro_wait_until until,
                    int64_t deadline_ms)
{
    set->until = until;
    while (!is_met(set)) {
        int status = park(set, deadline_ms);
        /* It may have come about after the deadline, but before this ran. */
        if (status == -ECANCELED || (status < 0 && !is_met(set)))
            return status;
    }
    return 0;
}

struct coro_task *coro_watch_take_ended(struct coro_watch_set *set)
{
    struct list *link = list_take_first(&set->ended);
    return link ? list_entry(link, struct coro_watch, in_ended)->task : NULL;
}

const struct coro_watch_set *coro_watch_set_of(struct coro_callback *callback)
{
    if (callback->run != on_end)
        return NULL;
    return list_entry(callback, struct coro_watch, callback)->set;
}

const struct coro_task *coro_watch_first_pending(
    const struct coro_watch_set *set)
{
    for (size_t i = 0; i < set->nwatches; i++) {
        const struct coro_task *task = set->watches[i].task;
        if (task && !coro_task_is_done(task))
            return task;
    }
    return NULL;
}
