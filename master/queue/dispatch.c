#include "master/queue/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/sched/schedule.h"
#include "worker/log.h"

static struct job *job_of(struct list *link)
{
    return list_entry(link, struct job, in_flight);
}

void dispatch_nudge(struct dispatch *dispatch)
{
    while (coro_wake_first(&dispatch->credit_waiters, 0))
        ;
}

void dispatch_settled(void *argument)
{
    struct dispatch *dispatch = argument;
    dispatch->nheld--;
    dispatch_nudge(dispatch);
}

/* The worker no longer has @job, or is not to have it any more. */
static void leave_flight(struct dispatch *dispatch, struct job *job)
{
    list_remove(&job->in_flight);
    dispatch->nin_flight--;
    if (dispatch->nin_flight == 0)
        while (coro_wake_first(&dispatch->idle_waiters, 0))
            ;
}

static void interrupt(struct job *job, const char *how)
{
    job_fail(job, "Interrupted", "interrupted: %s", how);
    job->outcome = JOB_OUTCOME_INTERRUPTED;
}

/* What a job that came back up is to become. */
static void conclude(struct dispatch *dispatch, struct job *job)
{
    if (job->outcome == JOB_OUTCOME_INTERRUPTED)
        interrupt(job, "cancelled because the process was ending");
    settle_outcome(dispatch->settle, job);
}

/* The worker keeps the job that it was sent, in whatever state, so what is to
 * be settled is a copy; the job itself is freed when it comes up. */
static void settle_copy(struct dispatch *dispatch, struct job *job,
                        enum job_outcome outcome)
{
    leave_flight(dispatch, job);
    struct job *copy =
        job_new(job->queue, job->number, job->payload, job->payload_len);
    if (!copy) {
        const struct log_field fields[] = {
            log_bytes("queue", job->queue->key, job->queue->key_len),
            log_bytes("payload", job->payload, job->payload_len),
        };
        log_line(LOG_LEVEL_ERROR, NULL, fields, 2,
                 "no memory to settle this job");
        dispatch_settled(dispatch);
        return;
    }
    copy->attempt = job->attempt;
    if (outcome == JOB_OUTCOME_INTERRUPTED)
        interrupt(copy, "its handler did not end when it was cancelled");
    settle_outcome(dispatch->settle, copy);
}

/* The worker has fewer coroutines than it was asked to have: what they can't
 * start goes back, and less is taken from now on. */
static void make_do(struct dispatch *dispatch)
{
    dispatch->concurrency =
        (size_t)counter_read(&dispatch->vitals->counters.coroutines);
    size_t nexcess = dispatch->nin_flight > dispatch->concurrency
                         ? dispatch->nin_flight - dispatch->concurrency
                         : 0;
    struct list *link = dispatch->in_flight.prev;
    while (link != &dispatch->in_flight && nexcess > 0) {
        struct job *job = job_of(link);
        link = link->prev;
        if (!job_revoke(job))
            continue;
        settle_copy(dispatch, job, JOB_OUTCOME_NONE);
        nexcess--;
    }
}

static void receive_outcome(struct dispatch *dispatch, struct job *job)
{
    if (list_is_empty(&job->in_flight)) {
        job_free(job); /* given up, or given back, long since */
        return;
    }
    leave_flight(dispatch, job);
    conclude(dispatch, job);
}

static void receive(void *argument, struct coro_submit_node *node)
{
    struct dispatch *dispatch = argument;
    while (node) {
        struct coro_submit_node *next = node->next;
        struct message *message = list_entry(node, struct message, node);
        node = next;
        if (message->kind == MESSAGE_OUTCOME) {
            receive_outcome(dispatch, list_entry(message, struct job, message));
        } else if (message->kind == MESSAGE_FEWER) {
            make_do(dispatch);
        } else {
            dispatch->has_stopped = true;
            while (coro_wake_first(&dispatch->stop_waiters, 0))
                ;
        }
    }
    if (dispatch_credit(dispatch) > 0)
        dispatch_nudge(dispatch);
}

int dispatch_start(struct dispatch *dispatch, struct coro_loop *loop,
                   const struct dispatch_options *options)
{
    *dispatch = (struct dispatch){
        .loop = loop,
        .settle = options->settle,
        .vitals = options->vitals,
        .concurrency = options->concurrency,
    };
    if (!dispatch->vitals)
        dispatch->vitals = dispatch->own_vitals =
            vitals_new(options->concurrency);
    if (!dispatch->vitals)
        return -ENOMEM;
    list_init(&dispatch->in_flight);
    list_init(&dispatch->credit_waiters);
    list_init(&dispatch->idle_waiters);
    list_init(&dispatch->stop_waiters);
    coro_submit_open(&dispatch->up, loop, receive, dispatch);
    int status = runner_start(
        &(struct pool_options){
            .concurrency = options->concurrency,
            .registry = options->registry,
            .up = &dispatch->up,
            .vitals = dispatch->vitals,
        },
        &dispatch->runner);
    if (status < 0) {
        coro_submit_close(&dispatch->up);
        dispatch_release(dispatch);
    }
    return status;
}

void dispatch_release(struct dispatch *dispatch)
{
    free(dispatch->own_vitals);
    dispatch->own_vitals = NULL;
    dispatch->vitals = NULL;
}

const struct job *dispatch_find(const struct dispatch *dispatch,
                                uint64_t number)
{
    list_foreach (link, &dispatch->in_flight)
        if (job_of(link)->number == number)
            return job_of(link);
    return NULL;
}

void dispatch_add(struct dispatch *dispatch, struct dispatch_burst *burst,
                  struct job *job)
{
    if (dispatch->is_draining || dispatch_credit(dispatch) == 0) {
        dispatch_return(dispatch, job);
        return;
    }
    dispatch->nheld++;
    list_append(&dispatch->in_flight, &job->in_flight);
    dispatch->nin_flight++;
    job->message.node.next =
        burst->newest ? &burst->newest->message.node : NULL;
    burst->newest = job;
    if (!burst->oldest)
        burst->oldest = job;
}

void dispatch_return(struct dispatch *dispatch, struct job *job)
{
    dispatch->nheld++;
    settle_give_back(dispatch->settle, job);
}

void dispatch_refuse(struct dispatch *dispatch, struct job *job)
{
    dispatch->nheld++;
    settle_failed(dispatch->settle, job);
}

void dispatch_send(struct dispatch *dispatch, struct dispatch_burst *burst)
{
    if (burst->newest)
        runner_submit(dispatch->runner, burst->newest, burst->oldest);
    *burst = (struct dispatch_burst){NULL, NULL};
}

static void return_waiting(struct dispatch *dispatch)
{
    list_foreach_safe (link, &dispatch->in_flight) {
        struct job *job = job_of(link);
        if (job_revoke(job))
            settle_copy(dispatch, job, JOB_OUTCOME_NONE);
    }
}

void dispatch_drain(struct dispatch *dispatch)
{
    dispatch->is_draining = true;
    return_waiting(dispatch);
}

void dispatch_hold(struct dispatch *dispatch)
{
    dispatch_pause(dispatch);
    return_waiting(dispatch);
}

void dispatch_pause(struct dispatch *dispatch)
{
    dispatch->nholds++;
}

void dispatch_let_go(struct dispatch *dispatch)
{
    dispatch->nholds--;
    dispatch_nudge(dispatch);
}

size_t dispatch_give_up(struct dispatch *dispatch)
{
    size_t ngiven_up = 0;
    list_foreach_safe (link, &dispatch->in_flight) {
        settle_copy(dispatch, job_of(link), JOB_OUTCOME_INTERRUPTED);
        ngiven_up++;
    }
    return ngiven_up;
}

int dispatch_wait_idle(struct dispatch *dispatch, int64_t deadline_ms)
{
    while (dispatch->nin_flight > 0) {
        if (dispatch->is_hurried) {
            dispatch->is_hurried = false;
            return -EINTR;
        }
        int status = coro_park(&dispatch->idle_waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    return 0;
}

void dispatch_hurry(struct dispatch *dispatch)
{
    dispatch->is_hurried = true;
    while (coro_wake_first(&dispatch->idle_waiters, 0))
        ;
}

void dispatch_cancel(struct dispatch *dispatch)
{
    runner_request(dispatch->runner, MESSAGE_CANCEL_ALL);
}

static bool stops(struct dispatch *dispatch, int64_t deadline_ms)
{
    if (runner_request(dispatch->runner, MESSAGE_STOP) < 0)
        return false;
    while (!dispatch->has_stopped)
        if (coro_park(&dispatch->stop_waiters, deadline_ms) == -ETIMEDOUT)
            return false;
    return true;
}

int dispatch_stop(struct dispatch *dispatch, int64_t deadline_ms)
{
    if (!stops(dispatch, deadline_ms)) {
        runner_abandon(dispatch->runner);
        return -ETIMEDOUT;
    }
    runner_join(dispatch->runner);
    struct coro_submit_node *rest = coro_submit_close(&dispatch->up);
    if (rest)
        receive(dispatch, rest);
    return 0;
}
