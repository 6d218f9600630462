/*
 * The pieces of a URL that all its forms share: escapes, credentials, hosts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/parse.h"
#include "coro/io/redis_url_internal.h"

#define HOST_MAX 253

int coro_url_refuse(struct coro_url_reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->why, reader->why_size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int coro_url_refuse_for_memory(struct coro_url_reader *reader)
{
    coro_url_refuse(reader, "out of memory");
    return -ENOMEM;
}

struct coro_url_span coro_url_take_until(struct coro_url_span *rest,
                                         const char *stops)
{
    struct coro_url_span front = {rest->at, 0};
    while (front.len < rest->len && !strchr(stops, front.at[front.len]))
        front.len++;
    rest->at += front.len;
    rest->len -= front.len;
    return front;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void wipe_and_free(char *text, size_t size)
{
    if (text)
        explicit_bzero(text, size);
    free(text);
}

int coro_url_decode(struct coro_url_reader *reader,
                    struct coro_url_span encoded, const char *what,
                    char **ret_text)
{
    char *text = malloc(encoded.len + 1);
    if (!text)
        return coro_url_refuse_for_memory(reader);
    size_t len = 0;
    for (size_t i = 0; i < encoded.len; i++) {
        char c = encoded.at[i];
        if (c == '%') {
            int high = encoded.len - i > 2 ? hex_value(encoded.at[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(encoded.at[i + 2]);
            c = low < 0 ? '\0' : (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            wipe_and_free(text, encoded.len + 1);
            return coro_url_refuse(
                reader,
                "found a broken %% escape in the %s, expected %% "
                "and two hex digits other than 00 (%% itself is "
                "%%25)",
                what);
        }
        text[len++] = c;
    }
    text[len] = '\0';
    *ret_text = text;
    return 0;
}

/* @info is what stands before the '@'. A lone word there is refused, for some
 * programs take it as the user and others as the password. */
static int read_user_info(struct coro_url_reader *reader,
                          struct coro_url_span info)
{
    const char *colon = memchr(info.at, ':', info.len);
    if (!colon)
        return coro_url_refuse(reader, "found no ':' before '@', expected "
                                       "user:password@ or :password@");
    struct coro_url_span user = {info.at, (size_t)(colon - info.at)};
    struct coro_url_span password = {colon + 1, info.len - user.len - 1};
    int status = 0;
    if (user.len > 0)
        status = coro_url_decode(reader, user, "user", &reader->address.user);
    if (status == 0 && (user.len > 0 || password.len > 0))
        status = coro_url_decode(reader, password, "password",
                                 &reader->address.password);
    return status;
}

int coro_url_take_user_info(struct coro_url_reader *reader,
                            struct coro_url_span *authority)
{
    const char *at = memrchr(authority->at, '@', authority->len);
    if (!at)
        return 0;
    struct coro_url_span info = {authority->at, (size_t)(at - authority->at)};
    authority->at += info.len + 1;
    authority->len -= info.len + 1;
    return read_user_info(reader, info);
}

static int keep_name(struct coro_url_reader *reader, struct coro_url_span text,
                     struct coro_redis_host *host)
{
    host->name = strndup(text.at, text.len);
    return host->name ? 0 : coro_url_refuse_for_memory(reader);
}

static int read_ipv6(struct coro_url_reader *reader, struct coro_url_span *rest,
                     struct coro_redis_host *host)
{
    rest->at++;
    rest->len--;
    const char *end = memchr(rest->at, ']', rest->len);
    if (!end)
        return coro_url_refuse(
            reader, "found '[' without ']', expected [IPv6 address]");
    struct coro_url_span text = {rest->at, (size_t)(end - rest->at)};
    rest->at += text.len + 1;
    rest->len -= text.len + 1;
    int status = keep_name(reader, text, host);
    if (status < 0)
        return status;
    struct in6_addr ignored;
    if (inet_pton(AF_INET6, host->name, &ignored) != 1)
        return coro_url_refuse(
            reader, "found something else between '[' and ']', expected an "
                    "IPv6 address");
    return 0;
}

bool coro_url_is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static int read_name(struct coro_url_reader *reader, struct coro_url_span *rest,
                     struct coro_redis_host *host)
{
    struct coro_url_span text = {rest->at, 0};
    while (text.len < rest->len &&
           coro_url_is_name_character(rest->at[text.len]))
        text.len++;
    rest->at += text.len;
    rest->len -= text.len;
    if (text.len == 0 && (rest->len == 0 || *rest->at == ':'))
        return coro_url_refuse(reader,
                               "found no host, expected " CORO_URL_FORMS);
    if (rest->len > 0 && *rest->at != ':')
        return coro_url_refuse(reader,
                               "found a character that no host has, expected "
                               "letters, digits, '.', '-' and '_'");
    if (text.len > HOST_MAX)
        return coro_url_refuse(
            reader, "found a host of %zu characters, expected at most %d",
            text.len, HOST_MAX);
    return keep_name(reader, text, host);
}

/* The port is never quoted: in redis://user:secret, whose author forgot the
 * host, it is the password. */
int coro_url_read_host(struct coro_url_reader *reader,
                       struct coro_url_span rest, uint16_t default_port,
                       struct coro_redis_host *host)
{
    int status = rest.len > 0 && *rest.at == '['
                     ? read_ipv6(reader, &rest, host)
                     : read_name(reader, &rest, host);
    if (status < 0)
        return status;
    host->port = default_port;
    if (rest.len == 0)
        return 0;
    uint64_t port;
    if (*rest.at != ':' ||
        coro_parse_u64(rest.at + 1, rest.len - 1, 1, UINT16_MAX, &port) < 0)
        return coro_url_refuse(
            reader, "found something else after the host, expected : and a "
                    "port from 1 to 65535 (an IPv6 address stands in "
                    "brackets)");
    host->port = (uint16_t)port;
    return 0;
}
