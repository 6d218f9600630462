/*
 * The option that says how long a failed job waits: default, fixed:TIME or
 * exp:FIRST:MOST.
 */
#include <errno.h>
#include <string.h>

#include "coro/base/parse.h"
#include "master/config_kind.h"

/* The longest wait between two tries: a year. */
#define MOST_MS (INT64_C(365) * 24 * 60 * 60 * 1000)

static const char fixed[] = "fixed:";
static const char doubling[] = "exp:";

static int read_wait(const char *text, size_t len, int64_t least_ms,
                     int64_t *ret_ms)
{
    int64_t ms;
    if (coro_parse_duration_ms(text, len, &ms) < 0 || ms < least_ms ||
        ms > MOST_MS)
        return -EINVAL;
    *ret_ms = ms;
    return 0;
}

/* "FIRST:MOST", neither of them 0: what doubles must have something to. */
static int read_waits(const char *text, struct options_retry_delay *delay)
{
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || read_wait(text, len, 1, &delay->first_ms) < 0)
        return -EINVAL;
    const char *most = text + len + 1;
    return read_wait(most, strlen(most), delay->first_ms, &delay->most_ms);
}

static int read_delay(const char *text, struct options_retry_delay *delay)
{
    if (strcmp(text, "default") == 0)
        return 0;
    if (strncmp(text, fixed, strlen(fixed)) == 0) {
        text += strlen(fixed);
        delay->kind = OPTIONS_RETRY_DELAY_FIXED;
        int status = read_wait(text, strlen(text), 0, &delay->first_ms);
        delay->most_ms = delay->first_ms;
        return status;
    }
    if (strncmp(text, doubling, strlen(doubling)) == 0) {
        delay->kind = OPTIONS_RETRY_DELAY_EXP;
        return read_waits(text + strlen(doubling), delay);
    }
    return -EINVAL;
}

static int retry_delay_set(void *field, const struct option_spec *spec,
                           struct config_text text, struct options_error *error)
{
    (void)spec;
    struct options_retry_delay delay = {.kind = OPTIONS_RETRY_DELAY_DEFAULT};
    if (read_delay(text.text, &delay) < 0)
        return config_refuse(
            error, text.where, text.text,
            "'default', fixed:TIME such as fixed:30s, or exp:FIRST:MOST such "
            "as exp:1s:1h (FIRST not 0 and at most MOST), at most 365d");
    *(struct options_retry_delay *)field = delay;
    return 0;
}

static void retry_delay_reset(void *field)
{
    *(struct options_retry_delay *)field =
        (struct options_retry_delay){.kind = OPTIONS_RETRY_DELAY_DEFAULT};
}

static void retry_delay_describe(const void *field,
                                 const struct option_spec *spec,
                                 struct config_writer *writer)
{
    (void)spec;
    const struct options_retry_delay *delay = field;
    if (delay->kind == OPTIONS_RETRY_DELAY_DEFAULT) {
        config_put(writer, "default");
        return;
    }
    bool is_fixed = delay->kind == OPTIONS_RETRY_DELAY_FIXED;
    config_put(writer, "%s", is_fixed ? fixed : doubling);
    config_put_duration(writer, (uint64_t)delay->first_ms);
    if (is_fixed)
        return;
    config_put(writer, ":");
    config_put_duration(writer, (uint64_t)delay->most_ms);
}

const struct config_kind config_kind_retry_delay = {
    retry_delay_set, retry_delay_reset, retry_delay_describe};
