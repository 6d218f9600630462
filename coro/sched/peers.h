/*
 * Who waits for whose end, for dumps. Internal to coro/sched.
 *
 * A task that waits for the ends of others notes in which of three ways it does
 * so, coro_awaits_note(). The other way round nothing is noted: it is read from
 * the lists and callbacks that the waiting has set up.
 */
#ifndef CORO_SCHED_PEERS_H
#define CORO_SCHED_PEERS_H

#include <stddef.h>

struct coro_group;
struct coro_task;
struct coro_watch_set;

/* Whose ends a task waits for; in the frame that waits. One of them is set. */
struct coro_awaits {
    const struct coro_task *task;
    const struct coro_group *group;
    const struct coro_watch_set *set;
};

/* Some tasks, of which one is named. */
struct coro_peers {
    const struct coro_task *first; /* NULL: there are none */
    size_t ntasks;
};

/**
 * Notes whose ends the running task is going to wait for; NULL: it has done so.
 * Outside of tasks it does nothing.
 */
void coro_awaits_note(const struct coro_awaits *awaits);

/** The tasks for whose ends @task waits now. Context: loop thread. */
struct coro_peers coro_peers_awaited_by(const struct coro_task *task);

/** The tasks that wait for the end of @task now. Context: loop thread. */
struct coro_peers coro_peers_awaiting(const struct coro_task *task);

#endif
