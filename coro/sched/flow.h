/*
 * The running flow of control: a task, a generator inside it, or a generator
 * on its own; and what is left to be undone when it ends. Internal to
 * coro/sched.
 */
#ifndef CORO_SCHED_FLOW_H
#define CORO_SCHED_FLOW_H

#include <stddef.h>

struct coro_defer_block;
struct coro_gen;
struct coro_loop;
struct coro_task;

/* What runs in this thread; either may be NULL. */
struct coro_flow {
    struct coro_loop *loop;
    struct coro_task *task;
};

/** What runs here. Context: any thread. */
struct coro_flow coro_flow(void);

/** The innermost generator that runs here, or NULL. Any thread; any signal. */
struct coro_gen *coro_flow_generator(void);

/** Where the running flow notes what it deferred; NULL: there is no flow. */
struct coro_defer_block **coro_flow_deferred(void);

/** Calls all that was deferred in @place and frees its memory. */
void coro_defer_run_all(struct coro_defer_block **place);

/**
 * Calls @visit, unless it is NULL, for each generator of this thread, oldest
 * first; it must not make or free any. Returns how many there are.
 */
size_t coro_gen_each(void (*visit)(const struct coro_gen *gen, void *argument),
                     void *argument);

/** The task in which @gen runs, or waits; NULL: none. */
const struct coro_task *coro_gen_task(const struct coro_gen *gen);

/** Ends all generators in which @task, which never runs again, stands. */
void coro_gen_drop_all(struct coro_task *task);

#endif
