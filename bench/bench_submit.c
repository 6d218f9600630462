/*
 * Crossing threads: what an item costs in bursts, and how long one takes to a
 * loop that sleeps; beside the obvious thing, a list under a mutex with an
 * eventfd that is written when the list was empty.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "coro/coro.h"

#define BURST       10000
#define SHORT_BURST 100
#define NBURSTS     60
#define SAMPLES     2000
#define THREADS     8
/* So long the consumer is left alone before a push whose delay is measured. */
#define PAUSE_US 100

struct item {
    struct coro_submit_node node; /* its next is the mutex list's, too */
    int64_t pushed_ns;
};

/* A door between threads. Only what it is made of differs. */
struct door {
    void (*push)(struct door *door, struct item *item);
    bool is_chained; /* a burst goes as one chain */
    void (*run)(struct door *door);
    void (*stop)(struct door *door);

    struct coro_submit queue;
    struct coro_loop *loop;

    pthread_mutex_t mutex;
    struct coro_submit_node *first;
    struct coro_submit_node *last;
    int event_fd;
    atomic_bool is_over;

    /* The consumer's page. */
    _Alignas(64) atomic_size_t nreceived;
    double *delays_us; /* NULL: not wanted */
    int64_t last_ns;
};

/* --- counting wake-ups ---------------------------------------------------- */

static atomic_size_t nwrites;

/* In place of the C library's: every wake-up is one call of it. */
ssize_t write(int fd, const void *buf, size_t len)
{
    atomic_fetch_add_explicit(&nwrites, 1, memory_order_relaxed);
    return syscall(SYS_write, fd, buf, len);
}

/* --- the consumers -------------------------------------------------------- */

static void receive(void *argument, struct coro_submit_node *node)
{
    struct door *door = argument;
    size_t n = atomic_load_explicit(&door->nreceived, memory_order_relaxed);
    int64_t now_ns = coro_now_ns();
    for (; node; node = node->next) {
        struct item *item = list_entry(node, struct item, node);
        if (door->delays_us)
            door->delays_us[n] = (double)(now_ns - item->pushed_ns) / 1000;
        n++;
    }
    door->last_ns = now_ns;
    atomic_store_explicit(&door->nreceived, n, memory_order_release);
}

static void submit_push(struct door *door, struct item *item)
{
    coro_submit_push(&door->queue, &item->node);
}

static void submit_run(struct door *door)
{
    coro_loop_run_forever(door->loop);
}

static void submit_stop(struct door *door)
{
    coro_loop_stop(door->loop);
}

static void wake_event(struct door *door)
{
    uint64_t one = 1;
    if (write(door->event_fd, &one, sizeof one) < 0)
        give_up("can't write to an eventfd");
}

static void mutex_push(struct door *door, struct item *item)
{
    item->node.next = NULL;
    pthread_mutex_lock(&door->mutex);
    bool was_empty = !door->first;
    if (was_empty)
        door->first = &item->node;
    else
        door->last->next = &item->node;
    door->last = &item->node;
    pthread_mutex_unlock(&door->mutex);
    if (was_empty)
        wake_event(door);
}

static void mutex_run(struct door *door)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, door->event_fd, &event);
    while (!atomic_load(&door->is_over)) {
        epoll_wait(epoll_fd, &event, 1, -1);
        pthread_mutex_lock(&door->mutex);
        struct coro_submit_node *first = door->first;
        door->first = NULL;
        pthread_mutex_unlock(&door->mutex);
        if (first)
            receive(door, first);
    }
    close(epoll_fd);
}

static void mutex_stop(struct door *door)
{
    atomic_store(&door->is_over, true);
    wake_event(door);
}

/* --- making and using them ------------------------------------------------ */

enum kind { MUTEX, SUBMIT, CHAIN };

static struct door *open_door(enum kind kind)
{
    bool is_submit = kind != MUTEX;
    struct door *door = aligned_alloc(64, sizeof *door);
    if (!door)
        give_up("no memory");
    *door = (struct door){
        .push = is_submit ? submit_push : mutex_push,
        .run = is_submit ? submit_run : mutex_run,
        .stop = is_submit ? submit_stop : mutex_stop,
        .is_chained = kind == CHAIN,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (is_submit && coro_loop_new(NULL, &door->loop) < 0)
        give_up("no loop");
    if (is_submit)
        coro_submit_open(&door->queue, door->loop, receive, door);
    return door;
}

static void close_door(struct door *door)
{
    if (door->loop)
        coro_submit_close(&door->queue);
    coro_loop_free(door->loop);
    close(door->event_fd);
    free(door);
}

static void *consume(void *argument)
{
    struct door *door = argument;
    door->run(door);
    return NULL;
}

static void wait_received(struct door *door, size_t n)
{
    while (atomic_load_explicit(&door->nreceived, memory_order_acquire) < n)
        ;
}

/* --- bursts --------------------------------------------------------------- */

struct producer {
    struct door *door;
    struct item *items;
    size_t nitems;
    pthread_barrier_t *barrier;
    int64_t start_ns; /* of the present burst */
    pthread_t thread;
};

/* As the service sends its bursts: linked from the newest to the oldest. */
static void push_chain(const struct producer *producer)
{
    struct item *items = producer->items;
    for (size_t i = 1; i < producer->nitems; i++)
        items[i].node.next = &items[i - 1].node;
    coro_submit_push_chain(&producer->door->queue,
                           &items[producer->nitems - 1].node, &items[0].node);
}

static void push_burst(const struct producer *producer)
{
    if (producer->door->is_chained) {
        push_chain(producer);
        return;
    }
    for (size_t i = 0; i < producer->nitems; i++)
        producer->door->push(producer->door, &producer->items[i]);
}

static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (int burst = 0; burst < NBURSTS; burst++) {
        pthread_barrier_wait(producer->barrier);
        producer->start_ns = coro_now_ns();
        push_burst(producer);
        pthread_barrier_wait(producer->barrier);
    }
    return NULL;
}

static void start_producers(struct producer *producers, size_t nproducers,
                            const struct producer *model)
{
    for (size_t i = 0; i < nproducers; i++) {
        producers[i] = *model;
        producers[i].items = model->items + i * model->nitems;
        pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    }
}

static int64_t first_start_ns(const struct producer *producers, size_t n)
{
    int64_t first_ns = producers[0].start_ns;
    for (size_t i = 1; i < n; i++)
        if (producers[i].start_ns < first_ns)
            first_ns = producers[i].start_ns;
    return first_ns;
}

struct burst_result {
    double ns;     /* an item, from the first push to the last receipt */
    double writes; /* wake-ups a burst */
};

static struct burst_result measure_bursts(enum kind kind, size_t nproducers,
                                          size_t nitems)
{
    struct door *door = open_door(kind);
    struct producer producers[THREADS];
    double ns[NBURSTS], writes[NBURSTS];
    pthread_barrier_t barrier;
    pthread_t consumer;
    size_t share = nitems / nproducers;
    struct item *items = calloc(nitems, sizeof *items);
    if (!items)
        give_up("no memory");
    pthread_barrier_init(&barrier, NULL, (unsigned)nproducers + 1);
    pthread_create(&consumer, NULL, consume, door);
    start_producers(producers, nproducers,
                    &(struct producer){.door = door,
                                       .items = items,
                                       .nitems = share,
                                       .barrier = &barrier});
    for (size_t burst = 0; burst < NBURSTS; burst++) {
        usleep(PAUSE_US);
        atomic_store(&nwrites, 0);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        wait_received(door, (burst + 1) * share * nproducers);
        ns[burst] =
            (double)(door->last_ns - first_start_ns(producers, nproducers)) /
            (double)nitems;
        writes[burst] = (double)atomic_load(&nwrites);
    }
    struct burst_result result = {
        .ns = measure_median(ns, NBURSTS),
        .writes = measure_median(writes, NBURSTS),
    };
    for (size_t i = 0; i < nproducers; i++)
        pthread_join(producers[i].thread, NULL);
    door->stop(door);
    pthread_join(consumer, NULL);
    pthread_barrier_destroy(&barrier);
    close_door(door);
    free(items);
    return result;
}

/* --- one at a time to a sleeper ------------------------------------------- */

/* Fills @delays_us with how long each of SAMPLES items took. */
static void measure_delays(enum kind kind, double *delays_us)
{
    struct door *door = open_door(kind);
    struct item *items = calloc(SAMPLES, sizeof *items);
    pthread_t consumer;
    door->delays_us = delays_us;
    pthread_create(&consumer, NULL, consume, door);
    for (size_t i = 0; i < SAMPLES; i++) {
        usleep(PAUSE_US);
        items[i].pushed_ns = coro_now_ns();
        door->push(door, &items[i]);
        wait_received(door, i + 1);
    }
    door->stop(door);
    pthread_join(consumer, NULL);
    close_door(door);
    free(items);
}

/* --- the rows ------------------------------------------------------------- */

#define PAIRS 5

static void report_bursts(const char *key, const char *what, size_t nproducers)
{
    report_progress("%s", what);
    double ns[PAIRS], base_ns[PAIRS], ratios[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        ns[i] = measure_bursts(SUBMIT, nproducers, BURST).ns;
        base_ns[i] = measure_bursts(MUTEX, nproducers, BURST).ns;
        ratios[i] = ns[i] / base_ns[i];
    }
    report(&(struct report_row){
        .key = key,
        .what = what,
        .unit = "ns an item",
        .value = measure_median(ns, PAIRS),
        .beside = {{"mutex + eventfd", measure_median(base_ns, PAIRS),
                    measure_median(ratios, PAIRS)}},
        .budget_kind = nproducers == 1 ? REPORT_AT_MOST : REPORT_NO_BUDGET,
        .budget = 15,
    });
}

static void report_chain(void)
{
    double ns[PAIRS], writes[PAIRS];
    report_progress("crossing threads, as one chain");
    for (size_t i = 0; i < PAIRS; i++) {
        ns[i] = measure_bursts(CHAIN, 1, BURST).ns;
        writes[i] = measure_bursts(CHAIN, 1, SHORT_BURST).writes;
    }
    report(&(struct report_row){
        .key = "submit_chain",
        .what = "crossing threads, as one chain",
        .unit = "ns an item",
        .value = measure_median(ns, PAIRS),
    });
    report(&(struct report_row){
        .key = "submit_chain_writes",
        .what = "eventfd writes, 100 as one chain",
        .unit = "",
        .value = measure_median(writes, PAIRS),
        .budget_kind = REPORT_AT_MOST,
        .budget = 1,
    });
}

/* One by one, a consumer on a free core may keep up, and sleep in between. */
static void report_writes(const char *key, const char *what, size_t nitems)
{
    double ours[PAIRS], theirs[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        ours[i] = measure_bursts(SUBMIT, 1, nitems).writes;
        theirs[i] = measure_bursts(MUTEX, 1, nitems).writes;
    }
    report(&(struct report_row){
        .key = key,
        .what = what,
        .unit = "",
        .value = measure_median(ours, PAIRS),
        .beside = {{"mutex + eventfd", measure_median(theirs, PAIRS)}},
    });
}

static void report_delays(void)
{
    static double ours[SAMPLES], theirs[SAMPLES];
    report_progress("one item to a loop that sleeps");
    measure_delays(SUBMIT, ours);
    measure_delays(MUTEX, theirs);
    report(&(struct report_row){
        .key = "submit_delay_p50",
        .what = "to a sleeping loop, median",
        .unit = "us",
        .value = measure_percentile(ours, SAMPLES, 50),
        .beside = {{"mutex + eventfd",
                    measure_percentile(theirs, SAMPLES, 50)}},
    });
    report(&(struct report_row){
        .key = "submit_delay_p99",
        .what = "to a sleeping loop, 99 %",
        .unit = "us",
        .value = measure_percentile(ours, SAMPLES, 99),
        .beside = {{"mutex + eventfd",
                    measure_percentile(theirs, SAMPLES, 99)}},
    });
}

int main(void)
{
    report_bursts("submit_1", "crossing threads, 1 producer", 1);
    report_bursts("submit_2", "crossing threads, 2 producers", 2);
    report_bursts("submit_4", "crossing threads, 4 producers", 4);
    report_bursts("submit_8", "crossing threads, 8 producers", 8);
    report_writes("submit_writes_100", "eventfd writes, 100 one by one",
                  SHORT_BURST);
    report_writes("submit_writes_10000", "eventfd writes, 10,000 one by one",
                  BURST);
    report_chain();
    report_delays();
    return 0;
}
