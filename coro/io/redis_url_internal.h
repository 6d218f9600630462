/*
 * Inside of redis_url.c: the pieces that all forms of a URL are made of.
 * Internal to the files redis_url*.c.
 *
 * Every reading function returns 0, or with an explanation in the reader
 * -EINVAL or -ENOMEM. What they have read by then is in the reader's address,
 * which is released as a whole.
 */
#ifndef CORO_IO_REDIS_URL_INTERNAL_H
#define CORO_IO_REDIS_URL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis_url.h"

#define CORO_URL_FORMS                                         \
    "redis://[[user]:password@]host[:port][/db], rediss://..." \
    ", redis+sentinel://host[:port],.../name[/db] or unix:///path[?db=N]"

/* A run of characters inside the URL. */
struct coro_url_span {
    const char *at;
    size_t len;
};

/* The URL being read: what is left of it, and what came of it so far. */
struct coro_url_reader {
    struct coro_url_span rest;
    struct coro_redis_address address;
    char *why;
    size_t why_size;
};

/** Keeps the explanation; returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int coro_url_refuse(
    struct coro_url_reader *reader, const char *format, ...);

/** Says that there is no memory; returns -ENOMEM. */
int coro_url_refuse_for_memory(struct coro_url_reader *reader);

/** Takes what stands in @rest before the first of the characters @stops. */
struct coro_url_span coro_url_take_until(struct coro_url_span *rest,
                                         const char *stops);

/**
 * Makes a text on the heap of what @encoded, the URL's @what, stands for.
 * Ownership: free().
 */
int coro_url_decode(struct coro_url_reader *reader,
                    struct coro_url_span encoded, const char *what,
                    char **ret_text);

/** Splits off and reads the credentials at the front of @authority. */
int coro_url_take_user_info(struct coro_url_reader *reader,
                            struct coro_url_span *authority);

/** Reads the whole of @text as host[:port] into @host, which is released. */
int coro_url_read_host(struct coro_url_reader *reader,
                       struct coro_url_span text, uint16_t default_port,
                       struct coro_redis_host *host);

/** True for what may stand in a host's name, or in a primary's. */
bool coro_url_is_name_character(char c);

#endif
