/*
 * What the kinds of options share: messages, a writer, and the masking of
 * credentials.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/config_kind.h"

#define FOUND_MAX 80

void config_put(struct config_writer *writer, const char *format, ...)
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

int config_refuse(struct options_error *error, const char *where,
                  const char *found, const char *expected)
{
    /* It may be a misplaced URL. It is masked before it is cut: the '@' that
     * tells a password may come late. */
    char *shown = strdup(found);
    if (!shown)
        return config_out_of_memory(error);
    config_mask(shown);
    for (char *c = shown; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    snprintf(error->message, sizeof(error->message),
             "%s: found '%.*s%s', expected %s", where, FOUND_MAX, shown,
             strlen(shown) > FOUND_MAX ? "..." : "", expected);
    free(shown);
    return -EINVAL;
}

int config_out_of_memory(struct options_error *error)
{
    snprintf(error->message, sizeof(error->message), "out of memory");
    return -ENOMEM;
}

/* How many bytes of credentials stand at the front of @authority, where the
 * part of a URL after "://" begins. */
static size_t secret_length(const char *authority)
{
    size_t len = strcspn(authority, "/?# \t\n\"'");
    const char *at = memrchr(authority, '@', len);
    return at ? (size_t)(at - authority) : 0;
}

void config_mask(char *text)
{
    for (char *next = text; (next = strstr(next, "://"));) {
        next += 3;
        memset(next, '*', secret_length(next));
    }
}

void config_put_masked(struct config_writer *writer, const char *text)
{
    for (const char *end; (end = strstr(text, "://"));) {
        size_t secret = secret_length(end + 3);
        config_put(writer, "%.*s://%s", (int)(end - text), text,
                   secret ? "***" : "");
        text = end + 3 + secret;
    }
    config_put(writer, "%s", text);
}
