/*
 * A TCP proxy that does to connections what networks do to them.
 *
 *     client ──▶ proxy, on a loopback port of its own ──▶ server
 *
 *     struct proxy *proxy = proxy_start(server_port);
 *     … connect to proxy_port(proxy) …
 *     proxy_cut(proxy, PROXY_CUT_RESET);
 *     …
 *     proxy_stop(proxy);
 *
 * It runs in a thread of its own. Each function that changes something returns
 * when it has been done. What goes wrong in the proxy itself fails the test.
 * Context of all functions: the test's thread, not in a coroutine that may not
 * block for a moment.
 */
#ifndef TESTS_SUPPORT_PROXY_H
#define TESTS_SUPPORT_PROXY_H

#include <stddef.h>
#include <stdint.h>

/* What becomes of bytes, of present and of later connections. */
enum proxy_mode {
    PROXY_PASS,
    PROXY_BYTEWISE, /* one byte at a time, in both directions */
    PROXY_SWALLOW,  /* the server gets everything, its answers vanish */
    PROXY_BLACK,    /* accepts, and then nothing goes either way */
    PROXY_VANISH,   /* the same, without any sign of life: what clients send is
                       not acknowledged, nor are they when they connect */
    PROXY_REFUSE,   /* new connections are refused; present ones go on */
    PROXY_RESET,    /* new connections are reset at once; present ones go on */
};

enum proxy_cut {
    PROXY_CUT_END,   /* both sides see the end of the stream */
    PROXY_CUT_RESET, /* the client sees a reset */
    PROXY_CUT_HALF,  /* the client sees the end, but may go on sending */
    PROXY_CUT_GHOST, /* the client sees the end, the server only at the next
                        cut */
};

struct proxy;

/** Starts a proxy before the server at this port of 127.0.0.1. */
struct proxy *proxy_start(uint16_t server_port);

/** Ends the proxy and all its connections. NULL is allowed. */
void proxy_stop(struct proxy *proxy);

/** Where to connect to. */
uint16_t proxy_port(const struct proxy *proxy);

void proxy_set_mode(struct proxy *proxy, enum proxy_mode mode);

/**
 * Makes the link slow: at most @bytes_per_second in each direction of each
 * connection, in pieces that come @delay_ms apart at the least. 0, 0: as fast
 * as it goes.
 */
void proxy_set_speed(struct proxy *proxy, size_t bytes_per_second,
                     unsigned delay_ms);

/** Sends later connections to another server, as a failover does that moves an
 * address. */
void proxy_aim(struct proxy *proxy, uint16_t server_port);

/** Cuts all present connections. */
void proxy_cut(struct proxy *proxy, enum proxy_cut cut);

/** Lets @nbytes more of the server's answers through, then cuts so. */
void proxy_cut_after(struct proxy *proxy, size_t nbytes, enum proxy_cut cut);

/** The same for what clients send: the server gets that much more of it. */
void proxy_cut_after_sent(struct proxy *proxy, size_t nbytes,
                          enum proxy_cut cut);

/** How many connections it has accepted so far. */
size_t proxy_naccepted(struct proxy *proxy);

/** How many bytes have come from the server, passed on or not. */
size_t proxy_nanswered(struct proxy *proxy);

#endif
