/*
 * The parts of the proxy: its links in proxy_link.c, its thread and what tests
 * ask of it in proxy.c. All of it is touched with the mutex held.
 */
#ifndef TESTS_SUPPORT_PROXY_INTERNAL_H
#define TESTS_SUPPORT_PROXY_INTERNAL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/proxy.h"

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
    int64_t next_ms; /* when the next piece may be sent, on a slow link */
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
    size_t piece_bytes; /* of a slow link; 0: it is not slow */
    int piece_ms;

    size_t naccepted;
    size_t nanswered;
};

static inline struct sockaddr_in proxy_loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/** Takes the connection that waits at the listener. */
void proxy_link_accept(struct proxy *proxy);

/** Closes both ends and frees the link. */
void proxy_link_close(struct link **at);

/** Cuts all links. */
void proxy_link_all_cut(struct proxy *proxy, enum proxy_cut cut);

/** Moves what can be moved. Returns false when the link has to go. */
bool proxy_link_move(struct proxy *proxy, struct link *link, short client,
                     short server);

/** Has poll() look for what the client (pair[0]) and the server are to do;
 * both are -1 before. */
void proxy_link_watch(const struct proxy *proxy, const struct link *link,
                      struct pollfd pair[2]);

/** How long until the first piece of a slow link is due; -1: none waits. */
int proxy_link_wait_ms(const struct proxy *proxy);

/** Has the kernel drop what clients send, or no longer, as the mode says. */
void proxy_link_all_vanish(const struct proxy *proxy);

#endif
