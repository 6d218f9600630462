#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/proxy_internal.h"

/* --- the thread ----------------------------------------------------------- */

static void listen_again(struct proxy *proxy)
{
    struct sockaddr_in address = proxy_loopback(proxy->port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, LINKS_MAX) < 0) {
        close(fd);
        return;
    }
    proxy->listener = fd;
}

static void obey(struct proxy *proxy)
{
    uint64_t count;
    ssize_t n = read(proxy->wake_fd, &count, sizeof count);
    (void)n;
    if (proxy->must_cut)
        proxy_link_all_cut(proxy, proxy->cut);
    proxy->must_cut = false;
    if (proxy->mode == PROXY_REFUSE && proxy->listener >= 0) {
        close(proxy->listener);
        proxy->listener = -1;
    } else if (proxy->mode != PROXY_REFUSE && proxy->listener < 0) {
        listen_again(proxy);
    }
    proxy_link_all_vanish(proxy);
    proxy->ndone = proxy->nasked;
    pthread_cond_broadcast(&proxy->done);
}

static void watch_links(const struct proxy *proxy, struct pollfd *polled)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct pollfd *pair = &polled[2 + 2 * i];
        pair[0] = pair[1] = (struct pollfd){.fd = -1};
        if (proxy->links[i])
            proxy_link_watch(proxy, proxy->links[i], pair);
    }
}

static void move_links(struct proxy *proxy, const struct pollfd *polled)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        const struct pollfd *pair = &polled[2 + 2 * i];
        struct link *link = proxy->links[i];
        if (!link || (!pair[0].revents && !pair[1].revents))
            continue;
        bool goes_on =
            proxy_link_move(proxy, link, pair[0].revents, pair[1].revents);
        bool is_through =
            proxy->is_counting && proxy->nleft == 0 &&
            (proxy->counts_down ? link->down.len : link->up.len) == 0;
        if (is_through) {
            proxy->is_counting = false;
            proxy_link_all_cut(proxy, proxy->cut);
        } else if (!goes_on) {
            proxy_link_close(&proxy->links[i]);
        }
    }
}

static void *run(void *argument)
{
    struct proxy *proxy = argument;
    struct pollfd polled[2 + 2 * LINKS_MAX];
    pthread_mutex_lock(&proxy->mutex);
    while (!proxy->is_ending) {
        polled[0] = (struct pollfd){proxy->wake_fd, POLLIN, 0};
        polled[1] = (struct pollfd){proxy->listener, POLLIN, 0};
        watch_links(proxy, polled);
        int wait_ms = proxy_link_wait_ms(proxy);
        pthread_mutex_unlock(&proxy->mutex);
        poll(polled, sizeof polled / sizeof *polled, wait_ms);
        pthread_mutex_lock(&proxy->mutex);
        move_links(proxy, polled);
        if (polled[1].revents)
            proxy_link_accept(proxy);
        if (polled[0].revents)
            obey(proxy);
    }
    obey(proxy); /* whoever asks it to end waits for that */
    pthread_mutex_unlock(&proxy->mutex);
    return NULL;
}

/* --- for tests ------------------------------------------------------------ */

static void choose_port(struct proxy *proxy)
{
    listen_again(proxy);
    assert_true(proxy->listener >= 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(proxy->listener, (struct sockaddr *)&address, &len);
    proxy->port = ntohs(address.sin_port);
}

struct proxy *proxy_start(uint16_t server_port)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    assert_non_null(proxy);
    proxy->server_port = server_port;
    proxy->listener = -1;
    choose_port(proxy);
    proxy->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(proxy->wake_fd >= 0);
    pthread_mutex_init(&proxy->mutex, NULL);
    pthread_cond_init(&proxy->done, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&proxy->thread, NULL, run, proxy);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(error, 0);
    return proxy;
}

/* With the mutex held: has the thread look, and waits until it has. */
static void ask(struct proxy *proxy)
{
    uint64_t one = 1;
    uint64_t number = ++proxy->nasked;
    ssize_t written = write(proxy->wake_fd, &one, sizeof one);
    (void)written;
    while (proxy->ndone < number)
        pthread_cond_wait(&proxy->done, &proxy->mutex);
}

void proxy_stop(struct proxy *proxy)
{
    if (!proxy)
        return;
    pthread_mutex_lock(&proxy->mutex);
    proxy->is_ending = true;
    ask(proxy);
    pthread_mutex_unlock(&proxy->mutex);
    pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (proxy->links[i])
            proxy_link_close(&proxy->links[i]);
    if (proxy->listener >= 0)
        close(proxy->listener);
    close(proxy->wake_fd);
    pthread_cond_destroy(&proxy->done);
    pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}

uint16_t proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

void proxy_set_mode(struct proxy *proxy, enum proxy_mode mode)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->mode = mode;
    ask(proxy);
    pthread_mutex_unlock(&proxy->mutex);
}

void proxy_aim(struct proxy *proxy, uint16_t server_port)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->server_port = server_port;
    pthread_mutex_unlock(&proxy->mutex);
}

void proxy_set_speed(struct proxy *proxy, size_t bytes_per_second,
                     unsigned delay_ms)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->piece_ms = delay_ms > 0 ? (int)delay_ms : 1;
    proxy->piece_bytes = bytes_per_second * (size_t)proxy->piece_ms / 1000;
    if (bytes_per_second > 0 && proxy->piece_bytes == 0)
        proxy->piece_bytes = 1;
    ask(proxy);
    pthread_mutex_unlock(&proxy->mutex);
}

void proxy_cut(struct proxy *proxy, enum proxy_cut cut)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->must_cut = true;
    proxy->cut = cut;
    ask(proxy);
    pthread_mutex_unlock(&proxy->mutex);
}

static void count_down(struct proxy *proxy, size_t nbytes, enum proxy_cut cut,
                       bool counts_down)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->is_counting = true;
    proxy->counts_down = counts_down;
    proxy->nleft = nbytes;
    proxy->cut = cut;
    ask(proxy);
    pthread_mutex_unlock(&proxy->mutex);
}

void proxy_cut_after(struct proxy *proxy, size_t nbytes, enum proxy_cut cut)
{
    count_down(proxy, nbytes, cut, true);
}

void proxy_cut_after_sent(struct proxy *proxy, size_t nbytes,
                          enum proxy_cut cut)
{
    count_down(proxy, nbytes, cut, false);
}

static size_t read_count(struct proxy *proxy, const size_t *count)
{
    pthread_mutex_lock(&proxy->mutex);
    size_t value = *count;
    pthread_mutex_unlock(&proxy->mutex);
    return value;
}

size_t proxy_naccepted(struct proxy *proxy)
{
    return read_count(proxy, &proxy->naccepted);
}

size_t proxy_nanswered(struct proxy *proxy)
{
    return read_count(proxy, &proxy->nanswered);
}
