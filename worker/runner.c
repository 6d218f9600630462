#include "worker/runner.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "coro/core/sample.h"
#include "coro/sched/fault.h"
#include "worker/blame.h"
#include "worker/log.h"

#define THREAD_STACK_BYTES ((size_t)1 << 20)

struct runner {
    struct coro_loop *loop;
    struct pool pool;
    struct blame blame;
    struct coro_submit down;
    struct coro_source log; /* writes the log out once a turn */
    struct coro_callback stopped;
    struct message farewell;
    pthread_mutex_t asking; /* held while a request is being pushed */
    pthread_t thread;
    struct coro_thread seen; /* the same, for others to look at, once */
    atomic_bool is_seen;     /* this is true */
    bool has_told_guards;
};

static int stop_when_idle(void *argument)
{
    struct runner *runner = argument;
    coro_group_wait(&runner->pool.group, CORO_NEVER);
    coro_loop_stop(runner->loop);
    return 0;
}

static void stop(struct runner *runner)
{
    static const struct coro_spawn_options options = {.name = "stop"};
    pool_stop(&runner->pool);
    coro_spawn(runner->loop, stop_when_idle, runner, &options, NULL);
}

static void handle_request(struct runner *runner, enum message_kind kind)
{
    switch (kind) {
    case MESSAGE_CANCEL_ALL:
        pool_cancel_jobs(&runner->pool);
        break;
    case MESSAGE_DUMP:
        pool_dump(&runner->pool);
        break;
    case MESSAGE_STOP:
        stop(runner);
        break;
    case MESSAGE_JOB:
    case MESSAGE_OUTCOME:
    case MESSAGE_FEWER:
    case MESSAGE_STOPPED:
        break;
    }
}

static void receive(void *argument, struct coro_submit_node *node)
{
    struct runner *runner = argument;
    while (node) {
        struct coro_submit_node *next = node->next;
        struct message *message = list_entry(node, struct message, node);
        if (message->kind == MESSAGE_JOB) {
            pool_add(&runner->pool, list_entry(message, struct job, message));
        } else {
            handle_request(runner, message->kind);
            free(message);
        }
        node = next;
    }
}

/* Weaker guards than the best must not go unnoticed. */
static void tell_guards(struct runner *runner)
{
    const struct coro_stack_pool *stacks = coro_loop_stacks(runner->loop);
    if (runner->has_told_guards || stacks->ncanaries == 0)
        return;
    runner->has_told_guards = true;
    log_line(LOG_LEVEL_WARN, "worker", NULL, 0,
             "no more guard pages to be had from this kernel after %zu stacks: "
             "the rest is checked for overflow only when a coroutine suspends",
             stacks->nstacks - stacks->ncanaries);
}

static void end_turn(struct coro_source *source)
{
    tell_guards(list_entry(source, struct runner, log));
    log_flush();
}

/* The request to stop may be seen here before the push that brought it has
 * returned; until then that push may still wake the loop. */
static void wait_for_push(struct runner *runner)
{
    pthread_mutex_lock(&runner->asking);
    pthread_mutex_unlock(&runner->asking);
}

/* What can't be done here only says less when something goes wrong. */
static void show_thread(struct runner *runner)
{
    coro_fault_watch();
    coro_sample_allow();
    coro_thread_self(&runner->seen);
    atomic_store(&runner->is_seen, true);
}

/* The thread frees its loop itself: tasks that are left end as they ran. */
static void *run(void *argument)
{
    struct runner *runner = argument;
    show_thread(runner);
    coro_loop_run_forever(runner->loop);
    coro_sample_forbid();
    wait_for_push(runner);
    struct coro_submit_node *rest = coro_submit_close(&runner->down);
    if (rest)
        receive(runner, rest);
    coro_loop_free(runner->loop);
    pool_release(&runner->pool);
    coro_fault_unwatch();
    log_thread_end();
    coro_submit_push(runner->pool.options.up, &runner->farewell.node);
    return NULL;
}

static int start_thread(struct runner *runner)
{
    sigset_t all, before;
    sigfillset(&all);
    coro_fault_unblock(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* Not what `ulimit -s` says: the loop's own frames need little, but some. */
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    int error = pthread_create(&runner->thread, &attributes, run, runner);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* calloc() would not align the submit queue as its type demands. */
static struct runner *runner_new(void)
{
    size_t align = alignof(struct runner);
    struct runner *runner =
        aligned_alloc(align, (sizeof *runner + align - 1) / align * align);
    if (runner)
        memset(runner, 0, sizeof *runner);
    return runner;
}

int runner_start(const struct pool_options *options, struct runner **ret_runner)
{
    struct runner *runner = runner_new();
    if (!runner)
        return -ENOMEM;
    int status = coro_loop_new(NULL, &runner->loop);
    if (status < 0) {
        free(runner);
        return status;
    }
    /* Before the pool: what a job has logged is written before its outcome is
     * told, so that no death of ours leaves a job done without its lines. */
    runner->log.flush = end_turn;
    coro_loop_add_source(runner->loop, &runner->log);
    status = pool_init(&runner->pool, runner->loop, options);
    if (status < 0) {
        coro_loop_free(runner->loop);
        free(runner);
        return status;
    }
    coro_submit_open(&runner->down, runner->loop, receive, runner);
    runner->farewell.kind = MESSAGE_STOPPED;
    pthread_mutex_init(&runner->asking, NULL);
    blame_start(&runner->blame, options->vitals, &runner->pool);
    status = start_thread(runner);
    if (status < 0) {
        blame_stop(&runner->blame);
        coro_submit_close(&runner->down);
        coro_loop_free(runner->loop);
        pool_release(&runner->pool);
        pthread_mutex_destroy(&runner->asking);
        free(runner);
        return status;
    }
    *ret_runner = runner;
    return 0;
}

void runner_submit(struct runner *runner, struct job *newest,
                   struct job *oldest)
{
    coro_submit_push_chain(&runner->down, &newest->message.node,
                           &oldest->message.node);
}

int runner_request(struct runner *runner, enum message_kind kind)
{
    struct message *message = calloc(1, sizeof *message);
    if (!message)
        return -ENOMEM;
    message->kind = kind;
    pthread_mutex_lock(&runner->asking);
    int status = coro_submit_push(&runner->down, &message->node);
    pthread_mutex_unlock(&runner->asking);
    if (status < 0)
        free(message);
    return status;
}

void runner_pulse(const struct runner *runner, struct coro_pulse *ret_pulse)
{
    coro_loop_pulse(runner->loop, ret_pulse);
}

bool runner_thread(const struct runner *runner, struct coro_thread *ret_thread)
{
    if (!atomic_load(&runner->is_seen))
        return false;
    *ret_thread = runner->seen;
    return true;
}

const struct coro_symbols *runner_symbols(const struct runner *runner)
{
    return &runner->blame.symbols;
}

void runner_join(struct runner *runner)
{
    pthread_join(runner->thread, NULL);
    blame_stop(&runner->blame);
    pthread_mutex_destroy(&runner->asking);
    free(runner);
}

void runner_abandon(struct runner *runner)
{
    pthread_detach(runner->thread);
}
