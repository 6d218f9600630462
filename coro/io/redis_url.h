/*
 * Where a Redis is, as people write it: one URL.
 *
 *     redis://[[user]:password@]host[:port][/db]     TCP, port 6379, db 0
 *     rediss://...[?cafile=PATH&cert=PATH&key=PATH]  the same over TLS
 *     unix:///path[?db=N]   unix:/path   redis+unix:///path
 *     redis+sentinel://[[user]:password@]host[:port],.../name[/db]
 *
 * The last form gives the sentinels, port 26379, who know where the primary of
 * that name is; user, password and database are the primary's. IPv6 addresses stand in brackets; user, password and path may hold %XX
 * escapes; the database may be given as /N or ?db=N, but not twice. The
 * certificate of a TLS server is checked against cafile, or what the system
 * trusts; cert and key are ours, where the server wants to see one. Nothing
 * that this module prints ever holds a password.
 *
 *     struct coro_redis_address address;
 *     char why[CORO_REDIS_URL_WHY_MAX];
 *     if (coro_redis_url_parse(url, &address, why, sizeof(why)) < 0)
 *         complain(why);
 *     ...
 *     coro_redis_address_release(&address);
 */
#ifndef CORO_IO_REDIS_URL_H
#define CORO_IO_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any explanation of coro_redis_url_parse(). */
#define CORO_REDIS_URL_WHY_MAX 256

/* The most sentinels that an address may name. */
#define CORO_REDIS_SENTINELS_MAX 16

/* Where a server listens. */
struct coro_redis_host {
    char *name; /* or an address; IPv6 without its brackets */
    uint16_t port;
};

/* Exactly one of @host, @path and @sentinels is set. All texts are on the
 * heap. */
struct coro_redis_address {
    char *host;    /* a name or an address; IPv6 without its brackets */
    uint16_t port; /* of @host */
    char *path;    /* of a unix socket; fits into a sockaddr_un */
    struct coro_redis_host *sentinels; /* @nsentinels of them */
    size_t nsentinels;
    char *primary_name; /* by which the sentinels know the server */
    char *user;         /* NULL: the default user */
    char *password;     /* NULL: no AUTH; may be empty beside a user */
    uint32_t db;
    bool tls;
    char *cafile; /* who may vouch for the server; NULL: the system's list */
    char *cert;   /* ours, and its key: both or none */
    char *key;
};

/**
 * Reads @url into *@ret_address, which the caller releases.
 *
 * @why, @why_size  where to put what was found and what was expected; it may
 *                  quote the host or the database, but nothing that could be
 *                  a part of a password.
 *
 * Returns 0, or with *@ret_address untouched
 *   -EINVAL  the URL is not one of the forms above;
 *   -ENOMEM  no memory.
 *
 * Context: any thread.
 */
int coro_redis_url_parse(const char *url,
                         struct coro_redis_address *ret_address, char *why,
                         size_t why_size);

/**
 * Frees what @address holds, wipes its password and leaves it all zero. NULL
 * and an address of zeroes are fine. Context: any thread.
 */
void coro_redis_address_release(struct coro_redis_address *address);

/**
 * Writes @address as a URL into @buffer, with *** for the password and every
 * unusual byte escaped, cut to @size bytes and always terminated.
 *
 * Returns @buffer. Context: any thread.
 */
const char *coro_redis_address_describe(
    const struct coro_redis_address *address, char *buffer, size_t size);

#endif
