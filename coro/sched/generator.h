/*
 * A generator: a function that hands out values one at a time and stands still
 * in between.
 *
 *             next, send(NULL)           returns, fails
 *     CREATED ─────────▶ RUNNING ──────────────────────▶ CLOSED
 *        │                │   ▲                             ▲
 *        │          yield │   │ next, send, throw           │
 *        │                ▼   │                             │
 *        │              SUSPENDED ──────────────────────────┤ close
 *        └──────────────────────────────────────────────────┘ close, throw
 *
 *     static int count(void *argument, void **ret_value)
 *     {
 *         for (int i = 0; i < 3; i++) {
 *             int status = coro_yield(&i, NULL);
 *             if (status < 0)
 *                 return status;
 *         }
 *         return 0;
 *     }
 *
 *     struct coro_gen *gen;
 *     void *value;
 *     if (coro_gen_new(count, NULL, NULL, &gen) < 0)
 *         …
 *     while (coro_gen_next(gen, &value) > 0)
 *         printf("%d\n", *(int *)value);
 *     coro_gen_free(gen);
 *
 * A generator has a stack of its own and needs no loop; it belongs to the
 * thread that made it. It may be resumed by any task of that thread, by another
 * generator, or outside of both. Inside a task it may also wait, as the task
 * itself may: the task then waits, and the generator is running meanwhile.
 *
 * Errors travel as they do elsewhere. What is thrown into a generator, its
 * coro_yield() returns; what its function returns, its resumer gets. Closing is
 * throwing -ECANCELED.
 */
#ifndef CORO_SCHED_GENERATOR_H
#define CORO_SCHED_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/base/list.h"
#include "coro/core/context.h"
#include "coro/core/sanitize.h"
#include "coro/core/stack.h"

struct coro_gen;
struct coro_gen_home;
struct coro_loop;
struct coro_defer_block;

/**
 * A generator's body.
 *
 * @ret_value  where to put what it returns; NULL is there already.
 *
 * Returns 0 when it is through, or a negative errno.
 */
typedef int coro_gen_fn(void *argument, void **ret_value);

enum coro_gen_state {
    CORO_GEN_CREATED,
    CORO_GEN_RUNNING,
    CORO_GEN_SUSPENDED,
    CORO_GEN_CLOSED,
};

struct coro_gen_options {
    const char *name; /* borrowed: must outlive it; NULL: "generator" */
    bool large_stack; /* 256 KiB, for code that calls heavy libraries */
};

/* Lies at the top of its own stack. Only for the functions of this header. */
struct coro_gen {
    struct coro_context context; /* where it goes on */
    struct coro_context resumer; /* where whoever resumed it goes on */
    void *value;                 /* what is sent in, yielded, returned */
    int status;                  /* of the resumption, or what is thrown in */
    uint8_t state;
    bool has_canary;
    bool is_large;
    struct coro_gen **running; /* where the flow that it runs in notes it */
    struct coro_gen *outer;    /* the generator that resumed it, or NULL */
    struct coro_loop *loop;    /* that ran when it was resumed, or NULL */
    struct coro_defer_block *deferred;
    coro_gen_fn *function;
    void *argument;
    const char *name;
    struct coro_gen_home *home;
    struct list all;   /* in its home */
    uint64_t maker_id; /* of the task that made it; 0: none */
    struct coro_stack stack;
    uint64_t magic;
    struct coro_sanitize notes;
    struct coro_sanitize resumer_notes;
    struct coro_sanitize *flow_notes; /* of the task that resumed it, or NULL */
    struct coro_sanitize flow_notes_before;
};

/**
 * Makes a generator that will run @function(@argument).
 *
 * @options   NULL for the defaults.
 *
 * Returns 0 or -ENOMEM. Ownership: coro_gen_free(). Context: any thread; does
 * not suspend.
 */
int coro_gen_new(coro_gen_fn *function, void *argument,
                 const struct coro_gen_options *options,
                 struct coro_gen **ret_gen);

/**
 * Closes @gen and frees it. One that goes on yielding although it is closed a
 * few times is dropped where it stands; what it deferred is still run. NULL is
 * allowed; one that runs is not. Context: the thread that made it.
 */
void coro_gen_free(struct coro_gen *gen);

/* The first part of coro_gen_send(): 1 when @gen is now to be switched to. */
int coro_gen_enter(struct coro_gen *gen, void *value, void **ret_value);

/* The second part: into @gen, and back when it has yielded or ended. */
static inline __attribute__((always_inline)) void coro_gen_switch(
    struct coro_gen *gen)
{
    coro_sanitize_leave(&gen->resumer_notes, &gen->notes, false);
    coro_context_switch(&gen->resumer, &gen->context);
    coro_sanitize_arrive(&gen->resumer_notes, &gen->resumer_notes);
    *gen->running = gen->outer;
    if (gen->flow_notes)
        *gen->flow_notes = gen->flow_notes_before;
}

/**
 * Resumes @gen until it yields or ends. Its coro_yield() returns 0 and gives it
 * @value.
 *
 * @value      NULL when it has not begun: nobody is there to receive it.
 * @ret_value  NULL, or where to put what it yielded or returned. That belongs
 *             to whom the two sides agree on.
 *
 * Returns 1 when it yielded; 0 when it returned, or had ended before (the value
 * is then NULL: what it returned is given once); or
 *   -EINVAL   @value is not NULL and it has not begun; it is as it was;
 *   -EBUSY    it is running: it resumed itself, or waits in a task;
 *   any error that its function returned.
 *
 * Context: the thread that made it. Suspends if the generator's function does.
 */
static inline int coro_gen_send(struct coro_gen *gen, void *value,
                                void **ret_value)
{
    int status = coro_gen_enter(gen, value, ret_value);
    if (status <= 0)
        return status;
    /* Here and not behind a call: with no return between the two switches the
     * processor predicts rightly where coro_yield() returns to. */
    coro_gen_switch(gen);
    if (gen->status >= 0 && ret_value)
        *ret_value = gen->value;
    return gen->status;
}

/** Resumes @gen, sending nothing: coro_gen_send(@gen, NULL, @ret_value). */
static inline int coro_gen_next(struct coro_gen *gen, void **ret_value)
{
    return coro_gen_send(gen, NULL, ret_value);
}

/**
 * Resumes @gen by having its coro_yield() return @error, a negative errno. One
 * that has not begun is closed; from it, and from one that has ended, @error
 * comes straight back.
 *
 * Returns as coro_gen_send(): 1 if it caught the error and went on to the next
 * yield. -EINVAL: @error is not negative. Context: as coro_gen_send().
 */
int coro_gen_throw(struct coro_gen *gen, int error, void **ret_value);

/**
 * Closes @gen: its coro_yield() returns -ECANCELED, and it cleans up and
 * returns. Closing what has ended, or has not begun, does no more than that.
 *
 * Returns 0, or
 *   -EPROTO   it yielded instead of returning, and is suspended there;
 *   -EBUSY    it is running;
 *   any error but -ECANCELED that its function returned; it is closed then.
 *
 * Context: as coro_gen_send().
 */
int coro_gen_close(struct coro_gen *gen);

/** What @gen is doing. Context: the thread that made it. */
enum coro_gen_state coro_gen_state(const struct coro_gen *gen);

/** The name it was given. Borrowed. */
const char *coro_gen_name(const struct coro_gen *gen);

/**
 * Hands @value to whoever resumed the generator that calls this, and stands
 * still until it is resumed.
 *
 * @ret_sent  NULL, or where to put what was sent.
 *
 * Returns 0, -ECANCELED (it is being closed: clean up and return), or what was
 * thrown. Context: inside a generator, at any depth.
 */
int coro_yield(void *value, void **ret_sent);

#endif
