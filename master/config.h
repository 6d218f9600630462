/*
 * One option's value: from text into its field of struct options, and back.
 *
 * This is what the layers (defaults, environment, command line) have in
 * common; which of them is speaking is only a name in the error message.
 */
#ifndef MASTER_CONFIG_H
#define MASTER_CONFIG_H

#include <stddef.h>

#include "master/options.h"

/* A text that is to become a value, and where it stands. */
struct config_text {
    const char *where; /* "--queue", "CORQ_QUEUE": begins the message */
    const char *text;
};

/* A text that grows in a buffer until that is full. */
struct config_writer {
    char *at;
    size_t size;
};

/** Writes "out of memory" into @error. Returns -ENOMEM. */
int config_out_of_memory(struct options_error *error);

/**
 * Sets the field of @spec in @options from @text; a list grows by it.
 *
 * Returns 0, or -EINVAL or -ENOMEM with @error filled and the field as it was.
 */
int config_set(struct options *options, const struct option_spec *spec,
               struct config_text text, struct options_error *error);

/** Frees what the field of @spec holds, wipes secrets and empties it. */
void config_reset(struct options *options, const struct option_spec *spec);

/** Does the work of options_describe(). */
void config_describe(const struct options *options,
                     const struct option_spec *spec, char *buffer, size_t size);

/** Adds to the text of @writer as much as fits; it stays terminated. */
__attribute__((format(printf, 2, 3))) void config_put(
    struct config_writer *writer, const char *format, ...);

/** Adds @text with the credentials in each URL in it replaced by ***. */
void config_put_masked(struct config_writer *writer, const char *text);

/** Overwrites the credentials in each URL in @text with asterisks. */
void config_mask(char *text);

#endif
