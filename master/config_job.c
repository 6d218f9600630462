/*
 * The options that describe one job: a text, and a point in time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/parse.h"
#include "master/config_kind.h"

static int text_set(void *field, const struct option_spec *spec,
                    struct config_text text, struct options_error *error)
{
    if (*text.text == '\0')
        return config_refuse(error, text.where, text.text, spec->placeholder);
    char *copy = strdup(text.text);
    if (!copy)
        return config_out_of_memory(error);
    free(*(char **)field);
    *(char **)field = copy;
    return 0;
}

static void text_reset(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

static void text_describe(const void *field, const struct option_spec *spec,
                          struct config_writer *writer)
{
    (void)spec;
    const char *text = *(char *const *)field;
    config_put(writer, "%s", text ? text : "");
}

static int time_set(void *field, const struct option_spec *spec,
                    struct config_text text, struct options_error *error)
{
    (void)spec;
    if (coro_parse_time_us(text.text, strlen(text.text), field) == 0)
        return 0;
    return config_refuse(error, text.where, text.text,
                         "seconds since 1970, or a time in UTC such as "
                         "2026-11-25T10:00:00Z, before the year 10000");
}

static void time_reset(void *field)
{
    *(int64_t *)field = 0;
}

static void time_describe(const void *field, const struct option_spec *spec,
                          struct config_writer *writer)
{
    (void)spec;
    int64_t us = *(const int64_t *)field;
    config_put(writer, "%lld.%06d", (long long)(us / 1000000),
               (int)(us % 1000000));
}

const struct config_kind config_kind_text = {text_set, text_reset,
                                             text_describe};

const struct config_kind config_kind_time = {time_set, time_reset,
                                             time_describe};
