/*
 * The forms of a URL, from its scheme to its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "coro/base/parse.h"
#include "coro/io/redis_url_internal.h"

#define DEFAULT_PORT          6379
#define DEFAULT_SENTINEL_PORT 26379
/* Redis keeps the number of its databases in an int. */
#define DB_MAX INT32_MAX

enum scheme {
    SCHEME_TCP,
    SCHEME_TLS,
    SCHEME_UNIX,
    SCHEME_SENTINEL,
};

static int read_scheme(struct coro_url_reader *reader, enum scheme *ret_scheme)
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
        return coro_url_refuse(reader,
                               "found %.*s://, expected " CORO_URL_FORMS,
                               (int)len, reader->rest.at);
    return coro_url_refuse(reader,
                           "found no known scheme, expected " CORO_URL_FORMS);
}

/* Blanks and control characters come from a file read with its line end, or
 * from a quoting mistake; '#' would begin a fragment, which no Redis has. */
static int check_bytes(struct coro_url_reader *reader)
{
    for (size_t i = 0; i < reader->rest.len; i++) {
        unsigned char byte = (unsigned char)reader->rest.at[i];
        if (byte <= ' ' || byte == 0x7f)
            return coro_url_refuse(reader,
                                   "found a blank or control character, "
                                   "expected it escaped (a space is %%20)");
        if (byte == '#')
            return coro_url_refuse(reader,
                                   "found '#', expected it escaped as %%23");
    }
    return 0;
}

static int read_db(struct coro_url_reader *reader, struct coro_url_span text)
{
    uint64_t db;
    if (coro_parse_u64(text.at, text.len, 0, DB_MAX, &db) < 0)
        return coro_url_refuse(
            reader,
            "found the database '%.*s', expected a whole number "
            "from 0 to %d",
            (int)(text.len < 40 ? text.len : 40), text.at, DB_MAX);
    reader->address.db = (uint32_t)db;
    return 0;
}

/* The path of a file that TLS needs; none is given twice. */
static int read_file(struct coro_url_reader *reader,
                     struct coro_url_span encoded, char **ret_path)
{
    if (*ret_path || encoded.len == 0)
        return coro_url_refuse(reader,
                               "found the same file twice, or an empty path, "
                               "expected each of cafile=PATH, cert=PATH and "
                               "key=PATH once at most");
    return coro_url_decode(reader, encoded, "path of a file", ret_path);
}

static bool is_named(struct coro_url_span field, const char *name)
{
    size_t len = strlen(name);
    return field.len == len && memcmp(field.at, name, len) == 0;
}

/* Reads one NAME=VALUE of the query. */
static int read_field(struct coro_url_reader *reader,
                      struct coro_url_span field, bool *has_db)
{
    struct coro_redis_address *address = &reader->address;
    struct coro_url_span name = coro_url_take_until(&field, "=");
    struct coro_url_span value = {field.at + 1, field.len - 1};
    bool has_value = field.len > 0;
    if (has_value && is_named(name, "db")) {
        if (*has_db)
            return coro_url_refuse(reader, "found two databases, expected one");
        *has_db = true;
        return read_db(reader, value);
    }
    if (!address->tls)
        return coro_url_refuse(reader, "found something else after '?', "
                                       "expected db=N and nothing more");
    if (has_value && is_named(name, "cafile"))
        return read_file(reader, value, &address->cafile);
    if (has_value && is_named(name, "cert"))
        return read_file(reader, value, &address->cert);
    if (has_value && is_named(name, "key"))
        return read_file(reader, value, &address->key);
    return coro_url_refuse(reader, "found something else after '?', expected "
                                   "db=N, cafile=PATH, cert=PATH or key=PATH");
}

/* Reads ?NAME=VALUE&..., or nothing, up to the end of the URL. */
static int read_query(struct coro_url_reader *reader, bool has_db)
{
    struct coro_url_span rest = reader->rest;
    int status = 0;
    while (rest.len > 0 && status == 0) {
        rest.at++;
        rest.len--;
        status = read_field(reader, coro_url_take_until(&rest, "&"), &has_db);
    }
    if (status == 0 && !reader->address.cert != !reader->address.key)
        status = coro_url_refuse(reader, "found only one of cert= and key=, "
                                         "expected both or none");
    return status;
}

/* Takes what stands between the scheme and the path, reads the credentials in
 * it and leaves the rest of it in @ret_hosts. */
static int take_authority(struct coro_url_reader *reader,
                          struct coro_url_span *ret_hosts)
{
    *ret_hosts = coro_url_take_until(&reader->rest, "/?");
    /* An '@' further on shows that the password was cut at its '/' or '?':
     * from here on, parts of it could be quoted. */
    if (memchr(reader->rest.at, '@', reader->rest.len))
        return coro_url_refuse(
            reader, "found '@' after the host, expected '/' and '?' in user "
                    "and password escaped as %%2F and %%3F");
    return coro_url_take_user_info(reader, ret_hosts);
}

/* Reads /N, or nothing, and the query behind it. */
static int read_db_and_query(struct coro_url_reader *reader)
{
    struct coro_url_span path = coro_url_take_until(&reader->rest, "?");
    bool has_db = path.len > 1;
    int status = 0;
    if (has_db)
        status =
            read_db(reader, (struct coro_url_span){path.at + 1, path.len - 1});
    return status < 0 ? status : read_query(reader, has_db);
}

static int read_tcp(struct coro_url_reader *reader)
{
    struct coro_url_span text = {0};
    int status = take_authority(reader, &text);
    if (status < 0)
        return status;
    struct coro_redis_host host = {0};
    status = coro_url_read_host(reader, text, DEFAULT_PORT, &host);
    reader->address.host = host.name;
    reader->address.port = host.port;
    return status < 0 ? status : read_db_and_query(reader);
}

static int read_sentinels(struct coro_url_reader *reader,
                          struct coro_url_span list)
{
    struct coro_redis_address *address = &reader->address;
    size_t nhosts = 1;
    for (size_t i = 0; i < list.len; i++)
        nhosts += list.at[i] == ',';
    if (nhosts > CORO_REDIS_SENTINELS_MAX)
        return coro_url_refuse(reader,
                               "found %zu sentinels, expected at most %d",
                               nhosts, CORO_REDIS_SENTINELS_MAX);
    address->sentinels = calloc(nhosts, sizeof *address->sentinels);
    if (!address->sentinels)
        return coro_url_refuse_for_memory(reader);
    address->nsentinels = nhosts;
    int status = 0;
    for (size_t i = 0; i < nhosts && status == 0; i++) {
        struct coro_url_span text = coro_url_take_until(&list, ",");
        status = coro_url_read_host(reader, text, DEFAULT_SENTINEL_PORT,
                                    &address->sentinels[i]);
        if (list.len > 0) { /* the comma */
            list.at++;
            list.len--;
        }
    }
    return status;
}

/* Sentinel itself allows no other characters in it. */
static int read_primary_name(struct coro_url_reader *reader)
{
    if (reader->rest.len > 0 && *reader->rest.at == '/') {
        reader->rest.at++;
        reader->rest.len--;
    }
    struct coro_url_span name = coro_url_take_until(&reader->rest, "/?");
    if (name.len == 0)
        return coro_url_refuse(
            reader, "found no name of a primary after the sentinels, expected "
                    "redis+sentinel://host[:port],.../name[/db]");
    for (size_t i = 0; i < name.len; i++)
        if (!coro_url_is_name_character(name.at[i]))
            return coro_url_refuse(
                reader, "found a character that no primary's name has, "
                        "expected letters, digits, '.', '-' and '_'");
    reader->address.primary_name = strndup(name.at, name.len);
    return reader->address.primary_name ? 0
                                        : coro_url_refuse_for_memory(reader);
}

static int read_sentinel(struct coro_url_reader *reader)
{
    struct coro_url_span hosts = {0};
    int status = take_authority(reader, &hosts);
    if (status == 0)
        status = read_sentinels(reader, hosts);
    if (status == 0)
        status = read_primary_name(reader);
    return status < 0 ? status : read_db_and_query(reader);
}

static int read_unix(struct coro_url_reader *reader)
{
    struct coro_url_span authority = {reader->rest.at, 0};
    if (strncmp(reader->rest.at, "//", 2) == 0) {
        reader->rest.at += 2;
        reader->rest.len -= 2;
        authority = coro_url_take_until(&reader->rest, "/?");
    }
    int status = coro_url_take_user_info(reader, &authority);
    if (status < 0)
        return status;
    struct coro_url_span path = coro_url_take_until(&reader->rest, "?");
    if (authority.len > 0 || path.len < 2 || *path.at != '/')
        return coro_url_refuse(reader, "found no absolute path, expected "
                                       "unix:///path/to/socket[?db=N]");
    status = coro_url_decode(reader, path, "path", &reader->address.path);
    if (status < 0)
        return status;
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(reader->address.path) > max)
        return coro_url_refuse(
            reader, "found a path of %zu bytes, expected at most %zu",
            strlen(reader->address.path), max);
    return read_query(reader, false);
}

static int read_url(struct coro_url_reader *reader)
{
    enum scheme scheme = SCHEME_TCP;
    int status = check_bytes(reader);
    if (status == 0)
        status = read_scheme(reader, &scheme);
    if (status < 0)
        return status;
    if (scheme == SCHEME_SENTINEL)
        return read_sentinel(reader);
    if (scheme == SCHEME_UNIX)
        return read_unix(reader);
    reader->address.tls = scheme == SCHEME_TLS;
    return read_tcp(reader);
}

int coro_redis_url_parse(const char *url,
                         struct coro_redis_address *ret_address, char *why,
                         size_t why_size)
{
    struct coro_url_reader reader = {
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
