#include "coro/sched/loop.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "coro/base/clock.h"
#include "coro/base/ensure.h"
#include "coro/sched/schedule.h"

/* While there are tasks to run, I/O is looked at after a pass, but not again
 * within this time: a look costs as much as hundreds of switches. */
#define IO_EVERY_NS 20000

/* How often coro_loop_free() cancels what is left before it drops it. */
#define CANCEL_ROUNDS 8
#define CANCEL_PASSES 1000

struct event_base *coro_loop_event_base(struct coro_loop *loop)
{
    return loop->base;
}

int64_t coro_loop_now_ms(const struct coro_loop *loop)
{
    return loop->wheel.now_ms;
}

size_t coro_loop_ntasks(const struct coro_loop *loop)
{
    return loop->ntasks;
}

/* A task lies in its stack, which stays mapped when it has ended, and nothing
 * but another task's tag comes to lie where its tag was. */
void coro_loop_pulse(const struct coro_loop *loop, struct coro_pulse *ret_pulse)
{
    uint64_t turns = atomic_load_explicit(&loop->npasses, memory_order_acquire);
    const struct coro_task *task = coro_loop_served(loop);
    uint64_t tag =
        task ? atomic_load_explicit(&task->tag, memory_order_acquire) : 0;
    *ret_pulse = (struct coro_pulse){
        .turns = turns,
        .is_asleep =
            atomic_load_explicit(&loop->is_asleep, memory_order_relaxed),
    };
    if (coro_loop_served(loop) != task ||
        atomic_load_explicit(&loop->npasses, memory_order_relaxed) != turns)
        return;
    ret_pulse->task = (uintptr_t)task;
    ret_pulse->tag = tag;
}

const struct coro_stack_pool *coro_loop_stacks(const struct coro_loop *loop)
{
    return &loop->stacks;
}

void coro_loop_each_task(struct coro_loop *loop,
                         void (*visit)(struct coro_task *task, void *argument),
                         void *argument)
{
    list_foreach (link, &loop->tasks)
        visit(list_entry(link, struct coro_task, all), argument);
}

/* --- sources ------------------------------------------------------------- */

void coro_loop_forget(struct coro_loop *loop, struct coro_callback *callback)
{
    ensure(callback->is_queued);
    struct coro_callback *before = NULL;
    struct coro_callback *at = loop->ready_first;
    for (; at && at != callback; at = at->next)
        before = at;
    ensure(at);
    *(before ? &before->next : &loop->ready_first) = callback->next;
    if (!callback->next)
        loop->ready_last = before;
    if (callback == loop->pass_last)
        loop->pass_last = before;
    callback->is_queued = false;
}

void coro_loop_add_source(struct coro_loop *loop, struct coro_source *source)
{
    list_append(&loop->sources, &source->link);
}

void coro_loop_remove_source(struct coro_source *source)
{
    if (source->link.next)
        list_remove(&source->link);
}

/* Each source once; what is called may add and remove any of them. */
static void call_sources(struct coro_loop *loop, bool is_flush)
{
    struct list left;
    list_init(&left);
    list_move_all(&left, &loop->sources);
    struct list *link;
    while ((link = list_take_first(&left))) {
        struct coro_source *source = list_entry(link, struct coro_source, link);
        void (*function)(struct coro_source *) =
            is_flush ? source->flush : source->poll;
        list_append(&loop->sources, link);
        if (function)
            function(source);
    }
}

static void poll_sources(struct coro_loop *loop)
{
    call_sources(loop, false);
}

static void flush_sources(struct coro_loop *loop)
{
    call_sources(loop, true);
}

static bool arm_sources(struct coro_loop *loop)
{
    bool all_idle = true;
    list_foreach (link, &loop->sources) {
        struct coro_source *source = list_entry(link, struct coro_source, link);
        if (source->arm && !source->arm(source))
            all_idle = false;
    }
    return all_idle;
}

/* --- waking up ----------------------------------------------------------- */

void coro_loop_wake(struct coro_loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* Only a full counter fails, and that wakes too. */
}

void coro_loop_stop(struct coro_loop *loop)
{
    atomic_store(&loop->is_stopped, true);
    atomic_store(&loop->stop, true);
    coro_loop_wake(loop);
}

bool coro_loop_is_stopped(struct coro_loop *loop)
{
    return atomic_load(&loop->is_stopped);
}

/* Both descriptors are watched edge-triggered, so that nobody has to read them:
 * each write, each expiry is an edge. What there is to do is found out by the
 * next turn anyway. */
static void on_edge(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    (void)argument;
}

static void set_timer(struct coro_loop *loop)
{
    int64_t next_ms = coro_wheel_next_ms(&loop->wheel);
    if (next_ms == loop->timer_set_ms)
        return;
    struct itimerspec when = {.it_value = {0, 0}};
    if (next_ms != CORO_NEVER) {
        when.it_value.tv_sec = next_ms / 1000;
        when.it_value.tv_nsec = next_ms % 1000 * 1000000;
    }
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->timer_set_ms = next_ms;
}

static void look_at_io(struct coro_loop *loop)
{
    bool is_soon = loop->now_ns - loop->io_looked_ns < IO_EVERY_NS;
    if (coro_schedule_has_ready(loop) && is_soon)
        return;
    loop->io_looked_ns = loop->now_ns;
    bool may_sleep = !coro_schedule_has_ready(loop) &&
                     !atomic_load(&loop->stop) && arm_sources(loop);
    if (!may_sleep) {
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
        return;
    }
    set_timer(loop);
    atomic_store_explicit(&loop->is_asleep, true, memory_order_relaxed);
    event_base_loop(loop->base, EVLOOP_ONCE);
    atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
}

/* --- turns --------------------------------------------------------------- */

static void advance_clock(struct coro_loop *loop)
{
    loop->now_ns = coro_now_ns();
    int64_t now_ms = loop->now_ns / 1000000;
    if (loop->timer_set_ms <= now_ms)
        loop->timer_set_ms = CORO_NEVER;
    coro_wheel_advance(&loop->wheel, now_ms);
}

static void turn(struct coro_loop *loop)
{
    advance_clock(loop);
    poll_sources(loop);
    coro_schedule_pass(loop);
    flush_sources(loop);
    look_at_io(loop);
}

static void start(struct coro_loop *loop)
{
    ensure(!loop->is_running && "a loop can't be run or freed from inside");
    coro_schedule_own(loop);
    coro_schedule_enter(loop);
    coro_sanitize_begin_thread(&loop->notes);
    loop->is_running = true;
    /* A stop that came before the run ends it; it still refuses. */
    if (!atomic_load(&loop->stop))
        atomic_store(&loop->is_stopped, loop->is_closing);
    advance_clock(loop);
}

static void finish(struct coro_loop *loop)
{
    loop->is_running = false;
    atomic_store(&loop->stop, false);
    coro_schedule_enter(NULL);
}

void coro_loop_run_forever(struct coro_loop *loop)
{
    start(loop);
    do
        turn(loop);
    while (!atomic_load(&loop->stop));
    finish(loop);
}

struct completion {
    struct coro_callback callback;
    struct coro_loop *loop;
};

static void on_complete(struct coro_callback *callback)
{
    struct completion *completion =
        list_entry(callback, struct completion, callback);
    atomic_store(&completion->loop->stop, true);
}

int coro_loop_run_until_complete(struct coro_loop *loop, struct coro_task *task,
                                 int *ret_result)
{
    struct completion completion = {.callback.run = on_complete, .loop = loop};
    ensure(task->loop == loop && "a task is run by the loop that it is of");
    start(loop);
    struct coro_future *ended = coro_task_future(task);
    coro_future_add_callback(ended, &completion.callback);
    /* Once it is queued it must be called: it lies in this frame. */
    while (!atomic_load(&loop->stop) || completion.callback.is_queued)
        turn(loop);
    if (!coro_future_is_done(ended))
        coro_future_remove_callback(ended, &completion.callback);
    finish(loop);
    if (!coro_future_is_done(ended))
        return -EINTR;
    if (ret_result)
        *ret_result = coro_future_status(ended);
    return 0;
}

/* --- birth and death ----------------------------------------------------- */

static int add_event(struct coro_loop *loop, int fd, struct event **ret_event)
{
    if (fd < 0)
        return -errno;
    struct event *event =
        event_new(loop->base, fd, EV_READ | EV_PERSIST | EV_ET, on_edge, loop);
    if (!event)
        return -ENOMEM;
    *ret_event = event;
    return event_add(event, NULL) < 0 ? -ENOMEM : 0;
}

/* A library does not write to its user's terminal: what libevent would say is
 * in the status that we return. */
static void ignore_message(int severity, const char *message)
{
    (void)severity;
    (void)message;
}

/* Without libevent's list of changes, which saves system calls: by it epoll is
 * told to forget a descriptor only when the loop next looks, and a waiter may
 * have closed it by then. */
static int open_base(struct coro_loop *loop)
{
    event_set_log_callback(ignore_message);
    struct event_config *config = event_config_new();
    if (!config)
        return -ENOMEM;
    event_config_require_features(config, EV_FEATURE_ET);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    errno = 0;
    loop->base = event_base_new_with_config(config);
    int error = errno;
    event_config_free(config);
    if (!loop->base)
        return error == EMFILE || error == ENFILE ? -error : -ENOMEM;
    return 0;
}

static int open_descriptors(struct coro_loop *loop)
{
    int status = open_base(loop);
    if (status < 0)
        return status;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    status = add_event(loop, loop->wake_fd, &loop->wake_event);
    if (status < 0)
        return status;
    loop->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return add_event(loop, loop->timer_fd, &loop->timer_event);
}

static void destroy(struct coro_loop *loop)
{
    if (loop->timer_event)
        event_free(loop->timer_event);
    if (loop->wake_event)
        event_free(loop->wake_event);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    coro_stack_pool_release(&loop->stacks);
    coro_stack_pool_release(&loop->large_stacks);
    coro_loop_unref(loop);
}

struct coro_loop *coro_loop_ref(struct coro_loop *loop)
{
    atomic_fetch_add_explicit(&loop->nrefs, 1, memory_order_relaxed);
    return loop;
}

void coro_loop_unref(struct coro_loop *loop)
{
    if (!loop || atomic_fetch_sub(&loop->nrefs, 1) != 1)
        return;
    /* Until now somebody may have been about to wake it. */
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    free(loop);
}

static struct coro_loop *allocate(const struct coro_loop_options *options)
{
    struct coro_loop *loop =
        aligned_alloc(alignof(struct coro_loop), sizeof *loop);
    if (!loop)
        return NULL;
    memset(loop, 0, sizeof *loop);
    atomic_init(&loop->nrefs, 1);
    loop->max_threads = options->max_threads;
    loop->thread_idle_ms = options->thread_idle_ms;
    loop->timer_fd = -1;
    loop->wake_fd = -1;
    loop->timer_set_ms = CORO_NEVER;
    coro_schedule_own(loop);
    list_init(&loop->tasks);
    list_init(&loop->sources);
    list_init(&loop->remotes);
    coro_inbox_open(&loop->inbox, loop);
    coro_wheel_init(&loop->wheel, coro_now_ms());
    coro_stack_pool_init(&loop->stacks, CORO_STACK_BYTES, options->guard);
    coro_stack_pool_init(&loop->large_stacks, CORO_STACK_BYTES_LARGE,
                         options->guard);
    return loop;
}

int coro_loop_new(const struct coro_loop_options *options,
                  struct coro_loop **ret_loop)
{
    static const struct coro_loop_options defaults = {.guard =
                                                          CORO_GUARD_KERNEL};
    struct coro_loop *loop = allocate(options ? options : &defaults);
    if (!loop)
        return -ENOMEM;
    int status = open_descriptors(loop);
    if (status < 0) {
        destroy(loop);
        return status;
    }
    *ret_loop = loop;
    return 0;
}

/* Cancels every task and lets them run until none of them is ready. */
static void cancel_all(struct coro_loop *loop)
{
    list_foreach (link, &loop->tasks)
        coro_task_cancel(list_entry(link, struct coro_task, all));
    for (int pass = 0; pass < CANCEL_PASSES && coro_schedule_has_ready(loop);
         pass++) {
        coro_schedule_pass(loop);
        flush_sources(loop);
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
    }
}

size_t coro_loop_free(struct coro_loop *loop)
{
    if (!loop)
        return 0;
    size_t nleft = loop->ntasks;
    loop->is_closing = true;
    atomic_store(&loop->is_stopped, true);
    /* It may be another loop's task that frees this one. */
    struct coro_loop *outer = coro_loop_current();
    coro_schedule_enter(NULL);
    start(loop);
    for (int round = 0; round < CANCEL_ROUNDS && loop->ntasks > 0; round++)
        cancel_all(loop);
    list_foreach_safe (link, &loop->tasks)
        coro_task_drop(list_entry(link, struct coro_task, all));
    /* Its threads come last: they may be waiting for one of its tasks. */
    coro_inbox_close(&loop->inbox);
    coro_remote_end_all(loop);
    coro_executor_end(loop);
    finish(loop);
    coro_schedule_enter(outer);
    destroy(loop);
    return nleft;
}

int coro_run(coro_task_fn *function, void *argument, int *ret_result)
{
    struct coro_loop *loop;
    int status = coro_loop_new(NULL, &loop);
    if (status < 0)
        return status;
    struct coro_task *task;
    status = coro_spawn(loop, function, argument,
                        &(struct coro_spawn_options){.name = "main"}, &task);
    if (status == 0) {
        status = coro_loop_run_until_complete(loop, task, ret_result);
        coro_task_unref(task);
    }
    coro_loop_free(loop);
    return status;
}
