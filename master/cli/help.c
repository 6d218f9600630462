#include "master/cli/help.h"

#include <string.h>

/* Where the explanation of an option begins, and the width of a screen. */
#define COLUMN 22
#define WIDTH  79

static const char description[] =
    "corq takes jobs from Redis lists and runs thousands of them at once.\n";

static const char exit_codes[] =
    "Exit codes:\n"
    "  0    done, or stopped in order\n"
    "  1    could not go on\n"
    "  2    bad options or arguments\n"
    "  75   Redis did not answer within --wait-redis\n"
    "  78   bad configuration\n";

static const char general_examples[] =
    "Examples:\n"
    "  corq run --embedded-redis            a worker with a Redis of its own\n"
    "  redis-cli LPUSH queue 5              a job for it: sleep 5 seconds\n"
    "\n"
    "'corq help COMMAND' says more about one of them.\n";

/* What only one command has to say, after its options. */
static const struct {
    enum command_flag flag;
    const char *text;
} details[] = {
    {COMMAND_FLAG_RUN,
     "Signals:\n"
     "  TERM, INT   stop taking jobs; let those that run finish, for at most\n"
     "              --shutdown-timeout, and exit; a second one does not wait\n"
     "  TSTP        stop taking jobs and keep running\n"
     "  USR2        log what every task is doing\n"},
    {COMMAND_FLAG_RUN,
     "Examples:\n"
     "  corq run --queue mail --queue news --concurrency 1000\n"
     "  CORQ_REDIS_URL=unix:///run/redis.sock corq run --queue a=5 "
     "--queue b=1\n"},
    {COMMAND_FLAG_PUSH, "Examples:\n"
                        "  corq push queue 5\n"
                        "  corq push queue - < payload\n"
                        "  corq push queue 5 --in 10m\n"
                        "  corq push queue:mail --class Welcome --args '[7]' "
                        "--retry 3\n"},
    {COMMAND_FLAG_CHECK, "Examples:\n"
                         "  corq check --queue a=5 --queue b=1\n"
                         "  CORQ_CONCURRENCY=1000 corq check\n"},
    {COMMAND_FLAG_NONE, "Examples:\n"
                        "  corq version\n"
                        "  corq --version\n"},
};

/* Writes the words of @text behind the column @at, beginning a new line at
 * COLUMN where one does not fit. Returns the column behind the last. */
static size_t print_wrapped(FILE *out, const char *text, size_t at)
{
    while (*text) {
        size_t len = strcspn(text, " ");
        if (at > COLUMN && at + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", COLUMN, "");
            at = COLUMN;
        } else if (at > COLUMN) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)len, text);
        at += len;
        text += len + (text[len] == ' ');
    }
    return at;
}

/* Writes @head in the left column, and leaves the right one to be filled. */
static void print_head(FILE *out, const char *head)
{
    int len = fprintf(out, "  %s", head);
    if (len + 2 > COLUMN)
        fprintf(out, "\n%*s", COLUMN, "");
    else
        fprintf(out, "%*s", COLUMN - len, "");
}

static void print_option(FILE *out, const struct option_spec *spec)
{
    char text[128];
    bool is_optional = spec->kind == OPTION_KIND_SWITCH;
    snprintf(text, sizeof(text), "--%s%s%s%s", spec->name,
             is_optional ? "[=" : " ", spec->placeholder,
             is_optional ? "]" : "");
    print_head(out, text);
    size_t at = print_wrapped(out, spec->help, COLUMN);
    if (spec->fallback) {
        snprintf(text, sizeof(text), "(default: %s; %s)", spec->fallback,
                 spec->environment);
        print_wrapped(out, text, at);
    }
    fputc('\n', out);
}

static void print_options(FILE *out, enum command_flag flag)
{
    fprintf(out, "\nOptions, with defaults and environment variables:\n");
    for (size_t i = 0; i < options_count(); i++)
        if (options_spec(i)->commands & flag)
            print_option(out, options_spec(i));
    print_head(out, "-h, --help");
    fprintf(out, "this help\n");
    fprintf(out, "\n"
                 "The command line goes before the environment. A TIME is "
                 "250ms, 2s, 5m, 1h or\n"
                 "bare seconds. Lists in the environment are separated by "
                 "commas.\n");
}

void help_print(FILE *out, const struct command_entry *commands,
                size_t ncommands)
{
    fprintf(out, "Usage: corq COMMAND [OPTION]... [ARGUMENT]...\n\n%s\n",
            description);
    fprintf(out, "Commands:\n");
    for (size_t i = 0; i < ncommands; i++) {
        print_head(out, commands[i].command->name);
        fprintf(out, "%s\n", commands[i].command->summary);
    }
    print_head(out, "help [COMMAND]");
    fprintf(out, "this help, or that of a command\n");
    fprintf(out, "\n%s\n%s", exit_codes, general_examples);
}

void help_print_command(FILE *out, const struct command_entry *entry)
{
    const struct command *command = entry->command;
    bool has_options = entry->flag != COMMAND_FLAG_NONE;
    fprintf(out, "Usage: corq %s%s%s%s\n\ncorq %s: %s\n", command->name,
            has_options ? " [OPTION]..." : "", *command->usage ? " " : "",
            command->usage, command->name, command->summary);
    if (has_options)
        print_options(out, entry->flag);
    fprintf(out, "\n%s", exit_codes);
    for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++)
        if (details[i].flag == entry->flag)
            fprintf(out, "\n%s", details[i].text);
}
