#include "coro/sched/generator.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/flow.h"
#include "coro/sched/schedule.h"

#define GEN_MAGIC 0x6e6567206f726f63u

/* How often coro_gen_free() closes one before it drops it. */
#define CLOSE_ROUNDS 8

/* A thread's stacks for generators; in its own memory. */
struct coro_gen_home {
    struct coro_stack_pool stacks;
    struct coro_stack_pool large_stacks;
    struct list gens;
    size_t ngens;
    bool is_open;
};

static _Thread_local struct coro_gen_home thread_home;
static _Thread_local struct coro_gen *thread_running;
static pthread_once_t home_once = PTHREAD_ONCE_INIT;
static pthread_key_t home_key;
static int home_key_status;

/* --- the flow of control that runs --------------------------------------- */

/* Where the innermost running generator is noted: each task has its own, since
 * it may wait inside one. */
static inline struct coro_gen **running_place(struct coro_flow flow)
{
    return flow.task ? &flow.task->generator : &thread_running;
}

struct coro_gen *coro_flow_generator(void)
{
    return *running_place(coro_flow());
}

struct coro_defer_block **coro_flow_deferred(void)
{
    struct coro_flow flow = coro_flow();
    struct coro_gen *gen = *running_place(flow);
    if (gen)
        return &gen->deferred;
    if (flow.task)
        return &flow.task->deferred;
    return flow.loop && flow.loop->dropped ? &flow.loop->dropped->deferred
                                           : NULL;
}

/* --- a thread's stacks --------------------------------------------------- */

/* With generators left, their memory stays: better lost than gone. */
static void close_home(void *argument)
{
    struct coro_gen_home *home = argument;
    if (home->ngens > 0)
        return;
    coro_stack_pool_release(&home->stacks);
    coro_stack_pool_release(&home->large_stacks);
    home->is_open = false;
}

static void make_home_key(void)
{
    home_key_status = pthread_key_create(&home_key, close_home);
}

static struct coro_gen_home *open_home(void)
{
    struct coro_gen_home *home = &thread_home;
    if (home->is_open)
        return home;
    pthread_once(&home_once, make_home_key);
    if (home_key_status != 0 || pthread_setspecific(home_key, home) != 0)
        return NULL;
    coro_stack_pool_init(&home->stacks, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    coro_stack_pool_init(&home->large_stacks, CORO_STACK_BYTES_LARGE,
                         CORO_GUARD_KERNEL);
    list_init(&home->gens);
    home->is_open = true;
    return home;
}

static struct coro_stack_pool *pool_of(const struct coro_gen *gen)
{
    return gen->is_large ? &gen->home->large_stacks : &gen->home->stacks;
}

/* --- inside -------------------------------------------------------------- */

static _Noreturn __attribute__((noinline, cold)) void overflowed(
    const struct coro_gen *gen)
{
    fprintf(stderr,
            "stack overflow in generator '%s': its stack has %zu bytes\n",
            gen->name, (size_t)(gen->stack.top - gen->stack.bottom));
    abort();
}

static inline void check_stack(const struct coro_gen *self)
{
    if (__builtin_expect(self->has_canary, 0) &&
        !coro_stack_is_sound(&self->stack))
        overflowed(self);
}

int coro_yield(void *value, void **ret_sent)
{
    struct coro_flow flow = coro_flow();
    struct coro_gen *self = *running_place(flow);
    ensure(self && "coro_yield() needs to be called by a generator");
    ensure(self->state == CORO_GEN_RUNNING &&
           "a generator that has ended can't yield");
    ensure(self->loop == flow.loop &&
           "a loop that runs in a generator can't yield for it");
    check_stack(self);
    self->value = value;
    self->status = 1;
    self->state = CORO_GEN_SUSPENDED;
    coro_sanitize_leave(&self->notes, &self->resumer_notes, false);
    coro_context_switch(&self->context, &self->resumer);
    coro_sanitize_arrive(&self->notes, &self->resumer_notes);
    if (self->status < 0)
        return self->status;
    if (ret_sent)
        *ret_sent = self->value;
    return 0;
}

/* It may not wait: the generator counts as ended already, and whoever frees it
 * takes away the stack. */
static void run_deferred(struct coro_gen *gen)
{
    struct coro_task *task = coro_task_current();
    bool was_ending = task && task->is_ending;
    if (task)
        task->is_ending = true;
    coro_defer_run_all(&gen->deferred);
    if (task)
        task->is_ending = was_ending;
}

/* The first frame of each generator's stack. */
static void gen_main(void)
{
    coro_context_is_first();
    struct coro_gen *self = coro_flow_generator();
    coro_sanitize_arrive(&self->notes, &self->resumer_notes);
    void *value = NULL;
    int status = self->function(self->argument, &value);
    check_stack(self);
    self->state = CORO_GEN_CLOSED;
    if (self->deferred)
        run_deferred(self);
    self->status = status < 0 ? status : 0;
    self->value = status < 0 ? NULL : value;
    coro_sanitize_leave(&self->notes, &self->resumer_notes, true);
    coro_context_switch(&self->context, &self->resumer);
    ensure(false && "a generator that has ended is not resumed");
}

/* --- resuming ------------------------------------------------------------ */

static void check_caller(const struct coro_gen *gen)
{
    ensure(gen->magic == GEN_MAGIC && "this generator was freed");
    ensure(gen->home == &thread_home &&
           "a generator belongs to the thread that made it");
}

/* Makes @gen the innermost one of the running flow. */
static inline void link_in(struct coro_gen *gen)
{
    struct coro_flow flow = coro_flow();
    struct coro_gen **running = running_place(flow);
    gen->running = running;
    gen->outer = *running;
    gen->loop = flow.loop;
    gen->state = CORO_GEN_RUNNING;
    *running = gen;
    coro_sanitize_begin_thread(&gen->resumer_notes);
    /* If the task waits in here, it is this stack that it leaves. */
    gen->flow_notes = flow.task ? &flow.task->notes : NULL;
    if (gen->flow_notes) {
        gen->flow_notes_before = *gen->flow_notes;
        *gen->flow_notes = gen->notes;
    }
}

int coro_gen_enter(struct coro_gen *gen, void *value, void **ret_value)
{
    check_caller(gen);
    switch ((enum coro_gen_state)gen->state) {
    case CORO_GEN_SUSPENDED:
        break;
    case CORO_GEN_CREATED:
        if (value)
            return -EINVAL;
        break;
    case CORO_GEN_RUNNING:
        return -EBUSY;
    case CORO_GEN_CLOSED:
        if (ret_value)
            *ret_value = NULL;
        return 0;
    }
    gen->value = value;
    gen->status = 0;
    link_in(gen);
    return 1;
}

int coro_gen_throw(struct coro_gen *gen, int error, void **ret_value)
{
    check_caller(gen);
    if (error >= 0)
        return -EINVAL;
    switch ((enum coro_gen_state)gen->state) {
    case CORO_GEN_RUNNING:
        return -EBUSY;
    case CORO_GEN_CREATED:
        gen->state = CORO_GEN_CLOSED;
        return error;
    case CORO_GEN_CLOSED:
        return error;
    case CORO_GEN_SUSPENDED:
        break;
    }
    gen->status = error;
    link_in(gen);
    coro_gen_switch(gen);
    if (gen->status >= 0 && ret_value)
        *ret_value = gen->value;
    return gen->status;
}

int coro_gen_close(struct coro_gen *gen)
{
    int status = coro_gen_throw(gen, -ECANCELED, NULL);
    if (status == 1)
        return -EPROTO;
    return status == -ECANCELED ? 0 : status;
}

enum coro_gen_state coro_gen_state(const struct coro_gen *gen)
{
    return (enum coro_gen_state)gen->state;
}

const char *coro_gen_name(const struct coro_gen *gen)
{
    return gen->name;
}

size_t coro_gen_each(void (*visit)(const struct coro_gen *gen, void *argument),
                     void *argument)
{
    const struct coro_gen_home *home = &thread_home;
    if (home->ngens > 0 && visit)
        list_foreach (link, &home->gens)
            visit(list_entry(link, const struct coro_gen, all), argument);
    return home->ngens;
}

const struct coro_task *coro_gen_task(const struct coro_gen *gen)
{
    if (gen->state != CORO_GEN_RUNNING || gen->running == &thread_running)
        return NULL;
    return list_entry(gen->running, const struct coro_task, generator);
}

/* --- birth and death ----------------------------------------------------- */

/* A generator on @stack, at the very top of it. */
static struct coro_gen *place_gen(struct coro_stack stack)
{
    uintptr_t at = (uintptr_t)stack.top - sizeof(struct coro_gen);
    struct coro_gen *gen = (void *)(at & ~(uintptr_t)63);
    char *floor = stack.bottom;
    if (stack.has_canary)
        floor += CORO_STACK_CANARY_BYTES;
    coro_sanitize_begin(&gen->notes, floor, (size_t)(stack.top - floor));
    coro_context_init(&gen->context, floor, gen, gen_main);
    gen->state = CORO_GEN_CREATED;
    gen->has_canary = stack.has_canary;
    gen->running = NULL;
    gen->outer = NULL;
    gen->deferred = NULL;
    gen->stack = stack;
    gen->magic = GEN_MAGIC;
    return gen;
}

int coro_gen_new(coro_gen_fn *function, void *argument,
                 const struct coro_gen_options *options,
                 struct coro_gen **ret_gen)
{
    static const struct coro_gen_options defaults;
    if (!options)
        options = &defaults;
    struct coro_gen_home *home = open_home();
    if (!home)
        return -ENOMEM;
    struct coro_stack stack;
    int status = coro_stack_take(
        options->large_stack ? &home->large_stacks : &home->stacks, &stack);
    if (status < 0)
        return status;
    struct coro_gen *gen = place_gen(stack);
    gen->function = function;
    gen->argument = argument;
    gen->name = options->name ? options->name : "generator";
    gen->is_large = options->large_stack;
    gen->home = home;
    const struct coro_task *maker = coro_task_current();
    gen->maker_id = maker ? maker->id : 0;
    list_append(&home->gens, &gen->all);
    home->ngens++;
    *ret_gen = gen;
    return 0;
}

/* Its frames are lost; what it deferred is run as if it ended. */
static void drop(struct coro_gen *gen)
{
    struct coro_gen **running = running_place(coro_flow());
    gen->state = CORO_GEN_CLOSED;
    if (!gen->deferred)
        return;
    struct coro_gen *outer = *running;
    *running = gen;
    run_deferred(gen);
    *running = outer;
}

void coro_gen_free(struct coro_gen *gen)
{
    if (!gen)
        return;
    check_caller(gen);
    ensure(gen->state != CORO_GEN_RUNNING &&
           "a generator that runs can't be freed");
    for (int round = 0; round < CLOSE_ROUNDS; round++)
        if (coro_gen_close(gen) != -EPROTO)
            break;
    drop(gen);
    gen->magic = 0;
    gen->home->ngens--;
    list_remove(&gen->all);
    coro_sanitize_end(&gen->notes);
    coro_stack_give(pool_of(gen), gen->stack);
}

void coro_gen_drop_all(struct coro_task *task)
{
    struct coro_gen *gen;
    while ((gen = task->generator)) {
        task->generator = gen->outer;
        task->notes = gen->flow_notes_before;
        drop(gen);
    }
}
