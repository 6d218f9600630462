/*
 * Where the program begins: from its first argument to a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/nearest.h"
#include "master/cli/command.h"
#include "master/cli/help.h"
#include "master/process/spawn.h"

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command_entry commands[] = {
    {&command_run, COMMAND_FLAG_RUN},
    {&command_push, COMMAND_FLAG_PUSH},
    {&command_check, COMMAND_FLAG_CHECK},
    {&command_version, COMMAND_FLAG_NONE},
};

/* Words that stand for a command, as people know them from elsewhere. */
static const struct {
    const char *word;
    const char *command;
} synonyms[] = {
    {"--version", "version"},
    {"-V", "version"},
    {"-h", "help"},
    {"--help", "help"},
};

static const struct command_entry *find_command(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].command->name, name) == 0)
            return &commands[i];
    return NULL;
}

static const char *resolve_synonym(const char *word)
{
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
        if (strcmp(synonyms[i].word, word) == 0)
            return synonyms[i].command;
    return word;
}

/* Only what stands before a ':' is quoted: behind it, in a misplaced URL,
 * there may be a password. */
static int refuse_command(const char *name)
{
    const char *names[NCOMMANDS + 1] = {[NCOMMANDS] = "help"};
    for (size_t i = 0; i < NCOMMANDS; i++)
        names[i] = commands[i].command->name;
    const char *nearest = coro_nearest(name, names, NCOMMANDS + 1);
    if (name[0] == '-')
        fprintf(stderr, "corq: found an option, expected a command before "
                        "it, as in 'corq run --queue mail'\n");
    else
        fprintf(stderr, "corq: unknown command '%.*s'%s%s%s\n",
                (int)strcspn(name, ":"), name,
                nearest ? "; did you mean '" : "", nearest ? nearest : "",
                nearest ? "'?" : "");
    fprintf(stderr, "'corq help' lists the commands\n");
    return COMMAND_EXIT_USAGE;
}

/* What was printed has arrived only when it could be flushed: a full disk
 * must not look like success. */
static int finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("corq: cannot write to standard output");
    return status == COMMAND_EXIT_OK ? COMMAND_EXIT_FAILURE : status;
}

static int run_help(int argc, char **argv)
{
    if (argc == 0 || strcmp(resolve_synonym(argv[0]), "help") == 0) {
        help_print(stdout, commands, NCOMMANDS);
        return COMMAND_EXIT_OK;
    }
    const struct command_entry *entry = find_command(argv[0]);
    if (!entry)
        return refuse_command(argv[0]);
    help_print_command(stdout, entry);
    return COMMAND_EXIT_OK;
}

static int run_command(const struct command_entry *entry, int argc, char **argv)
{
    struct options options;
    struct options_error error;
    int status = options_parse(&options, entry->flag, argc, argv, &error);
    if (status == OPTIONS_HELP) {
        help_print_command(stdout, entry);
        return COMMAND_EXIT_OK;
    }
    const char *name = entry->command->name;
    if (status == -EINVAL) {
        fprintf(stderr, "corq %s: %s\n'corq help %s' lists the options\n", name,
                error.message, name);
        return COMMAND_EXIT_USAGE;
    }
    if (status < 0) {
        fprintf(stderr, "corq %s: %s\n", name, error.message);
        return COMMAND_EXIT_FAILURE;
    }
    status =
        entry->command->run(&options, options.narguments, options.arguments);
    options_release(&options);
    return status;
}

/* Started without one of the three standard descriptors, the first file or
 * socket that we open would become it, and get our output. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    const char *name = argc > 1 ? resolve_synonym(argv[1]) : "help";
    int rest = argc > 2 ? argc - 2 : 0;
    char **rest_argv = argv + argc - rest;
    if (strcmp(name, SPAWN_COMMAND) == 0)
        return child_run(rest, rest_argv);
    if (strcmp(name, "help") == 0)
        return finish_output(run_help(rest, rest_argv));
    const struct command_entry *entry = find_command(name);
    if (!entry)
        return refuse_command(name);
    return finish_output(run_command(entry, rest, rest_argv));
}
