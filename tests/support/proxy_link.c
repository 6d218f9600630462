#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coro/base/clock.h"
#include "tests/support/proxy_internal.h"

/* What the kernel drops before TCP has seen it: everything. So it is as if it
 * had never arrived. */
static void vanish(int fd, bool is_on)
{
    struct sock_filter none = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog program = {.len = 1, .filter = &none};
    int off = 0;
    if (fd >= 0 && is_on)
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    else if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof off);
}

/* --- links ---------------------------------------------------------------- */

static void reset(int fd)
{
    const struct linger none = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

void proxy_link_close(struct link **at)
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
        proxy_link_close(at); /* of an earlier cut: there is no room for all */
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
        reset((*at)->client);
        (*at)->client = -1;
    }
    proxy_link_close(at);
}

void proxy_link_all_cut(struct proxy *proxy, enum proxy_cut cut)
{
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (proxy->links[i])
            link_cut(&proxy->links[i], cut);
}

static int connect_to_server(const struct proxy *proxy)
{
    struct sockaddr_in address = proxy_loopback(proxy->server_port);
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

void proxy_link_accept(struct proxy *proxy)
{
    int client =
        accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    proxy->naccepted++;
    if (proxy->mode == PROXY_RESET) {
        reset(client);
        return;
    }
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
    vanish(client, proxy->mode == PROXY_VANISH);
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
    if (proxy->piece_bytes > 0) {
        len = len < proxy->piece_bytes ? len : proxy->piece_bytes;
        flow->next_ms = coro_now_ms() + proxy->piece_ms;
    }
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

bool proxy_link_move(struct proxy *proxy, struct link *link, short client,
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

/* How long the piece that comes next has to wait. */
static int flow_wait_ms(const struct proxy *proxy, const struct flow *flow)
{
    if (proxy->piece_bytes == 0 || flow->len == 0)
        return 0;
    int64_t wait_ms = flow->next_ms - coro_now_ms();
    return wait_ms > 0 ? (int)wait_ms : 0;
}

static short flow_interest(const struct proxy *proxy, const struct flow *flow,
                           bool as_source)
{
    if (as_source)
        return flow->len == 0 && !flow->has_ended ? POLLIN : 0;
    return flow->len > 0 && flow_wait_ms(proxy, flow) == 0 ? POLLOUT : 0;
}

void proxy_link_watch(const struct proxy *proxy, const struct link *link,
                      struct pollfd pair[2])
{
    if (proxy->mode == PROXY_BLACK || proxy->mode == PROXY_VANISH)
        return;
    if (link->client < 0) {
        pair[1] = (struct pollfd){link->server, POLLIN, 0};
        return;
    }
    short client = (short)(flow_interest(proxy, &link->up, true) |
                           flow_interest(proxy, &link->down, false));
    short server = (short)(flow_interest(proxy, &link->down, true) |
                           flow_interest(proxy, &link->up, false));
    pair[0] = (struct pollfd){client ? link->client : -1, client, 0};
    pair[1] = (struct pollfd){server ? link->server : -1, server, 0};
}

int proxy_link_wait_ms(const struct proxy *proxy)
{
    int least = -1;
    for (size_t i = 0; i < LINKS_MAX && proxy->piece_bytes > 0; i++) {
        const struct link *link = proxy->links[i];
        if (!link || link->client < 0)
            continue;
        int up = flow_wait_ms(proxy, &link->up);
        int down = flow_wait_ms(proxy, &link->down);
        if (up > 0 && (least < 0 || up < least))
            least = up;
        if (down > 0 && (least < 0 || down < least))
            least = down;
    }
    return least;
}

void proxy_link_all_vanish(const struct proxy *proxy)
{
    bool is_on = proxy->mode == PROXY_VANISH;
    vanish(proxy->listener, is_on);
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (proxy->links[i])
            vanish(proxy->links[i]->client, is_on);
}
