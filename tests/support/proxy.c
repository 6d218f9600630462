#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LINKS_MAX  64
#define FLOW_BYTES 65536

/* One direction of a connection. */
struct flow {
    int from;
    int to;
    bool is_down; /* from the server to the client */
    bool has_ended;
    size_t len;
    size_t sent;
    char bytes[FLOW_BYTES];
};

struct link {
    int client; /* -1: the client is gone, and the server does not know */
    int server;
    struct flow up;
    struct flow down;
};

struct proxy {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int wake_fd;
    uint16_t server_port;
    uint16_t port;
    int listener; /* -1 while connections are refused */
    struct link *links[LINKS_MAX];

    /* What the test asks for; done by the thread. */
    uint64_t nasked;
    uint64_t ndone;
    bool is_ending;
    enum proxy_mode mode;
    bool must_cut;
    enum proxy_cut cut;
    bool is_counting; /* down to a cut */
    bool counts_down; /* bytes from the server, not those to it */
    size_t nleft;

    size_t naccepted;
    size_t nanswered;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* --- links ---------------------------------------------------------------- */

static void link_close(struct link **at)
{
    if ((*at)->client >= 0)
        close((*at)->client);
    close((*at)->server);
    free(*at);
    *at = NULL;
}

static void link_cut(struct link **at, enum proxy_cut cut)
{
    if ((*at)->client < 0) {
        link_close(at); /* of an earlier cut: there is no room for all */
        return;
    }
    if (cut == PROXY_CUT_GHOST) {
        close((*at)->client);
        (*at)->client = -1;
        return;
    }
    if (cut == PROXY_CUT_HALF) {
        shutdown((*at)->client, SHUT_WR);
        (*at)->down.has_ended = true;
        (*at)->down.len = 0;
        return;
    }
    if (cut == PROXY_CUT_RESET) {
        const struct linger none = {.l_onoff = 1};
        setsockopt((*at)->client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    link_close(at);
}

static void link_all_cut(struct proxy *proxy, enum proxy_cut cut)
{
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (proxy->links[i])
            link_cut(&proxy->links[i], cut);
}

static int connect_to_server(const struct proxy *proxy)
{
    struct sockaddr_in address = loopback(proxy->server_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void accept_one(struct proxy *proxy)
{
    int client =
        accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    proxy->naccepted++;
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int server = connect_to_server(proxy);
    size_t i = 0;
    while (i < LINKS_MAX && proxy->links[i])
        i++;
    struct link *link = i < LINKS_MAX ? calloc(1, sizeof *link) : NULL;
    if (server < 0 || !link) {
        close(client);
        if (server >= 0)
            close(server);
        free(link);
        return;
    }
    link->client = client;
    link->server = server;
    link->up.from = link->down.to = client;
    link->up.to = link->down.from = server;
    link->down.is_down = true;
    proxy->links[i] = link;
}

/* --- moving bytes --------------------------------------------------------- */

static bool is_counted(const struct proxy *proxy, const struct flow *flow)
{
    return proxy->is_counting && flow->is_down == proxy->counts_down;
}

static size_t most_to_read(const struct proxy *proxy, const struct flow *flow)
{
    if (is_counted(proxy, flow) && proxy->nleft < FLOW_BYTES)
        return proxy->nleft;
    return FLOW_BYTES;
}

/* Returns false when the link has to go. */
static bool flow_read(struct proxy *proxy, struct flow *flow)
{
    ssize_t n = read(flow->from, flow->bytes, most_to_read(proxy, flow));
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0) {
        flow->has_ended = true;
        shutdown(flow->to, SHUT_WR);
        return true;
    }
    flow->len = (size_t)n;
    flow->sent = 0;
    if (is_counted(proxy, flow))
        proxy->nleft -= (size_t)n;
    if (flow->is_down) {
        proxy->nanswered += (size_t)n;
        if (proxy->mode == PROXY_SWALLOW)
            flow->len = 0;
    }
    return true;
}

static bool flow_write(const struct proxy *proxy, struct flow *flow)
{
    size_t len = flow->len - flow->sent;
    if (proxy->mode == PROXY_BYTEWISE)
        len = 1;
    ssize_t n = send(flow->to, flow->bytes + flow->sent, len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    flow->sent += (size_t)n;
    if (flow->sent == flow->len)
        flow->len = 0;
    return true;
}

static bool flow_move(struct proxy *proxy, struct flow *flow, bool can_read,
                      bool can_write)
{
    if (flow->len > 0)
        return !can_write || flow_write(proxy, flow);
    return !can_read || flow->has_ended || flow_read(proxy, flow);
}

/* Nobody is there to hear what the server says. */
static bool ghost_move(const struct link *link)
{
    char bytes[1024];
    ssize_t n = read(link->server, bytes, sizeof bytes);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool link_move(struct proxy *proxy, struct link *link, short client,
                      short server)
{
    if (link->client < 0)
        return ghost_move(link);
    const short readable = POLLIN | POLLHUP | POLLERR;
    const short writable = POLLOUT | POLLERR;
    return flow_move(proxy, &link->up, client & readable, server & writable) &&
           flow_move(proxy, &link->down, server & readable,
                     client & writable) &&
           !(link->up.has_ended && link->down.has_ended);
}

/* --- the thread ----------------------------------------------------------- */

static short flow_interest(const struct flow *flow, bool as_source)
{
    if (as_source)
        return flow->len == 0 && !flow->has_ended ? POLLIN : 0;
    return flow->len > 0 ? POLLOUT : 0;
}

static void listen_again(struct proxy *proxy)
{
    struct sockaddr_in address = loopback(proxy->port);
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
        link_all_cut(proxy, proxy->cut);
    proxy->must_cut = false;
    if (proxy->mode == PROXY_REFUSE && proxy->listener >= 0) {
        close(proxy->listener);
        proxy->listener = -1;
    } else if (proxy->mode != PROXY_REFUSE && proxy->listener < 0) {
        listen_again(proxy);
    }
    proxy->ndone = proxy->nasked;
    pthread_cond_broadcast(&proxy->done);
}

static void watch_links(const struct proxy *proxy, struct pollfd *polled)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        const struct link *link = proxy->links[i];
        bool is_idle = !link || proxy->mode == PROXY_BLACK;
        struct pollfd *pair = &polled[2 + 2 * i];
        pair[0] = pair[1] = (struct pollfd){.fd = -1};
        if (is_idle)
            continue;
        if (link->client < 0) {
            pair[1] = (struct pollfd){link->server, POLLIN, 0};
            continue;
        }
        short client = (short)(flow_interest(&link->up, true) |
                               flow_interest(&link->down, false));
        short server = (short)(flow_interest(&link->down, true) |
                               flow_interest(&link->up, false));
        pair[0] = (struct pollfd){client ? link->client : -1, client, 0};
        pair[1] = (struct pollfd){server ? link->server : -1, server, 0};
    }
}

static void move_links(struct proxy *proxy, const struct pollfd *polled)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        const struct pollfd *pair = &polled[2 + 2 * i];
        struct link *link = proxy->links[i];
        if (!link || (!pair[0].revents && !pair[1].revents))
            continue;
        bool goes_on = link_move(proxy, link, pair[0].revents, pair[1].revents);
        bool is_through =
            proxy->is_counting && proxy->nleft == 0 &&
            (proxy->counts_down ? link->down.len : link->up.len) == 0;
        if (is_through) {
            proxy->is_counting = false;
            link_all_cut(proxy, proxy->cut);
        } else if (!goes_on) {
            link_close(&proxy->links[i]);
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
        pthread_mutex_unlock(&proxy->mutex);
        poll(polled, sizeof polled / sizeof *polled, -1);
        pthread_mutex_lock(&proxy->mutex);
        move_links(proxy, polled);
        if (polled[1].revents)
            accept_one(proxy);
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
            link_close(&proxy->links[i]);
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
