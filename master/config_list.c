/*
 * The options that may be repeated: queues and handlers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/parse.h"
#include "master/config_kind.h"

/* --- queues --------------------------------------------------------------- */

/* Splits "KEY=WEIGHT" at its last '='; a key alone has the weight 0. */
static int read_weight(const struct option_spec *spec, struct config_text text,
                       size_t *ret_key_len, unsigned *ret_weight,
                       struct options_error *error)
{
    uint64_t weight = 0;
    const char *sign = strrchr(text.text, '=');
    size_t len = sign ? (size_t)(sign - text.text) : strlen(text.text);
    if (len == 0 || (sign && coro_parse_u64(sign + 1, strlen(sign + 1),
                                            spec->min, spec->max, &weight)))
        return config_refuse(error, text.where, text.text,
                             "KEY or KEY=WEIGHT with a weight from 1 to 1000");
    *ret_key_len = len;
    *ret_weight = (unsigned)weight;
    return 0;
}

static int check_queue(const struct options_queues *queues, const char *key,
                       unsigned weight, struct config_text text,
                       struct options_error *error)
{
    if (queues->count > 0 && !weight != !queues->items[0].weight)
        return config_refuse(error, text.where, text.text,
                             weight ? "no weight, as the queues before it "
                                      "have none"
                                    : "KEY=WEIGHT, as the queues before it "
                                      "have weights");
    for (size_t i = 0; i < queues->count; i++)
        if (strcmp(queues->items[i].key, key) == 0)
            return config_refuse(error, text.where, text.text,
                                 "each queue only once");
    return 0;
}

static int queues_set(void *field, const struct option_spec *spec,
                      struct config_text text, struct options_error *error)
{
    struct options_queues *queues = field;
    struct options_queue *items =
        reallocarray(queues->items, queues->count + 1, sizeof(*items));
    if (!items)
        return config_out_of_memory(error);
    queues->items = items;

    size_t len = 0;
    unsigned weight = 0;
    int status = read_weight(spec, text, &len, &weight, error);
    if (status < 0)
        return status;
    char *key = strndup(text.text, len);
    if (!key)
        return config_out_of_memory(error);
    status = check_queue(queues, key, weight, text, error);
    if (status < 0) {
        free(key);
        return status;
    }
    items[queues->count++] =
        (struct options_queue){.key = key, .weight = weight};
    return 0;
}

static void queues_reset(void *field)
{
    struct options_queues *queues = field;
    for (size_t i = 0; i < queues->count; i++)
        free(queues->items[i].key);
    free(queues->items);
    *queues = (struct options_queues){0};
}

static void queues_describe(const void *field, const struct option_spec *spec,
                            struct config_writer *writer)
{
    (void)spec;
    const struct options_queues *queues = field;
    for (size_t i = 0; i < queues->count; i++) {
        config_put(writer, "%s", i > 0 ? "," : "");
        config_put_masked(writer, queues->items[i].key);
        if (queues->items[i].weight > 0)
            config_put(writer, "=%u", queues->items[i].weight);
    }
}

/* --- handlers ------------------------------------------------------------- */

static bool is_class_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_';
}

/*
 * The length of the CLASS in front of "=SPEC": names joined by "::". It is 0
 * where there is none: the '=' of http://host/?a=b, or of exec:/bin/env A=b,
 * belongs to the SPEC.
 */
static size_t class_length(const char *text)
{
    size_t len = 0;
    while (is_class_character(text[len])) {
        while (is_class_character(text[len]))
            len++;
        if (text[len] == '=')
            return len;
        if (strncmp(text + len, "::", 2) != 0)
            return 0;
        len += 2;
    }
    return 0;
}

static bool is_same_class(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int check_handler(const struct options_handlers *handlers,
                         const struct options_handler *handler,
                         const char *where, struct options_error *error)
{
    const char *name = handler->class_name;
    for (size_t i = 0; i < handlers->count; i++) {
        if (!is_same_class(handlers->items[i].class_name, name))
            continue;
        snprintf(error->message, sizeof(error->message),
                 "%s: found two handlers %s%.80s, expected one", where,
                 name ? "for class " : "without a class", name ? name : "");
        return -EINVAL;
    }
    return 0;
}

static void handler_release(struct options_handler *handler)
{
    free(handler->class_name);
    if (handler->spec)
        explicit_bzero(handler->spec, strlen(handler->spec));
    free(handler->spec);
}

static int handlers_set(void *field, const struct option_spec *spec,
                        struct config_text text, struct options_error *error)
{
    (void)spec;
    struct options_handlers *handlers = field;
    struct options_handler *items =
        reallocarray(handlers->items, handlers->count + 1, sizeof(*items));
    if (!items)
        return config_out_of_memory(error);
    handlers->items = items;

    size_t len = class_length(text.text);
    const char *rest = len > 0 ? text.text + len + 1 : text.text;
    if (*rest == '\0')
        return config_refuse(error, text.where, text.text, "[CLASS=]SPEC");
    if (*rest == '=')
        return config_refuse(error, text.where, "=", "[CLASS=]SPEC");
    struct options_handler handler = {.spec = strdup(rest)};
    if (len > 0)
        handler.class_name = strndup(text.text, len);
    int status;
    if (!handler.spec || (len > 0 && !handler.class_name))
        status = config_out_of_memory(error);
    else
        status = check_handler(handlers, &handler, text.where, error);
    if (status < 0)
        handler_release(&handler);
    else
        items[handlers->count++] = handler;
    return status;
}

static void handlers_reset(void *field)
{
    struct options_handlers *handlers = field;
    for (size_t i = 0; i < handlers->count; i++)
        handler_release(&handlers->items[i]);
    free(handlers->items);
    *handlers = (struct options_handlers){0};
}

static void handlers_describe(const void *field, const struct option_spec *spec,
                              struct config_writer *writer)
{
    (void)spec;
    const struct options_handlers *handlers = field;
    for (size_t i = 0; i < handlers->count; i++) {
        const char *name = handlers->items[i].class_name;
        config_put(writer, "%s%s%s", i > 0 ? "," : "", name ? name : "",
                   name ? "=" : "");
        config_put_masked(writer, handlers->items[i].spec);
    }
}

const struct config_kind config_kind_queues = {queues_set, queues_reset,
                                               queues_describe};

const struct config_kind config_kind_handlers = {handlers_set, handlers_reset,
                                                 handlers_describe};
