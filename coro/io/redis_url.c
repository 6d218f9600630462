#include "coro/io/redis_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "coro/base/parse.h"

#define DEFAULT_PORT 6379
/* Redis keeps the number of its databases in an int. */
#define DB_MAX   INT32_MAX
#define HOST_MAX 253

#define FORMS                                                      \
    "redis://[[user]:password@]host[:port][/db], rediss://... or " \
    "unix:///path[?db=N]"

enum scheme {
    SCHEME_TCP,
    SCHEME_TLS,
    SCHEME_UNIX,
    SCHEME_SENTINEL,
};

/* A run of characters inside the URL. */
struct span {
    const char *at;
    size_t len;
};

/* The URL being read: what is left of it, and what came of it so far. */
struct reader {
    struct span rest;
    struct coro_redis_address address;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reader *reader,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->why, reader->why_size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static int out_of_memory(struct reader *reader)
{
    refuse(reader, "out of memory");
    return -ENOMEM;
}

/* Takes what stands before the first of the characters @stops. */
static struct span take_until(struct span *rest, const char *stops)
{
    struct span front = {rest->at, strcspn(rest->at, stops)};
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

/* The text that @encoded stands for, in a new piece of memory. */
static int decode(struct reader *reader, struct span encoded, const char *what,
                  char **ret_text)
{
    char *text = malloc(encoded.len + 1);
    if (!text)
        return out_of_memory(reader);
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
            return refuse(reader,
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

static int read_scheme(struct reader *reader, enum scheme *ret_scheme)
{
    static const struct {
        const char *text;
        enum scheme scheme;
    } schemes[] = {
        {"redis://", SCHEME_TCP},
        {"rediss://", SCHEME_TLS},
        {"unix:", SCHEME_UNIX},
        {"redis+unix:", SCHEME_UNIX},
        {"redis+sentinel://", SCHEME_SENTINEL},
    };

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].text);
        if (strncasecmp(reader->rest.at, schemes[i].text, len) != 0)
            continue;
        reader->rest.at += len;
        reader->rest.len -= len;
        *ret_scheme = schemes[i].scheme;
        return 0;
    }
    /* A word before "://" is a scheme; without it, anything may be secret. */
    size_t len = strspn(reader->rest.at, "abcdefghijklmnopqrstuvwxyz+");
    if (len > 0 && len <= 20 && strncmp(reader->rest.at + len, "://", 3) == 0)
        return refuse(reader, "found %.*s://, expected " FORMS, (int)len,
                      reader->rest.at);
    return refuse(reader, "found no known scheme, expected " FORMS);
}

/* Blanks and control characters come from a file read with its line end, or
 * from a quoting mistake; '#' would begin a fragment, which no Redis has. */
static int check_bytes(struct reader *reader)
{
    for (size_t i = 0; i < reader->rest.len; i++) {
        unsigned char byte = (unsigned char)reader->rest.at[i];
        if (byte <= ' ' || byte == 0x7f)
            return refuse(reader, "found a blank or control character, "
                                  "expected it escaped (a space is %%20)");
        if (byte == '#')
            return refuse(reader, "found '#', expected it escaped as %%23");
    }
    return 0;
}

/* @info is what stands before the '@'. A lone word there is refused, for some
 * programs take it as the user and others as the password. */
static int read_user_info(struct reader *reader, struct span info)
{
    const char *colon = memchr(info.at, ':', info.len);
    if (!colon)
        return refuse(reader, "found no ':' before '@', expected "
                              "user:password@ or :password@");
    struct span user = {info.at, (size_t)(colon - info.at)};
    struct span password = {colon + 1, info.len - user.len - 1};
    int status = 0;
    if (user.len > 0)
        status = decode(reader, user, "user", &reader->address.user);
    if (status == 0 && (user.len > 0 || password.len > 0))
        status =
            decode(reader, password, "password", &reader->address.password);
    return status;
}

/* Splits off and reads the credentials at the front of @authority. */
static int take_user_info(struct reader *reader, struct span *authority)
{
    const char *at = memrchr(authority->at, '@', authority->len);
    if (!at)
        return 0;
    struct span info = {authority->at, (size_t)(at - authority->at)};
    authority->at += info.len + 1;
    authority->len -= info.len + 1;
    return read_user_info(reader, info);
}

static int keep_host(struct reader *reader, struct span host)
{
    reader->address.host = strndup(host.at, host.len);
    return reader->address.host ? 0 : out_of_memory(reader);
}

static int read_ipv6(struct reader *reader, struct span *rest)
{
    rest->at++;
    rest->len--;
    const char *end = memchr(rest->at, ']', rest->len);
    if (!end)
        return refuse(reader, "found '[' without ']', expected [IPv6 address]");
    struct span host = {rest->at, (size_t)(end - rest->at)};
    rest->at += host.len + 1;
    rest->len -= host.len + 1;
    int status = keep_host(reader, host);
    if (status < 0)
        return status;
    struct in6_addr ignored;
    if (inet_pton(AF_INET6, reader->address.host, &ignored) != 1)
        return refuse(reader,
                      "found something else between '[' and ']', expected an "
                      "IPv6 address");
    return 0;
}

static bool is_host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static int read_name(struct reader *reader, struct span *rest)
{
    struct span host = {rest->at, 0};
    while (host.len < rest->len && is_host_character(rest->at[host.len]))
        host.len++;
    rest->at += host.len;
    rest->len -= host.len;
    if (host.len == 0 && (rest->len == 0 || *rest->at == ':'))
        return refuse(reader, "found no host, expected " FORMS);
    if (rest->len > 0 && *rest->at != ':')
        return refuse(reader, "found a character that no host has, expected "
                              "letters, digits, '.', '-' and '_'");
    if (host.len > HOST_MAX)
        return refuse(reader,
                      "found a host of %zu characters, expected at most %d",
                      host.len, HOST_MAX);
    return keep_host(reader, host);
}

/* The port is never quoted: in redis://user:secret, whose author forgot the
 * host, it is the password. */
static int read_host_and_port(struct reader *reader, struct span rest)
{
    int status = rest.len > 0 && *rest.at == '[' ? read_ipv6(reader, &rest)
                                                 : read_name(reader, &rest);
    if (status < 0)
        return status;
    reader->address.port = DEFAULT_PORT;
    if (rest.len == 0)
        return 0;
    uint64_t port;
    if (*rest.at != ':' ||
        coro_parse_u64(rest.at + 1, rest.len - 1, 1, UINT16_MAX, &port) < 0)
        return refuse(reader,
                      "found something else after the host, expected : and a "
                      "port from 1 to 65535 (an IPv6 address stands in "
                      "brackets)");
    reader->address.port = (uint16_t)port;
    return 0;
}

static int read_db(struct reader *reader, struct span text)
{
    uint64_t db;
    if (coro_parse_u64(text.at, text.len, 0, DB_MAX, &db) < 0)
        return refuse(reader,
                      "found the database '%.*s', expected a whole number "
                      "from 0 to %d",
                      (int)(text.len < 40 ? text.len : 40), text.at, DB_MAX);
    reader->address.db = (uint32_t)db;
    return 0;
}

/* Reads ?db=N, or nothing, up to the end of the URL. */
static int read_query(struct reader *reader, bool has_db)
{
    struct span rest = reader->rest;
    while (rest.len > 0) {
        rest.at++;
        rest.len--;
        struct span field = take_until(&rest, "&");
        if (field.len < 3 || memcmp(field.at, "db=", 3) != 0)
            return refuse(reader, "found something else after '?', expected "
                                  "db=N and nothing more");
        if (has_db)
            return refuse(reader, "found two databases, expected one");
        has_db = true;
        int status =
            read_db(reader, (struct span){field.at + 3, field.len - 3});
        if (status < 0)
            return status;
    }
    return 0;
}

static int read_tcp(struct reader *reader)
{
    struct span authority = take_until(&reader->rest, "/?");
    /* An '@' further on shows that the password was cut at its '/' or '?':
     * from here on, parts of it could be quoted. */
    if (memchr(reader->rest.at, '@', reader->rest.len))
        return refuse(reader, "found '@' after the host, expected '/' and '?' "
                              "in user and password escaped as %%2F and %%3F");
    int status = take_user_info(reader, &authority);
    if (status == 0)
        status = read_host_and_port(reader, authority);
    if (status < 0)
        return status;

    struct span path = take_until(&reader->rest, "?");
    bool has_db = path.len > 1;
    if (has_db)
        status = read_db(reader, (struct span){path.at + 1, path.len - 1});
    return status < 0 ? status : read_query(reader, has_db);
}

static int read_unix(struct reader *reader)
{
    struct span authority = {reader->rest.at, 0};
    if (strncmp(reader->rest.at, "//", 2) == 0) {
        reader->rest.at += 2;
        reader->rest.len -= 2;
        authority = take_until(&reader->rest, "/?");
    }
    int status = take_user_info(reader, &authority);
    if (status < 0)
        return status;
    struct span path = take_until(&reader->rest, "?");
    if (authority.len > 0 || path.len < 2 || *path.at != '/')
        return refuse(reader, "found no absolute path, expected "
                              "unix:///path/to/socket[?db=N]");
    status = decode(reader, path, "path", &reader->address.path);
    if (status < 0)
        return status;
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(reader->address.path) > max)
        return refuse(reader, "found a path of %zu bytes, expected at most %zu",
                      strlen(reader->address.path), max);
    return read_query(reader, false);
}

static int read_url(struct reader *reader)
{
    enum scheme scheme = SCHEME_TCP;
    int status = check_bytes(reader);
    if (status == 0)
        status = read_scheme(reader, &scheme);
    if (status < 0)
        return status;
    if (scheme == SCHEME_SENTINEL) {
        refuse(reader, "found redis+sentinel://, which is not supported yet; "
                       "expected " FORMS);
        return -EOPNOTSUPP;
    }
    if (scheme == SCHEME_UNIX)
        return read_unix(reader);
    reader->address.tls = scheme == SCHEME_TLS;
    return read_tcp(reader);
}

int coro_redis_url_parse(const char *url,
                         struct coro_redis_address *ret_address, char *why,
                         size_t why_size)
{
    struct reader reader = {
        .rest = {url, strlen(url)},
        .why = why,
        .why_size = why_size,
    };
    int status = read_url(&reader);
    if (status < 0) {
        coro_redis_address_release(&reader.address);
        return status;
    }
    *ret_address = reader.address;
    return 0;
}

void coro_redis_address_release(struct coro_redis_address *address)
{
    if (!address)
        return;
    if (address->password)
        wipe_and_free(address->password, strlen(address->password));
    free(address->host);
    free(address->path);
    free(address->user);
    *address = (struct coro_redis_address){0};
}

/* A text that grows in a buffer until that is full. */
struct writer {
    char *at;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(writer->at, writer->size, format, arguments);
    va_end(arguments);
    if (len < 0 || writer->size == 0)
        return;
    size_t written =
        (size_t)len < writer->size ? (size_t)len : writer->size - 1;
    writer->at += written;
    writer->size -= written;
}

/* Keeps a name from ending the line, or the part of the URL, that it is in. */
static void put_escaped(struct writer *writer, const char *text, bool is_path)
{
    for (; *text; text++)
        if (is_host_character(*text) || (is_path && *text == '/'))
            put(writer, "%c", *text);
        else
            put(writer, "%%%02X", (unsigned)(unsigned char)*text);
}

static void put_user_info(struct writer *writer,
                          const struct coro_redis_address *address)
{
    if (!address->user && !address->password)
        return;
    put_escaped(writer, address->user ? address->user : "", false);
    put(writer, address->password ? ":***@" : "@");
}

const char *coro_redis_address_describe(
    const struct coro_redis_address *address, char *buffer, size_t size)
{
    struct writer writer = {buffer, size};
    if (address->path) {
        put(&writer, "unix://");
        put_user_info(&writer, address);
        put_escaped(&writer, address->path, true);
        if (address->db > 0)
            put(&writer, "?db=%u", (unsigned)address->db);
        return buffer;
    }
    put(&writer, address->tls ? "rediss://" : "redis://");
    put_user_info(&writer, address);
    const char *host = address->host ? address->host : "";
    put(&writer, strchr(host, ':') ? "[%s]" : "%s", host);
    put(&writer, ":%u/%u", (unsigned)address->port, (unsigned)address->db);
    return buffer;
}
