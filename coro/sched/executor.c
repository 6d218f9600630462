#include "coro/sched/executor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "coro/base/ensure.h"
#include "coro/sched/deadline.h"
#include "coro/sched/fault.h"
#include "coro/sched/inbox.h"
#include "coro/sched/schedule.h"
#include "coro/sched/tag.h"

#define IDLE_MS 10000

/* Of its thread until it is posted back, then of the loop; `link`, and whether
 * it has started, are guarded by the executor's lock. */
struct job {
    struct coro_post finished;
    struct list link; /* in the queue, until a thread takes it */
    struct coro_thread_work work;
    uint64_t tag; /* of who gave it */
    int result;
    struct coro_future done; /* the loop's alone */
    bool is_abandoned;       /* the loop's alone */
};

struct thread {
    struct coro_post ended; /* posted as the last thing it does */
    struct list link;       /* in threads; the loop's alone */
    pthread_t id;
    struct coro_executor *executor;
};

struct coro_executor {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list queue;
    size_t nidle;    /* threads that look for a job, or are about to */
    size_t nthreads; /* those that have not decided to end */
    bool is_ending;

    struct coro_loop *loop;
    struct list threads; /* the loop's alone: not yet joined */
    size_t max_threads;
    int64_t idle_ms;
};

static struct thread *thread_of(struct coro_post *post)
{
    return list_entry(post, struct thread, ended);
}

/* --- in the threads ------------------------------------------------------- */

static void job_drop(struct job *job)
{
    if (job->work.drop)
        coro_tag_call(job->tag, job->work.drop, job->work.argument);
    free(job);
}

/* The thread counts as idle before anybody hears of the job's end: who then has
 * more to do needs no other thread. */
static void run_job(struct coro_executor *executor, struct job *job)
{
    coro_tag_set(job->tag);
    job->result = job->work.function(job->work.argument);
    coro_tag_set(0);
    pthread_mutex_lock(&executor->lock);
    executor->nidle++;
    pthread_mutex_unlock(&executor->lock);
    /* Refused, it is for nobody: all who could wait have ended. */
    if (coro_loop_post(executor->loop, &job->finished) < 0)
        job_drop(job);
}

/* Waits for a job; NULL: the thread is to end. With the lock held. */
static struct job *next_job(struct coro_executor *executor)
{
    int64_t deadline_ms = coro_after(executor->idle_ms);
    bool is_late = false;
    while (list_is_empty(&executor->queue)) {
        if (executor->is_ending || is_late)
            return NULL;
        is_late = coro_cond_wait(&executor->changed, &executor->lock,
                                 deadline_ms) == -ETIMEDOUT;
    }
    return list_entry(list_take_first(&executor->queue), struct job, link);
}

static void *work(void *argument)
{
    struct thread *thread = argument;
    struct coro_executor *executor = thread->executor;
    coro_fault_watch_executor();
    pthread_mutex_lock(&executor->lock);
    struct job *job;
    while ((job = next_job(executor))) {
        executor->nidle--;
        pthread_mutex_unlock(&executor->lock);
        run_job(executor, job);
        pthread_mutex_lock(&executor->lock);
    }
    executor->nidle--;
    executor->nthreads--;
    pthread_mutex_unlock(&executor->lock);
    coro_fault_unwatch();
    /* Refused, it is coro_executor_end() who joins it. */
    coro_loop_post(executor->loop, &thread->ended);
    return NULL;
}

/* --- threads, seen from the loop ------------------------------------------ */

static void thread_join(struct thread *thread)
{
    pthread_join(thread->id, NULL);
    list_remove(&thread->link);
    free(thread);
}

static void on_thread_ended(struct coro_post *post, int status)
{
    (void)status;
    thread_join(thread_of(post));
}

static int create_thread(struct thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    coro_fault_unblock(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->id, NULL, work, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* With the lock held, which keeps the new thread from running ahead. */
static int start_thread(struct coro_executor *executor)
{
    struct thread *thread = malloc(sizeof *thread);
    if (!thread)
        return -ENOMEM;
    *thread =
        (struct thread){.ended.run = on_thread_ended, .executor = executor};
    int status = create_thread(thread);
    if (status < 0) {
        free(thread);
        return status;
    }
    list_append(&executor->threads, &thread->link);
    executor->nidle++;
    executor->nthreads++;
    return 0;
}

static size_t default_max_threads(void)
{
    long ncores = sysconf(_SC_NPROCESSORS_ONLN);
    return 2 * (ncores > 0 ? (size_t)ncores : 1);
}

static struct coro_executor *executor_of(struct coro_loop *loop)
{
    if (loop->executor)
        return loop->executor;
    struct coro_executor *executor = calloc(1, sizeof *executor);
    if (!executor)
        return NULL;
    pthread_mutex_init(&executor->lock, NULL);
    coro_cond_init(&executor->changed);
    list_init(&executor->queue);
    list_init(&executor->threads);
    executor->loop = loop;
    executor->max_threads =
        loop->max_threads > 0 ? loop->max_threads : default_max_threads();
    executor->idle_ms =
        loop->thread_idle_ms > 0 ? loop->thread_idle_ms : IDLE_MS;
    loop->executor = executor;
    return executor;
}

void coro_executor_end(struct coro_loop *loop)
{
    struct coro_executor *executor = loop->executor;
    if (!executor)
        return;
    struct list dropped;
    list_init(&dropped);
    pthread_mutex_lock(&executor->lock);
    executor->is_ending = true;
    list_move_all(&dropped, &executor->queue);
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->lock);
    struct list *link;
    while ((link = list_take_first(&dropped)))
        job_drop(list_entry(link, struct job, link));
    list_foreach_safe (thread, &executor->threads)
        thread_join(list_entry(thread, struct thread, link));
    pthread_cond_destroy(&executor->changed);
    pthread_mutex_destroy(&executor->lock);
    free(executor);
    loop->executor = NULL;
}

size_t coro_executor_nthreads(void)
{
    struct coro_loop *loop = coro_loop_current();
    if (!loop || !loop->executor)
        return 0;
    struct coro_executor *executor = loop->executor;
    pthread_mutex_lock(&executor->lock);
    size_t nthreads = executor->nthreads;
    pthread_mutex_unlock(&executor->lock);
    return nthreads;
}

/* --- jobs, seen from the loop --------------------------------------------- */

static void on_job_finished(struct coro_post *post, int status)
{
    struct job *job = list_entry(post, struct job, finished);
    if (status < 0 || job->is_abandoned)
        job_drop(job);
    else
        coro_future_set(&job->done, 0, NULL);
}

static int submit(struct coro_executor *executor, struct job *job)
{
    int status = 0;
    pthread_mutex_lock(&executor->lock);
    size_t nwaiting = 1;
    list_foreach (link, &executor->queue)
        if (++nwaiting > executor->nidle)
            break;
    if (nwaiting > executor->nidle &&
        executor->nthreads < executor->max_threads)
        status = start_thread(executor);
    /* Without a new thread, one of those that run will come to it. */
    if (executor->nthreads > 0) {
        list_append(&executor->queue, &job->link);
        pthread_cond_signal(&executor->changed);
        status = 0;
    }
    pthread_mutex_unlock(&executor->lock);
    return status;
}

/* Nobody waits any more: a job that no thread has taken is not run. */
static void abandon(struct coro_executor *executor, struct job *job)
{
    pthread_mutex_lock(&executor->lock);
    bool is_waiting = !list_is_empty(&job->link);
    list_remove(&job->link);
    pthread_mutex_unlock(&executor->lock);
    if (is_waiting || coro_future_is_done(&job->done))
        job_drop(job);
    else
        job->is_abandoned = true;
}

static int job_new(const struct coro_thread_work *work, struct job **ret_job)
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct job){
        .finished.run = on_job_finished, .work = *work, .tag = coro_tag()};
    list_init(&job->link);
    coro_future_init(&job->done);
    *ret_job = job;
    return 0;
}

static int run_in_pool(struct coro_loop *loop,
                       const struct coro_thread_work *work,
                       struct job **ret_job)
{
    if (loop->is_closing)
        return -ESHUTDOWN;
    struct coro_executor *executor = executor_of(loop);
    if (!executor)
        return -ENOMEM;
    int status = job_new(work, ret_job);
    if (status < 0)
        return status;
    status = submit(executor, *ret_job);
    if (status < 0)
        free(*ret_job);
    return status;
}

int coro_run_work_in_thread(const struct coro_thread_work *work,
                            int64_t deadline_ms, int *ret_result)
{
    struct coro_loop *loop = coro_loop_current();
    coro_ensure_task();
    ensure(work->function);
    if (deadline_ms <= coro_loop_now_ms(loop)) {
        if (work->drop)
            work->drop(work->argument);
        return -ETIMEDOUT;
    }
    struct job *job = NULL;
    int status = run_in_pool(loop, work, &job);
    if (status < 0)
        return status;
    status = coro_future_park(&job->done, deadline_ms, "a thread");
    if (status < 0) {
        abandon(loop->executor, job);
        return status;
    }
    if (ret_result)
        *ret_result = job->result;
    free(job);
    return 0;
}

int coro_run_in_thread(int (*function)(void *argument), void *argument,
                       int64_t deadline_ms, int *ret_result)
{
    const struct coro_thread_work work = {.function = function,
                                          .argument = argument};
    return coro_run_work_in_thread(&work, deadline_ms, ret_result);
}
