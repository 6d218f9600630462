/*
 * The end of an address, and its description for people.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/io/redis_url_internal.h"

void coro_redis_address_release(struct coro_redis_address *address)
{
    if (!address)
        return;
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->password);
    for (size_t i = 0; i < address->nsentinels; i++)
        free(address->sentinels[i].name);
    free(address->sentinels);
    free(address->primary_name);
    free(address->host);
    free(address->path);
    free(address->user);
    free(address->cafile);
    free(address->cert);
    free(address->key);
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
        if (coro_url_is_name_character(*text) || (is_path && *text == '/'))
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

static void put_host(struct writer *writer, const char *name, uint16_t port)
{
    put(writer, strchr(name, ':') ? "[%s]:%u" : "%s:%u", name, (unsigned)port);
}

static void put_unix(struct writer *writer,
                     const struct coro_redis_address *address)
{
    put(writer, "unix://");
    put_user_info(writer, address);
    put_escaped(writer, address->path, true);
    if (address->db > 0)
        put(writer, "?db=%u", (unsigned)address->db);
}

static void put_sentinels(struct writer *writer,
                          const struct coro_redis_address *address)
{
    put(writer, "redis+sentinel://");
    put_user_info(writer, address);
    for (size_t i = 0; i < address->nsentinels; i++) {
        put(writer, i > 0 ? "," : "");
        put_host(writer, address->sentinels[i].name,
                 address->sentinels[i].port);
    }
    put(writer, "/%s/%u", address->primary_name, (unsigned)address->db);
}

static void put_files(struct writer *writer,
                      const struct coro_redis_address *address)
{
    const struct {
        const char *name, *path;
    } files[] = {
        {"cafile", address->cafile},
        {"cert", address->cert},
        {"key", address->key},
    };

    const char *separator = "?";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i].path)
            continue;
        put(writer, "%s%s=", separator, files[i].name);
        put_escaped(writer, files[i].path, true);
        separator = "&";
    }
}

const char *coro_redis_address_describe(
    const struct coro_redis_address *address, char *buffer, size_t size)
{
    struct writer writer = {buffer, size};
    if (address->path) {
        put_unix(&writer, address);
        return buffer;
    }
    if (address->sentinels) {
        put_sentinels(&writer, address);
        return buffer;
    }
    put(&writer, address->tls ? "rediss://" : "redis://");
    put_user_info(&writer, address);
    put_host(&writer, address->host ? address->host : "", address->port);
    put(&writer, "/%u", (unsigned)address->db);
    put_files(&writer, address);
    return buffer;
}
