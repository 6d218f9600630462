#include "coro/sched/schedule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coro/base/ensure.h"
#include "coro/sched/flow.h"
#include "coro/sched/ready.h"
#include "coro/sched/tag.h"

static _Thread_local struct coro_loop *current_loop;

struct coro_loop *coro_loop_current(void)
{
    return current_loop;
}

void coro_schedule_enter(struct coro_loop *loop)
{
    ensure(!loop || !current_loop);
    current_loop = loop;
}

/* A variable of the thread's own has an address of its own. */
void coro_schedule_own(struct coro_loop *loop)
{
    loop->owner = &current_loop;
}

bool coro_schedule_is_own(const struct coro_loop *loop)
{
    return loop->owner == &current_loop;
}

struct coro_task *coro_task_current(void)
{
    return current_loop ? coro_loop_running(current_loop) : NULL;
}

struct coro_flow coro_flow(void)
{
    return (struct coro_flow){current_loop, coro_task_current()};
}

/* For what may be called from anywhere, and so from the wrong thread. */
static inline void check_thread(const struct coro_loop *loop)
{
    ensure(loop->owner == &current_loop && "a loop belongs to its thread");
}

void coro_loop_call_soon(struct coro_loop *loop, struct coro_callback *callback)
{
    ensure(loop && callback->run && !callback->is_queued);
    check_thread(loop);
    callback->is_queued = true;
    coro_ready_push(loop, callback);
}

/* --- the switch ---------------------------------------------------------- */

/* The task to hand over to, or NULL when the loop's frame has to decide. */
static inline struct coro_task *next_task(struct coro_loop *loop)
{
    if (!loop->pass_last || loop->ready_first->run)
        return NULL;
    struct coro_task *next = coro_ready_task(coro_ready_pop(loop));
    coro_ready_fetch_frames(loop->ready_first);
    return next;
}

/* Other threads may look at it, see coro_loop_pulse(). */
static inline void set_current(struct coro_loop *loop, struct coro_task *task)
{
    atomic_store_explicit(&loop->current, task, memory_order_relaxed);
}

static inline struct coro_callback **idle_place(struct coro_loop *loop,
                                                bool is_large)
{
    return is_large ? &loop->idle_large : &loop->idle;
}

static __attribute__((noinline)) void free_value(struct coro_task *task)
{
    if (task->free_value)
        coro_tag_call(task->tag, task->free_value, task->ended.value);
    task->free_value = NULL;
}

static inline void free_task(struct coro_loop *loop, struct coro_task *task)
{
    ensure(task->state == CORO_TASK_DONE &&
           "a task that has not ended can't be freed");
    ensure(!(task->traits & CORO_TASK_HAS_CANARY) ||
           coro_stack_is_sound(&task->stack));
    if (task->ended.value)
        free_value(task);
    struct coro_callback **place =
        idle_place(loop, task->traits & CORO_TASK_IS_LARGE);
    task->ready.next = *place;
    *place = &task->ready;
}

void coro_task_destroy(struct coro_task *task)
{
    free_task(task->loop, task);
}

/* A task that has ended can't be used again while it stands on its stack: the
 * next one to run frees it. */
static inline void bury(struct coro_loop *loop)
{
    struct coro_task *task = loop->ended;
    if (!task)
        return;
    loop->ended = NULL;
    coro_sanitize_end(&task->notes);
    if (--task->nrefs == 0)
        free_task(loop, task);
}

static _Noreturn __attribute__((noinline, cold)) void overflowed(
    const struct coro_task *task)
{
    fprintf(stderr,
            "stack overflow in task '%s' (%llu): its stack has %zu bytes\n",
            task->name, (unsigned long long)task->id,
            (size_t)(task->stack.top - task->stack.bottom));
    abort();
}

/* Leaves the running task for the next one; returns when it is run again, which
 * is then the running task: to find it so takes less than to keep it. */
static __attribute__((noinline)) int suspend(struct coro_loop *loop,
                                             struct coro_task *self)
{
    if (__builtin_expect(self->traits & CORO_TASK_HAS_CANARY, 0) &&
        !coro_stack_is_sound(&self->stack))
        overflowed(self);
    struct coro_task *next = next_task(loop);
    if (next == self) {
        self->state = CORO_TASK_RUNNING;
        return self->wake_status;
    }
    self->since_ms = loop->wheel.now_ms;
    set_current(loop, next);
    if (next) {
        next->state = CORO_TASK_RUNNING;
        coro_sanitize_leave(&self->notes, &next->notes, false);
        coro_context_switch(&self->context, &next->context);
    } else {
        coro_sanitize_leave(&self->notes, &loop->notes, false);
        coro_context_switch(&self->context, &loop->context);
    }
    /* By the thread's own variable: from `loop` the compiler would have taken
     * the address before the switch, and kept that. */
    self = coro_loop_running(current_loop);
    coro_sanitize_arrive(&self->notes, &loop->notes);
    bury(loop);
    return self->wake_status;
}

/* From the loop's frame into @task; returns when a task came back here. */
static __attribute__((noinline)) void enter(struct coro_loop *loop,
                                            struct coro_task *task)
{
    set_current(loop, task);
    task->state = CORO_TASK_RUNNING;
    coro_sanitize_leave(&loop->notes, &task->notes, false);
    coro_context_switch(&loop->context, &task->context);
    coro_sanitize_arrive(&loop->notes, &loop->notes);
    bury(loop);
}

static void run_errands(struct coro_loop *loop)
{
    while (loop->errand.function) {
        struct coro_errand errand = loop->errand;
        loop->errand.function = NULL;
        atomic_store_explicit(&loop->served, errand.task, memory_order_relaxed);
        errand.function(errand.argument);
        atomic_store_explicit(&loop->served, NULL, memory_order_relaxed);
        enter(loop, errand.task);
    }
}

void coro_schedule_pass(struct coro_loop *loop)
{
    loop->pass_last = coro_schedule_has_ready(loop) ? loop->ready_last : NULL;
    atomic_store_explicit(
        &loop->npasses,
        atomic_load_explicit(&loop->npasses, memory_order_relaxed) + 1,
        memory_order_relaxed);
    while (loop->pass_last) {
        struct coro_callback *ready = coro_ready_pop(loop);
        if (ready->run) {
            ready->is_queued = false;
            ready->run(ready);
            continue;
        }
        enter(loop, coro_ready_task(ready));
        run_errands(loop);
    }
}

void coro_call_on_loop_stack(void (*function)(void *argument), void *argument)
{
    struct coro_task *self = coro_task_current();
    if (!self) {
        function(argument);
        return;
    }
    struct coro_loop *loop = self->loop;
    /* With nothing left in the pass, suspend() goes to the loop's frame, which
     * comes back here when the errand is done. */
    struct coro_callback *pass_last = loop->pass_last;
    loop->pass_last = NULL;
    loop->errand = (struct coro_errand){function, argument, self};
    int wake_status = self->wake_status;
    suspend(loop, self);
    self->wake_status = wake_status;
    loop->pass_last = pass_last;
}

/* --- parking and waking -------------------------------------------------- */

static inline struct coro_task *running_task(void)
{
    struct coro_task *self = coro_task_current();
    ensure(self && "a suspending function needs to be called by a task");
    ensure(!self->is_ending && "what was deferred can't suspend");
    return self;
}

static bool take_cancellation(struct coro_task *self)
{
    if (__builtin_expect(!self->is_cancelling, 1))
        return false;
    self->is_cancelling = false;
    return true;
}

static void wake_late(struct coro_timer *timer)
{
    coro_wake(list_entry(timer, struct coro_task, timer), -ETIMEDOUT);
}

static void wake_rested(struct coro_timer *timer)
{
    coro_wake(list_entry(timer, struct coro_task, timer), 0);
}

int coro_park_for(struct list *waiters, int64_t deadline_ms,
                  const char *waits_for)
{
    struct coro_task *self = running_task();
    struct coro_loop *loop = current_loop;
    if (take_cancellation(self))
        return -ECANCELED;
    if (deadline_ms != CORO_NEVER) {
        if (deadline_ms <= loop->wheel.now_ms)
            return -ETIMEDOUT;
        self->timer.fire = wake_late;
        coro_wheel_add(&loop->wheel, &self->timer, deadline_ms);
    }
    if (waiters)
        list_append(waiters, &self->waiting);
    self->waits_for = waits_for;
    self->state = CORO_TASK_WAITING;
    return suspend(loop, self);
}

int coro_sleep_until(int64_t deadline_ms)
{
    struct coro_task *self = running_task();
    struct coro_loop *loop = current_loop;
    if (deadline_ms <= loop->wheel.now_ms)
        return coro_relax();
    if (take_cancellation(self))
        return -ECANCELED;
    self->timer.fire = wake_rested;
    self->waits_for = "sleep";
    coro_wheel_add(&loop->wheel, &self->timer, deadline_ms);
    self->state = CORO_TASK_WAITING;
    return suspend(loop, self);
}

int coro_sleep(int64_t delay_ms)
{
    return delay_ms <= 0 ? coro_relax()
                         : coro_sleep_until(coro_after(delay_ms));
}

int coro_relax(void)
{
    struct coro_task *self = running_task();
    struct coro_loop *loop = current_loop;
    if (take_cancellation(self))
        return -ECANCELED;
    self->wake_status = 0;
    self->state = CORO_TASK_READY;
    coro_ready_push(loop, &self->ready);
    return suspend(loop, self);
}

void coro_wake(struct coro_task *task, int status)
{
    ensure(task->state == CORO_TASK_WAITING);
    check_thread(task->loop);
    list_remove(&task->waiting);
    coro_timer_stop(&task->timer);
    task->wake_status = status;
    task->state = CORO_TASK_READY;
    coro_ready_push(task->loop, &task->ready);
}

bool coro_wake_first(struct list *waiters, int status)
{
    if (list_is_empty(waiters))
        return false;
    coro_wake(list_entry(waiters->next, struct coro_task, waiting), status);
    return true;
}

/* --- birth and death ----------------------------------------------------- */

static inline void tell_end(struct coro_task *self, int result)
{
    struct coro_future *ended = &self->ended;
    ended->status = result;
    if (list_is_empty(&ended->waiters) && !ended->callbacks)
        ended->state = CORO_FUTURE_DONE;
    else
        coro_future_set(ended, result, ended->value);
    if (self->group) {
        list_remove(&self->in_group);
        coro_group_left(self->group, self);
    }
}

static __attribute__((noinline)) void run_deferred(struct coro_task *self)
{
    self->is_ending = true;
    coro_defer_run_all(&self->deferred);
}

/* The last switch of a task. It is made from its first frame, by a jump: calls
 * that never return would put the processor's return predictor out of step. */
static inline _Noreturn void leave_for_ever(struct coro_loop *loop,
                                            struct coro_task *self)
{
    struct coro_task *next = next_task(loop);
    loop->ended = self;
    set_current(loop, next);
    if (next)
        next->state = CORO_TASK_RUNNING;
    coro_sanitize_leave(&self->notes, next ? &next->notes : &loop->notes, true);
    coro_context_leave(&self->context, next ? &next->context : &loop->context);
}

/* The first frame of each task's stack. */
static _Noreturn void task_main(void)
{
    coro_context_is_first();
    struct coro_loop *loop = current_loop;
    struct coro_task *self = coro_loop_running(loop);
    coro_sanitize_arrive(&self->notes, &loop->notes);
    /* Where one is new, the next one often is. */
    coro_ready_fetch_life(loop->ready_first);
    bury(loop);
    int result = -ECANCELED;
    if (!take_cancellation(self))
        result = self->function(self->argument);
    if ((self->traits & CORO_TASK_HAS_CANARY) &&
        !coro_stack_is_sound(&self->stack))
        overflowed(self);
    if (self->deferred)
        run_deferred(self);
    self->state = CORO_TASK_DONE;
    self->is_cancelling = false;
    list_remove(&self->all);
    loop->ntasks--;
    tell_end(self, result);
    leave_for_ever(loop, self);
}

/* The idle one freed last, else a new one; NULL: no memory. */
static inline struct coro_task *take_task(struct coro_loop *loop, bool is_large)
{
    struct coro_callback **place = idle_place(loop, is_large);
    struct coro_callback *idle = *place;
    if (!idle)
        return coro_task_make(loop, is_large);
    *place = idle->next;
    coro_ready_fetch_life(idle->next);
    return coro_ready_task(idle);
}

/* As coro_tag(), which a task that spawns need not call. */
static inline uint64_t tag_of_spawner(void)
{
    const struct coro_task *self = coro_task_current();
    return self ? self->tag : coro_tag();
}

/* Whatever of @task may differ from one life to the next, but its purpose. */
static inline void begin_life(struct coro_loop *loop, struct coro_task *task)
{
    char *floor = task->stack.bottom;
    if ((task->traits & CORO_TASK_HAS_CANARY))
        floor += CORO_STACK_CANARY_BYTES;
    coro_sanitize_begin(&task->notes, floor, (size_t)(task->stack.top - floor));
    coro_context_init(&task->context, floor, task, task_main);
    task->since_ms = loop->wheel.now_ms;
    task->wake_status = 0;
    task->state = CORO_TASK_NEW;
    task->is_cancelling = false;
    task->is_ending = false;
    task->id = ++loop->last_id;
    atomic_store_explicit(&task->tag, tag_of_spawner(), memory_order_relaxed);
    task->ncancels = 0;
    task->ended.value = NULL;
    task->ended.status = 0;
    task->ended.state = CORO_FUTURE_PENDING;
    task->group = NULL;
}

int coro_spawn(struct coro_loop *loop, coro_task_fn *function, void *argument,
               const struct coro_spawn_options *options,
               struct coro_task **ret_task)
{
    static const struct coro_spawn_options defaults;
    if (!options)
        options = &defaults;
    check_thread(loop);
    if (loop->is_closing)
        return -ESHUTDOWN;
    struct coro_task *task = take_task(loop, options->large_stack);
    if (!task)
        return -ENOMEM;
    begin_life(loop, task);
    task->function = function;
    task->argument = argument;
    task->name = options->name ? options->name : "task";
    task->nrefs = ret_task ? 2 : 1;
    list_append(&loop->tasks, &task->all);
    loop->ntasks++;
    coro_ready_push(loop, &task->ready);
    if (ret_task)
        *ret_task = task;
    return 0;
}
