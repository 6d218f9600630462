/*
 * Between the files that implement config.h, and for no one else: what a kind
 * of option can do, and what all kinds use for it.
 */
#ifndef MASTER_CONFIG_KIND_H
#define MASTER_CONFIG_KIND_H

#include <stddef.h>

#include "master/config.h"

/* See config_set(), config_reset() and config_describe(). */
struct config_kind {
    int (*set)(void *field, const struct option_spec *spec,
               struct config_text text, struct options_error *error);
    void (*reset)(void *field);
    void (*describe)(const void *field, const struct option_spec *spec,
                     struct config_writer *writer);
};

extern const struct config_kind config_kind_queues;
extern const struct config_kind config_kind_handlers;
extern const struct config_kind config_kind_retry_delay;
extern const struct config_kind config_kind_text;
extern const struct config_kind config_kind_time;

/** Adds a duration in the largest unit that leaves no rest. */
void config_put_duration(struct config_writer *writer, uint64_t ms);

/**
 * Writes "@where: found '@found', expected @expected" into @error, with
 * @found cut to a fair length, its control characters made visible and
 * credentials in it masked.
 *
 * Returns -EINVAL, or -ENOMEM with @error filled.
 */
int config_refuse(struct options_error *error, const char *where,
                  const char *found, const char *expected);

#endif
