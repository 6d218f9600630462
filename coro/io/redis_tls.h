/*
 * TLS on a connection to Redis. Internal to coro/io/redis*.c.
 *
 * redis_tls.c has it by libhiredis_ssl and OpenSSL; where these are not there
 * the Makefile takes redis_no_tls.c instead, which says so.
 *
 * The server must show a certificate that somebody we trust has signed, for
 * the host that the address names. Files are read for each connection, so
 * certificates can be renewed without a restart.
 */
#ifndef CORO_IO_REDIS_TLS_H
#define CORO_IO_REDIS_TLS_H

struct coro_redis;

/**
 * Begins TLS on a link that was just opened; the handshake goes on with the
 * first command. Whatever comes of it, coro_redis_tls_settle() comes next.
 *
 * Returns 0, or with the reason set a negative errno. Loop thread; does not
 * suspend, but needs a large stack.
 */
int coro_redis_tls_begin(struct coro_redis *redis);

/**
 * The handshake is over, or has failed with @status < 0: then the reason
 * becomes what TLS knows of that. Returns @status.
 */
int coro_redis_tls_settle(struct coro_redis *redis, int status);

#endif
