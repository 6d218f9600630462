/*
 * For tests of options: one parse at a time, kept in `parsed` and freed by
 * the next one or by clean_up().
 */
#ifndef TESTS_UNIT_MASTER_PARSE_OPTIONS_H
#define TESTS_UNIT_MASTER_PARSE_OPTIONS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "master/options.h"

#define ARGUMENTS_MAX 16

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, clear_environment, clean_up)

/* What the last parse() came to; arguments are copies that may be changed. */
static struct {
    int status;
    struct options options;
    struct options_error error;
    char *argv[ARGUMENTS_MAX];
    int argc;
} parsed;

static inline void forget(void)
{
    if (parsed.status == 0)
        options_release(&parsed.options);
    while (parsed.argc > 0)
        free(parsed.argv[--parsed.argc]);
    parsed.status = -1;
}

static inline int parse_for(enum command_flag command,
                            const char *const *arguments)
{
    forget();
    while (arguments[parsed.argc]) {
        parsed.argv[parsed.argc] = strdup(arguments[parsed.argc]);
        assert_non_null(parsed.argv[parsed.argc]);
        parsed.argc++;
    }
    parsed.status = options_parse(&parsed.options, command, parsed.argc,
                                  parsed.argv, &parsed.error);
    return parsed.status;
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define parse(...)     parse_for(COMMAND_FLAG_RUN, ARGUMENTS(__VA_ARGS__))
#define parse_none()   parse_for(COMMAND_FLAG_RUN, ARGUMENTS(NULL))

#define assert_parses(...) assert_int_equal(parse(__VA_ARGS__), 0)

/* The parse fails, and says exactly @text. */
#define assert_complains(text, ...)                      \
    do {                                                 \
        assert_int_equal(parse(__VA_ARGS__), -EINVAL);   \
        assert_string_equal(parsed.error.message, text); \
    } while (0)

static inline size_t index_of(const char *name)
{
    size_t i = 0;
    while (strcmp(options_spec(i)->name, name) != 0)
        i++;
    return i;
}

/* What `corq check` would print for option @name. */
static inline const char *described(const char *name)
{
    static char buffer[256];
    return options_describe(&parsed.options, index_of(name), buffer,
                            sizeof(buffer));
}

static inline const char *source_of(const char *name)
{
    return options_source(&parsed.options, index_of(name));
}

static inline int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < options_count(); i++)
        if (options_spec(i)->environment)
            unsetenv(options_spec(i)->environment);
    return 0;
}

static inline int clean_up(void **state)
{
    forget();
    return clear_environment(state);
}

#endif
