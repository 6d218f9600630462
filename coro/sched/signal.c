#include "coro/sched/signal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "coro/sched/loop.h"
#include "coro/sched/schedule.h"

#define NSIGNALS 64

/* What a process has one of. The first three are for the handler, which may
 * interrupt any thread, and for claiming; the rest is of the loop that did. */
static struct {
    _Atomic(struct coro_loop *) owner;
    _Atomic(uint64_t) pending;
    /* Made once and kept: a handler may be about to write to it. */
    atomic_int fd;

    struct coro_source source;
    struct event *event;
    struct list sets;
    unsigned nsets[NSIGNALS]; /* how many of them have the signal */
    struct sigaction before[NSIGNALS];
} process = {.fd = -1};

static uint64_t bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

static void note(int number)
{
    int error = errno;
    uint64_t one = 1;
    atomic_fetch_or(&process.pending, bit(number));
    ssize_t written = write(atomic_load(&process.fd), &one, sizeof one);
    (void)written; /* Only a full counter fails, and that wakes too. */
    errno = error;
}

/* --- in the loop ---------------------------------------------------------- */

static void give_to_set(struct coro_signals *signals, uint64_t come)
{
    come &= signals->mask;
    if (come == 0)
        return;
    if (!signals->on_signal) {
        signals->pending |= come;
        while (coro_wake_first(&signals->waiters, 0))
            ;
        return;
    }
    for (int number = 1; number <= NSIGNALS; number++)
        if (come & bit(number))
            signals->on_signal(signals->argument, number);
}

static void give_to_sets(struct coro_source *source)
{
    (void)source;
    uint64_t come = 0;
    if (atomic_load_explicit(&process.pending, memory_order_relaxed))
        come = atomic_exchange(&process.pending, 0);
    if (come == 0)
        return;
    /* What is called may open and close sets. */
    struct list left;
    list_init(&left);
    list_move_all(&left, &process.sets);
    struct list *link;
    while ((link = list_take_first(&left))) {
        list_append(&process.sets, link);
        give_to_set(list_entry(link, struct coro_signals, link), come);
    }
}

static bool is_quiet(struct coro_source *source)
{
    (void)source;
    return atomic_load(&process.pending) == 0;
}

/* Edge-triggered: each write wakes, and nobody reads. */
static void on_edge(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    (void)argument;
}

/* --- taking and giving back ----------------------------------------------- */

static int open_fd(void)
{
    if (atomic_load(&process.fd) >= 0)
        return 0;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    atomic_store(&process.fd, fd);
    return 0;
}

static int watch(struct coro_loop *loop)
{
    int status = open_fd();
    if (status < 0)
        return status;
    process.event = event_new(loop->base, atomic_load(&process.fd),
                              EV_READ | EV_PERSIST | EV_ET, on_edge, NULL);
    if (!process.event)
        return -ENOMEM;
    if (event_add(process.event, NULL) < 0) {
        event_free(process.event);
        return -ENOMEM;
    }
    list_init(&process.sets);
    process.source =
        (struct coro_source){.poll = give_to_sets, .arm = is_quiet};
    coro_loop_add_source(loop, &process.source);
    return 0;
}

static int claim(struct coro_loop *loop)
{
    struct coro_loop *owner = NULL;
    if (!atomic_compare_exchange_strong(&process.owner, &owner, loop))
        return owner == loop ? 0 : -EBUSY;
    int status = watch(loop);
    if (status < 0)
        atomic_store(&process.owner, NULL);
    return status;
}

static void disclaim(void)
{
    coro_loop_remove_source(&process.source);
    event_free(process.event);
    process.event = NULL;
    atomic_store(&process.pending, 0);
    atomic_store(&process.owner, NULL);
}

static int take(struct coro_signals *signals, int number)
{
    if (signals->mask & bit(number))
        return 0;
    if (process.nsets[number - 1] == 0) {
        struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
        sigfillset(&action.sa_mask);
        if (sigaction(number, &action, &process.before[number - 1]) < 0)
            return -errno;
    }
    process.nsets[number - 1]++;
    signals->mask |= bit(number);
    return 0;
}

static void give_back(int number)
{
    if (--process.nsets[number - 1] > 0)
        return;
    sigaction(number, &process.before[number - 1], NULL);
    atomic_fetch_and(&process.pending, ~bit(number));
}

static bool are_numbers(const int *numbers)
{
    if (!*numbers)
        return false;
    for (; *numbers; numbers++)
        if (*numbers < 1 || *numbers > NSIGNALS)
            return false;
    return true;
}

int coro_signals_open(struct coro_signals *signals, struct coro_loop *loop,
                      const int *numbers)
{
    *signals = (struct coro_signals){.mask = 0};
    list_init(&signals->waiters);
    if (!are_numbers(numbers))
        return -EINVAL;
    int status = claim(loop);
    if (status < 0)
        return status;
    list_append(&process.sets, &signals->link);
    for (; *numbers && status == 0; numbers++)
        status = take(signals, *numbers);
    if (status < 0)
        coro_signals_close(signals);
    return status;
}

void coro_signals_close(struct coro_signals *signals)
{
    if (!signals->link.next)
        return;
    for (int number = 1; number <= NSIGNALS; number++)
        if (signals->mask & bit(number))
            give_back(number);
    list_remove(&signals->link);
    signals->link.next = NULL;
    for (int number = 1; number <= NSIGNALS; number++)
        if (process.nsets[number - 1] > 0)
            return;
    disclaim();
}

int coro_signals_wait(struct coro_signals *signals, int64_t deadline_ms)
{
    while (signals->pending == 0) {
        int status = coro_park(&signals->waiters, deadline_ms);
        if (status < 0)
            return status;
    }
    int number = __builtin_ctzll(signals->pending) + 1;
    signals->pending &= ~bit(number);
    return number;
}
