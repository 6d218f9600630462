/*
 * What the program was told: one struct, filled from one table.
 *
 * Each option has one line in the table of options_table.c; the environment,
 * the command line, the help and `corq check` all walk it. A later layer wins
 * over an earlier one: built-in default, (configuration file,) environment,
 * command line. A list given on a later layer replaces the earlier list.
 *
 *     struct options options;
 *     struct options_error error;
 *     int status = options_parse(&options, COMMAND_FLAG_RUN, argc, argv,
 *                                &error);
 *     if (status == OPTIONS_HELP)
 *         ... print the help ...
 *     else if (status < 0)
 *         ... print error.message, exit 2 ...
 *     options_release(&options);
 */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro/io/redis_url.h"

/* What options_parse() returns when -h or --help was among the arguments. */
#define OPTIONS_HELP 1

#define OPTIONS_MAX        32
#define OPTIONS_WEIGHT_MAX 1000

#define OPTIONS_PROCESSES_AUTO 0

/* The commands, as bits that say which of them take an option. */
enum command_flag {
    COMMAND_FLAG_NONE = 0,
    COMMAND_FLAG_RUN = 1,
    COMMAND_FLAG_PUSH = 2,
    COMMAND_FLAG_CHECK = 4,
};

/* Where a value came from; a larger one wins. */
enum option_source {
    OPTION_SOURCE_DEFAULT,
    OPTION_SOURCE_FILE,
    OPTION_SOURCE_ENVIRONMENT,
    OPTION_SOURCE_COMMAND_LINE,
};

/* How an option is written, and what in struct options it fills. */
enum option_kind {
    OPTION_KIND_URL,         /* struct coro_redis_address */
    OPTION_KIND_QUEUES,      /* struct options_queues */
    OPTION_KIND_HANDLERS,    /* struct options_handlers */
    OPTION_KIND_ENUM,        /* an enum with the words of its option_spec */
    OPTION_KIND_U64,         /* uint64_t */
    OPTION_KIND_DURATION,    /* int64_t, milliseconds */
    OPTION_KIND_SIZE,        /* uint64_t, bytes */
    OPTION_KIND_SWITCH,      /* struct options_switch */
    OPTION_KIND_RETRY_DELAY, /* struct options_retry_delay */
    OPTION_KIND_TEXT,        /* char *, NULL when not given */
    OPTION_KIND_TIME,        /* int64_t, microseconds since 1970 */
};

enum options_delivery {
    OPTIONS_DELIVERY_AT_LEAST_ONCE,
    OPTIONS_DELIVERY_AT_MOST_ONCE,
};

enum options_log_level {
    OPTIONS_LOG_LEVEL_DEBUG,
    OPTIONS_LOG_LEVEL_INFO,
    OPTIONS_LOG_LEVEL_WARN,
    OPTIONS_LOG_LEVEL_ERROR,
};

enum options_log_format {
    OPTIONS_LOG_FORMAT_TEXT,
    OPTIONS_LOG_FORMAT_JSON,
};

struct options_queue {
    char *key;
    unsigned weight; /* 1 to OPTIONS_WEIGHT_MAX; 0: strict priority */
};

/* Never empty; all of them have a weight, or none has. No key is twice. */
struct options_queues {
    struct options_queue *items;
    size_t count;
};

struct options_handler {
    char *class_name; /* NULL: for what no other handler is bound to */
    char *spec;       /* not empty; what it means is for the worker to say */
};

/* Never empty; no class, and at most one default, is twice. */
struct options_handlers {
    struct options_handler *items;
    size_t count;
};

struct options_switch {
    bool on;
    char *text; /* the optional value, or NULL */
};

enum options_retry_delay_kind {
    OPTIONS_RETRY_DELAY_DEFAULT, /* grows with the fourth power of the count */
    OPTIONS_RETRY_DELAY_FIXED,
    OPTIONS_RETRY_DELAY_EXP, /* doubles */
};

/* How long a failed job waits before it is tried again. */
struct options_retry_delay {
    enum options_retry_delay_kind kind;
    int64_t first_ms; /* fixed, exp: the first wait; default: 0 */
    int64_t most_ms;  /* exp: the longest, at least the first; else as first */
};

struct options {
    struct coro_redis_address redis;
    struct options_queues queues;
    struct options_handlers handlers;
    uint64_t concurrency;   /* of each process */
    uint64_t processes;     /* OPTIONS_PROCESSES_AUTO: as many as cores */
    uint64_t max_jobs;      /* of a process, before it is replaced; 0: any */
    uint64_t max_rss_bytes; /* the same; 0: any */
    enum options_delivery delivery;
    uint64_t retry; /* how often a failed job is tried again */
    struct options_retry_delay retry_delay;
    int64_t lease_ms;
    int64_t shutdown_timeout_ms;
    int64_t stall_warn_ms; /* how long a job may hold the worker; 0: for ever */
    int64_t stall_abort_ms; /* the same, before the process ends */
    int64_t wait_redis_ms;  /* CORO_NEVER: for ever; 0: do not wait */
    uint64_t max_payload_bytes;
    enum options_log_level log_level;
    enum options_log_format log_format;
    struct options_switch embedded_redis; /* text: the directory */

    /* Of one job; see options_is_on_command_line(). */
    char *class_name;
    char *args;
    int64_t in_ms;
    int64_t at_us;

    /* The arguments that are no options; the texts are the caller's argv. */
    char **arguments; /* ends in a NULL */
    int narguments;

    /* For the command `run`, all that was given, as it was before credentials
     * were overwritten. The array ends in a NULL. */
    char **words;
    int nwords;

    enum option_source sources[OPTIONS_MAX]; /* by place in the table */
};

struct option_spec {
    const char *name; /* without its dashes */
    enum option_kind kind;
    const char *placeholder;  /* how the help calls the value */
    const char *fallback;     /* the default, as one would type it; or NULL */
    uint64_t min, max;        /* for numbers, milliseconds and bytes */
    const char *const *words; /* of an enum, in its order, up to a NULL; of a
                                 number, one that stands for 0, or NULL */
    const char *environment;  /* NULL: only on the command line */
    unsigned commands;        /* which take it: enum command_flag bits */
    size_t offset;            /* of the field in struct options */
    const char *help;
};

struct options_error {
    char message[512]; /* one line without its end; holds no secrets */
};

/**
 * Fills *@ret from defaults, environment and the arguments after the name of
 * the command. `--name value` and `--name=value` are the same; `--` ends the
 * options; an empty environment variable counts as unset; a list in the
 * environment is separated by commas (a comma that belongs to an element is
 * written `\,`). Credentials in @argv are overwritten in place, so that a
 * list of processes does not show them.
 *
 * Returns 0, or with *@ret untouched
 *   OPTIONS_HELP  -h or --help was given, whatever else was;
 *   -EINVAL       @error->message says what was found and expected;
 *   -ENOMEM       no memory; the message says so.
 *
 * Ownership: the caller releases *@ret; its arguments point into @argv.
 * Context: main thread, before there are others.
 */
int options_parse(struct options *ret, enum command_flag command, int argc,
                  char **argv, struct options_error *error);

/** Frees what @options holds and wipes secrets. NULL and zeroes are fine. */
void options_release(struct options *options);

/** How many options there are. Context: any thread. */
size_t options_count(void);

/** The description of option @index, below options_count(). */
const struct option_spec *options_spec(size_t index);

/**
 * Writes the value of option @index, as one would type it but without
 * passwords, into @buffer of @size bytes; a list is separated by commas.
 *
 * Returns @buffer. Context: any thread.
 */
const char *options_describe(const struct options *options, size_t index,
                             char *buffer, size_t size);

/** Where the value of option @index came from, in words. */
const char *options_source(const struct options *options, size_t index);

/**
 * True when the option that fills @field, which is a member of @options, was on
 * the command line.
 */
bool options_is_on_command_line(const struct options *options,
                                const void *field);

#endif
