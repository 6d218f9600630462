#include "master/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/clock.h"
#include "coro/base/nearest.h"
#include "coro/base/parse.h"
#include "master/config_kind.h"

#define FOREVER "forever"

/* --- a URL ---------------------------------------------------------------- */

static int url_set(void *field, const struct option_spec *spec,
                   struct config_text text, struct options_error *error)
{
    (void)spec;
    struct coro_redis_address address;
    char why[CORO_REDIS_URL_WHY_MAX];
    int status = coro_redis_url_parse(text.text, &address, why, sizeof(why));
    if (status == -ENOMEM)
        return config_out_of_memory(error);
    if (status < 0) {
        snprintf(error->message, sizeof(error->message), "%s: %s", text.where,
                 why);
        return -EINVAL;
    }
    coro_redis_address_release(field);
    *(struct coro_redis_address *)field = address;
    return 0;
}

static void url_reset(void *field)
{
    coro_redis_address_release(field);
}

static void url_describe(const void *field, const struct option_spec *spec,
                         struct config_writer *writer)
{
    (void)spec;
    char text[512];
    config_put(writer, "%s",
               coro_redis_address_describe(field, text, sizeof(text)));
}

/* --- one of some words ---------------------------------------------------- */

_Static_assert(sizeof(enum options_delivery) == sizeof(unsigned) &&
                   sizeof(enum options_log_level) == sizeof(unsigned) &&
                   sizeof(enum options_log_format) == sizeof(unsigned),
               "an enum's field is read and written as an unsigned");

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    return count;
}

static int refuse_word(const struct option_spec *spec, struct config_text text,
                       struct options_error *error)
{
    char expected[256];
    struct config_writer writer = {expected, sizeof(expected)};
    size_t nwords = count_words(spec->words);
    for (size_t i = 0; i < nwords; i++)
        config_put(&writer, "%s'%s'",
                   i > 0 ? (i + 1 < nwords ? ", " : " or ") : "",
                   spec->words[i]);
    const char *nearest = coro_nearest(text.text, spec->words, nwords);
    if (nearest && nwords > 1)
        config_put(&writer, "; did you mean '%s'?", nearest);
    return config_refuse(error, text.where, text.text, expected);
}

static int enum_set(void *field, const struct option_spec *spec,
                    struct config_text text, struct options_error *error)
{
    for (unsigned i = 0; spec->words[i]; i++)
        if (strcmp(spec->words[i], text.text) == 0) {
            memcpy(field, &i, sizeof(i));
            return 0;
        }
    return refuse_word(spec, text, error);
}

static void enum_describe(const void *field, const struct option_spec *spec,
                          struct config_writer *writer)
{
    unsigned value;
    memcpy(&value, field, sizeof(value));
    config_put(writer, "%s", spec->words[value]);
}

/* --- numbers -------------------------------------------------------------- */

/* @value in the largest of @units that leaves no rest; the last one is 1. */
static void put_in_units(struct config_writer *writer, uint64_t value,
                         const uint64_t *units, const char *const *names)
{
    while (*units > 1 && (value == 0 || value % *units != 0)) {
        units++;
        names++;
    }
    config_put(writer, "%llu%s", (unsigned long long)(value / *units), *names);
}

static void put_size(struct config_writer *writer, uint64_t size_bytes)
{
    static const uint64_t units[] = {1 << 30, 1 << 20, 1 << 10, 1};
    static const char *const names[] = {"GiB", "MiB", "KiB", ""};
    put_in_units(writer, size_bytes, units, names);
}

void config_put_duration(struct config_writer *writer, uint64_t ms)
{
    static const uint64_t units[] = {86400000, 3600000, 60000, 1000, 1};
    static const char *const names[] = {"d", "h", "m", "s", "ms"};
    if (ms == 0)
        config_put(writer, "0");
    else
        put_in_units(writer, ms, units, names);
}

/* Whether @text is the word that stands for 0. */
static bool is_zero_word(const struct option_spec *spec, const char *text)
{
    return spec->words && strcmp(text, spec->words[0]) == 0;
}

static void put_zero_word(struct config_writer *writer,
                          const struct option_spec *spec)
{
    if (spec->words)
        config_put(writer, ", or '%s'", spec->words[0]);
}

static int u64_set(void *field, const struct option_spec *spec,
                   struct config_text text, struct options_error *error)
{
    if (is_zero_word(spec, text.text)) {
        *(uint64_t *)field = 0;
        return 0;
    }
    if (coro_parse_u64(text.text, strlen(text.text), spec->min, spec->max,
                       field) == 0)
        return 0;
    char expected[128];
    struct config_writer writer = {expected, sizeof(expected)};
    config_put(&writer, "a whole number from %llu to %llu",
               (unsigned long long)spec->min, (unsigned long long)spec->max);
    put_zero_word(&writer, spec);
    return config_refuse(error, text.where, text.text, expected);
}

static void u64_describe(const void *field, const struct option_spec *spec,
                         struct config_writer *writer)
{
    uint64_t value = *(const uint64_t *)field;
    if (value == 0 && spec->words)
        config_put(writer, "%s", spec->words[0]);
    else
        config_put(writer, "%llu", (unsigned long long)value);
}

static int size_set(void *field, const struct option_spec *spec,
                    struct config_text text, struct options_error *error)
{
    if (is_zero_word(spec, text.text)) {
        *(uint64_t *)field = 0;
        return 0;
    }
    if (coro_parse_size(text.text, strlen(text.text), spec->min, spec->max,
                        field) == 0)
        return 0;
    char expected[128];
    struct config_writer writer = {expected, sizeof(expected)};
    config_put(&writer, "a size such as 8388608 or 16MiB, from ");
    put_size(&writer, spec->min);
    config_put(&writer, " to ");
    put_size(&writer, spec->max);
    put_zero_word(&writer, spec);
    return config_refuse(error, text.where, text.text, expected);
}

static void size_describe(const void *field, const struct option_spec *spec,
                          struct config_writer *writer)
{
    uint64_t size_bytes = *(const uint64_t *)field;
    if (size_bytes == 0 && spec->words)
        config_put(writer, "%s", spec->words[0]);
    else
        put_size(writer, size_bytes);
}

/* Only an option without an upper bound may be for ever. */
static bool may_be_forever(const struct option_spec *spec)
{
    return spec->max == (uint64_t)CORO_NEVER;
}

static int duration_set(void *field, const struct option_spec *spec,
                        struct config_text text, struct options_error *error)
{
    int64_t ms = CORO_NEVER;
    int status = 0;
    if (!may_be_forever(spec) || strcmp(text.text, FOREVER) != 0)
        status = coro_parse_duration_ms(text.text, strlen(text.text), &ms);
    if (status == 0 && (uint64_t)ms >= spec->min && (uint64_t)ms <= spec->max) {
        *(int64_t *)field = ms;
        return 0;
    }
    char expected[128];
    struct config_writer writer = {expected, sizeof(expected)};
    config_put(&writer, "a duration such as 250ms, 2s, 5m or 1h");
    if (spec->min > 0) {
        config_put(&writer, ", at least ");
        config_put_duration(&writer, spec->min);
    }
    if (may_be_forever(spec)) {
        config_put(&writer, ", or '" FOREVER "'");
    } else {
        config_put(&writer, ", at most ");
        config_put_duration(&writer, spec->max);
    }
    return config_refuse(error, text.where, text.text, expected);
}

static void duration_describe(const void *field, const struct option_spec *spec,
                              struct config_writer *writer)
{
    (void)spec;
    int64_t ms = *(const int64_t *)field;
    if (ms == CORO_NEVER)
        config_put(writer, FOREVER);
    else
        config_put_duration(writer, (uint64_t)ms);
}

/* Numbers and words hold nothing that is to be freed. */
static void scalar_reset(void *field)
{
    (void)field;
}

/* --- a switch with an optional value -------------------------------------- */

static int switch_set(void *field, const struct option_spec *spec,
                      struct config_text text, struct options_error *error)
{
    static const char *const words[] = {"no",    "yes",  "off", "on",
                                        "false", "true", "0",   "1"};
    struct options_switch value = {.on = true};
    size_t i = 0;
    while (i < 8 && strcmp(text.text, words[i]) != 0)
        i++;
    if (i < 8)
        value.on = i % 2 == 1;
    else if (*text.text == '\0')
        return config_refuse(error, text.where, text.text, spec->placeholder);
    else if (!(value.text = strdup(text.text)))
        return config_out_of_memory(error);
    free(((struct options_switch *)field)->text);
    *(struct options_switch *)field = value;
    return 0;
}

static void switch_reset(void *field)
{
    struct options_switch *value = field;
    free(value->text);
    *value = (struct options_switch){0};
}

static void switch_describe(const void *field, const struct option_spec *spec,
                            struct config_writer *writer)
{
    (void)spec;
    const struct options_switch *value = field;
    const char *word = value->on ? "yes" : "no";
    config_put(writer, "%s", value->text ? value->text : word);
}

static const struct config_kind kind_url = {url_set, url_reset, url_describe};

static const struct config_kind kind_enum = {enum_set, scalar_reset,
                                             enum_describe};

static const struct config_kind kind_u64 = {u64_set, scalar_reset,
                                            u64_describe};

static const struct config_kind kind_duration = {duration_set, scalar_reset,
                                                 duration_describe};

static const struct config_kind kind_size = {size_set, scalar_reset,
                                             size_describe};

static const struct config_kind kind_switch = {switch_set, switch_reset,
                                               switch_describe};

static const struct config_kind *const kinds[] = {
    [OPTION_KIND_URL] = &kind_url,
    [OPTION_KIND_QUEUES] = &config_kind_queues,
    [OPTION_KIND_HANDLERS] = &config_kind_handlers,
    [OPTION_KIND_ENUM] = &kind_enum,
    [OPTION_KIND_U64] = &kind_u64,
    [OPTION_KIND_DURATION] = &kind_duration,
    [OPTION_KIND_SIZE] = &kind_size,
    [OPTION_KIND_SWITCH] = &kind_switch,
    [OPTION_KIND_RETRY_DELAY] = &config_kind_retry_delay,
    [OPTION_KIND_TEXT] = &config_kind_text,
    [OPTION_KIND_TIME] = &config_kind_time,
};

int config_set(struct options *options, const struct option_spec *spec,
               struct config_text text, struct options_error *error)
{
    return kinds[spec->kind]->set((char *)options + spec->offset, spec, text,
                                  error);
}

void config_reset(struct options *options, const struct option_spec *spec)
{
    kinds[spec->kind]->reset((char *)options + spec->offset);
}

void config_describe(const struct options *options,
                     const struct option_spec *spec, char *buffer, size_t size)
{
    struct config_writer writer = {buffer, size};
    kinds[spec->kind]->describe((const char *)options + spec->offset, spec,
                                &writer);
}
