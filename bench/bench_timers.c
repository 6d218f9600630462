/*
 * Timers, and many coroutines that sleep at once, beside libevent's heap.
 */
#include <stdlib.h>

#include <event2/event.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "coro/base/random.h"
#include "coro/coro.h"
#include "coro/sched/wheel.h"

#define NSLEEPS    100000
#define SLEEP_MS   1000
#define STEPS      1000000
#define HORIZON_MS 60000

#define SLEEP_ROUNDS 4

static struct coro_rng rng;

/* --- stop one, add one, with many pending --------------------------------- */

static void never_fires(struct coro_timer *timer)
{
    (void)timer;
}

static double wheel_ns(void *argument)
{
    size_t npending = *(size_t *)argument;
    struct coro_wheel *wheel = malloc(sizeof *wheel);
    struct coro_timer *timers = calloc(npending, sizeof *timers);
    if (!wheel || !timers)
        give_up("no memory");
    coro_wheel_init(wheel, 0);
    for (size_t i = 0; i < npending; i++) {
        coro_timer_init(&timers[i], never_fires);
        coro_wheel_add(wheel, &timers[i],
                       1 + (int64_t)coro_rng_below(&rng, HORIZON_MS));
    }
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < STEPS; i++) {
        struct coro_timer *timer = &timers[i % npending];
        coro_timer_stop(timer);
        coro_wheel_add(wheel, timer, 1 + (int64_t)(i * 7919 % HORIZON_MS));
    }
    double ns = (double)(measure_thread_ns() - start_ns) / STEPS;
    free(timers);
    free(wheel);
    return ns;
}

static void on_event(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    int *nfired = argument;
    ++*nfired;
}

static struct timeval timeval_of(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static double heap_ns(void *argument)
{
    size_t npending = *(size_t *)argument;
    size_t nsteps = STEPS / 4;
    int nfired = 0;
    struct event_base *base = event_base_new();
    struct event **events = calloc(npending, sizeof *events);
    if (!base || !events)
        give_up("no memory");
    for (size_t i = 0; i < npending; i++) {
        events[i] = evtimer_new(base, on_event, &nfired);
        struct timeval delay = timeval_of(1 + coro_rng_below(&rng, HORIZON_MS));
        evtimer_add(events[i], &delay);
    }
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < nsteps; i++) {
        struct event *event = events[i % npending];
        struct timeval delay = timeval_of(1 + i * 7919 % HORIZON_MS);
        evtimer_del(event);
        evtimer_add(event, &delay);
    }
    double ns = (double)(measure_thread_ns() - start_ns) / (double)nsteps;
    for (size_t i = 0; i < npending; i++)
        event_free(events[i]);
    free(events);
    event_base_free(base);
    return ns;
}

/* --- many sleeps at once -------------------------------------------------- */

static int sleep_at_random(void *argument)
{
    (void)argument;
    return coro_sleep(1 + (int64_t)coro_rng_below(&rng, SLEEP_MS));
}

/* CPU seconds from the first spawn to the last one's end. */
static double sleeps_seconds(void *argument)
{
    (void)argument;
    struct coro_group group;
    coro_group_init(&group, coro_loop_current());
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < NSLEEPS; i++)
        if (coro_group_spawn(&group, sleep_at_random, NULL, NULL) < 0)
            give_up("no memory for a coroutine");
    coro_group_wait(&group, CORO_NEVER);
    return (double)(measure_thread_ns() - start_ns) / 1e9;
}

/* The same waits as bare timers of libevent, without coroutines. */
static double events_seconds(void *argument)
{
    (void)argument;
    int nfired = 0;
    struct event_base *base = event_base_new();
    struct event **events = calloc(NSLEEPS, sizeof *events);
    if (!base || !events)
        give_up("no memory");
    int64_t start_ns = measure_thread_ns();
    for (size_t i = 0; i < NSLEEPS; i++) {
        events[i] = evtimer_new(base, on_event, &nfired);
        struct timeval delay = timeval_of(1 + coro_rng_below(&rng, SLEEP_MS));
        evtimer_add(events[i], &delay);
    }
    event_base_dispatch(base);
    double seconds = (double)(measure_thread_ns() - start_ns) / 1e9;
    for (size_t i = 0; i < NSLEEPS; i++)
        event_free(events[i]);
    free(events);
    event_base_free(base);
    return seconds;
}

static int measure_sleeps(void *argument)
{
    (void)argument;
    report_progress("100,000 sleeps at once");
    double cold = sleeps_seconds(NULL);
    double warm = measure_least(SLEEP_ROUNDS, sleeps_seconds, NULL);
    double events = measure_least(SLEEP_ROUNDS, events_seconds, NULL);
    report(&(struct report_row){
        .key = "sleeps_100000_cold",
        .what = "100,000 sleeps, first use of the stacks",
        .unit = "s CPU",
        .value = cold,
    });
    report(&(struct report_row){
        .key = "sleeps_100000",
        .what = "100,000 sleeps, stacks in use before",
        .unit = "s CPU",
        .value = warm,
        .beside = {{"libevent timers", events}},
        .budget_kind = REPORT_AT_MOST,
        .budget = 0.2,
    });
    return 0;
}

static void report_timers(const char *key, const char *what, size_t npending)
{
    report_progress("%s", what);
    report(&(struct report_row){
        .key = key,
        .what = what,
        .unit = "ns",
        .value = measure_least(3, wheel_ns, &npending),
        .beside = {{"libevent heap", measure_least(3, heap_ns, &npending)}},
    });
}

int main(void)
{
    coro_rng_init(&rng, 1);
    report_timers("timer_100000", "timer stop + add, 100,000 pending", 100000);
    report_timers("timer_1000000", "timer stop + add, 1,000,000 pending",
                  1000000);
    return coro_run(measure_sleeps, NULL, NULL) < 0;
}
