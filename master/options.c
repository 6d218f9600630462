#include "master/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/ensure.h"
#include "coro/base/nearest.h"
#include "master/config.h"

/* Longer names are cut: no option has such a one. */
#define NAME_MAX_LENGTH 63

/* The arguments being read, and what they are read into. */
struct reader {
    struct options *options;
    struct options_error *error;
    enum command_flag command;
    int argc;
    char **argv;
    int next;
};

static bool is_list(const struct option_spec *spec)
{
    return spec->kind == OPTION_KIND_QUEUES ||
           spec->kind == OPTION_KIND_HANDLERS;
}

static bool may_hold_credentials(const struct option_spec *spec)
{
    return spec->kind == OPTION_KIND_URL || spec->kind == OPTION_KIND_HANDLERS;
}

/* Sets option @index. The first value from a new source replaces what an
 * earlier one left; a further one from the same source adds to a list. */
static int assign(struct options *options, size_t index,
                  enum option_source source, struct config_text text,
                  struct options_error *error)
{
    const struct option_spec *spec = options_spec(index);
    if (options->sources[index] != source)
        config_reset(options, spec);
    options->sources[index] = source;
    return config_set(options, spec, text, error);
}

static int apply_defaults(struct options *options, struct options_error *error)
{
    for (size_t i = 0; i < options_count(); i++) {
        const struct option_spec *spec = options_spec(i);
        if (!spec->fallback)
            continue;
        struct config_text text = {spec->name, spec->fallback};
        int status = assign(options, i, OPTION_SOURCE_DEFAULT, text, error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* --- environment ---------------------------------------------------------- */

/* Cuts the first element off @list in place, and turns its "\," into ",".
 * Returns where the next one begins, or NULL after the last. */
static char *split_element(char *list)
{
    char *end = list;
    for (; *list && *list != ','; list++) {
        if (list[0] == '\\' && list[1] == ',')
            list++;
        *end++ = *list;
    }
    char *next = *list ? list + 1 : NULL;
    *end = '\0';
    return next;
}

static int assign_list(struct options *options, size_t index, const char *list,
                       struct options_error *error)
{
    char *copy = strdup(list);
    if (!copy)
        return config_out_of_memory(error);
    size_t len = strlen(copy);
    int status = 0;
    for (char *element = copy; element && status == 0;) {
        char *next = split_element(element);
        struct config_text text = {options_spec(index)->environment, element};
        status = assign(options, index, OPTION_SOURCE_ENVIRONMENT, text, error);
        element = next;
    }
    explicit_bzero(copy, len);
    free(copy);
    return status;
}

static int apply_environment(struct options *options, enum command_flag command,
                             struct options_error *error)
{
    for (size_t i = 0; i < options_count(); i++) {
        const struct option_spec *spec = options_spec(i);
        if (!(spec->commands & command) || !spec->environment)
            continue;
        const char *value = getenv(spec->environment);
        if (!value || !*value)
            continue;
        struct config_text text = {spec->environment, value};
        int status =
            is_list(spec)
                ? assign_list(options, i, value, error)
                : assign(options, i, OPTION_SOURCE_ENVIRONMENT, text, error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* --- command line --------------------------------------------------------- */

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

/* Only what stands before a ':' is quoted: behind it, in a misplaced URL,
 * there may be a password. */
static int refuse_unknown(const struct reader *reader, const char *name)
{
    char dashed[OPTIONS_MAX][NAME_MAX_LENGTH + 3];
    const char *words[OPTIONS_MAX];
    size_t nwords = 0;
    for (size_t i = 0; i < options_count(); i++) {
        if (!(options_spec(i)->commands & reader->command))
            continue;
        snprintf(dashed[nwords], sizeof(dashed[nwords]), "--%s",
                 options_spec(i)->name);
        words[nwords] = dashed[nwords];
        nwords++;
    }
    const char *nearest = coro_nearest(name, words, nwords);
    char hint[NAME_MAX_LENGTH + 32] = "";
    if (nearest)
        snprintf(hint, sizeof(hint), "; did you mean '%s'?", nearest);
    else if (name[1] != '-')
        snprintf(hint, sizeof(hint), "; '--' ends the options");
    snprintf(reader->error->message, sizeof(reader->error->message),
             "unknown option '%.*s'%s", (int)strcspn(name, ":"), name, hint);
    return -EINVAL;
}

/* Copies the name of an option, dashes included, with control characters
 * made visible. A value behind it may be a secret and is left out. */
static void copy_name(const char *argument, char *name)
{
    size_t len = strcspn(argument, "=");
    if (len > NAME_MAX_LENGTH)
        len = NAME_MAX_LENGTH;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)argument[i];
        name[i] = byte < ' ' || byte == 0x7f ? '?' : argument[i];
    }
    name[len] = '\0';
}

static int find_option(const struct reader *reader, const char *name,
                       size_t *ret_index)
{
    for (size_t i = 0; i < options_count(); i++) {
        const struct option_spec *spec = options_spec(i);
        if (strncmp(name, "--", 2) != 0 || strcmp(name + 2, spec->name) != 0)
            continue;
        if (!(spec->commands & reader->command)) {
            snprintf(reader->error->message, sizeof(reader->error->message),
                     "%s: this command does not take it", name);
            return -EINVAL;
        }
        *ret_index = i;
        return 0;
    }
    return refuse_unknown(reader, name);
}

/* The value that belongs to @argument: behind its '=', or the next argument.
 * One that begins with "--" is more likely an option whose forerunner lost
 * its value; it can still be given behind a '='. */
static int take_value(struct reader *reader, const struct option_spec *spec,
                      char *argument, const char *name, char **ret_value)
{
    static char yes[] = "yes";
    char *sign = strchr(argument, '=');
    if (sign) {
        *ret_value = sign + 1;
        return 0;
    }
    if (spec->kind == OPTION_KIND_SWITCH) {
        *ret_value = yes;
        return 0;
    }
    bool has_next = reader->next < reader->argc;
    if (!has_next || strncmp(reader->argv[reader->next], "--", 2) == 0) {
        snprintf(reader->error->message, sizeof(reader->error->message),
                 "%s: found no value, expected %s", name, spec->placeholder);
        return -EINVAL;
    }
    *ret_value = reader->argv[reader->next++];
    return 0;
}

/* In a text that could not be read, anything may be the password. */
static void hide_credentials(char *value, bool is_understood)
{
    if (is_understood)
        config_mask(value);
    else
        memset(value, '*', strlen(value));
}

static int read_option(struct reader *reader, char *argument)
{
    char name[NAME_MAX_LENGTH + 1];
    copy_name(argument, name);
    size_t index;
    int status = find_option(reader, name, &index);
    if (status < 0)
        return status;
    const struct option_spec *spec = options_spec(index);
    char *value;
    status = take_value(reader, spec, argument, name, &value);
    if (status < 0)
        return status;
    struct config_text text = {name, value};
    status = assign(reader->options, index, OPTION_SOURCE_COMMAND_LINE, text,
                    reader->error);
    if (may_hold_credentials(spec))
        hide_credentials(value, status == 0);
    return status;
}

static int apply_arguments(struct reader *reader)
{
    struct options *options = reader->options;
    options->arguments =
        calloc((size_t)reader->argc + 1, sizeof(*options->arguments));
    if (!options->arguments)
        return config_out_of_memory(reader->error);
    bool has_ended = false;
    while (reader->next < reader->argc) {
        char *argument = reader->argv[reader->next++];
        bool is_option = argument[0] == '-' && argument[1] != '\0';
        int status = 0;
        if (has_ended || !is_option)
            options->arguments[options->narguments++] = argument;
        else if (strcmp(argument, "--") == 0)
            has_ended = true;
        else
            status = read_option(reader, argument);
        if (status < 0)
            return status;
    }
    return 0;
}

/* One allocation: the array and behind it the texts. */
static int keep_words(struct options *options, int argc, char **argv)
{
    size_t bytes = 0;
    for (int i = 0; i < argc; i++)
        bytes += strlen(argv[i]) + 1;
    size_t table_bytes = ((size_t)argc + 1) * sizeof(*options->words);
    options->words = malloc(table_bytes + bytes);
    if (!options->words)
        return -ENOMEM;
    char *at = (char *)options->words + table_bytes;
    for (int i = 0; i < argc; i++) {
        options->words[i] = at;
        at = stpcpy(at, argv[i]) + 1;
    }
    options->words[argc] = NULL;
    options->nwords = argc;
    return 0;
}

static void forget_words(struct options *options)
{
    for (int i = 0; i < options->nwords; i++)
        explicit_bzero(options->words[i], strlen(options->words[i]));
    free(options->words);
}

int options_parse(struct options *ret, enum command_flag command, int argc,
                  char **argv, struct options_error *error)
{
    error->message[0] = '\0';
    if (asks_for_help(argc, argv))
        return OPTIONS_HELP;
    struct options options = {.narguments = 0};
    struct reader reader = {
        .options = &options,
        .error = error,
        .command = command,
        .argc = argc,
        .argv = argv,
    };
    int status = 0;
    if (command == COMMAND_FLAG_RUN && keep_words(&options, argc, argv) < 0)
        status = config_out_of_memory(error);
    if (status == 0)
        status = apply_defaults(&options, error);
    if (status == 0)
        status = apply_environment(&options, command, error);
    if (status == 0)
        status = apply_arguments(&reader);
    if (status < 0) {
        options_release(&options);
        return status;
    }
    *ret = options;
    return 0;
}

void options_release(struct options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < options_count(); i++)
        config_reset(options, options_spec(i));
    free(options->arguments);
    forget_words(options);
    *options = (struct options){.narguments = 0};
}

const char *options_describe(const struct options *options, size_t index,
                             char *buffer, size_t size)
{
    ensure(index < options_count());
    config_describe(options, options_spec(index), buffer, size);
    return buffer;
}

const char *options_source(const struct options *options, size_t index)
{
    static const char *const names[] = {
        [OPTION_SOURCE_DEFAULT] = "default",
        [OPTION_SOURCE_FILE] = "configuration file",
        [OPTION_SOURCE_ENVIRONMENT] = "environment",
        [OPTION_SOURCE_COMMAND_LINE] = "command line",
    };
    ensure(index < options_count());
    return names[options->sources[index]];
}

bool options_is_on_command_line(const struct options *options,
                                const void *field)
{
    size_t offset = (size_t)((const char *)field - (const char *)options);
    for (size_t i = 0; i < options_count(); i++)
        if (options_spec(i)->offset == offset)
            return options->sources[i] == OPTION_SOURCE_COMMAND_LINE;
    return false;
}
