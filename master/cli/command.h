/*
 * The commands of the program: one file and one descriptor each.
 *
 * main() reads the options that a command takes, and calls it with these and
 * with the arguments that are no options. To add a command, write its file,
 * declare its descriptor here and add its line to the table in main.c.
 */
#ifndef MASTER_CLI_COMMAND_H
#define MASTER_CLI_COMMAND_H

#include "master/exit_status.h"
#include "master/options.h"

struct command {
    const char *name;
    const char *usage;   /* what follows "corq NAME": "QUEUE [PAYLOAD | -]" */
    const char *summary; /* half a line, for the list of commands */

    /**
     * Does the work; @argv holds @argc arguments that are no options, and a
     * NULL. Complains on standard error. Returns an enum command_exit.
     */
    int (*run)(const struct options *options, int argc, char **argv);
};

/* A command, and the bit under which the option table knows it. */
struct command_entry {
    const struct command *command;
    enum command_flag flag;
};

extern const struct command command_run;
extern const struct command command_push;
extern const struct command command_check;
extern const struct command command_version;

/**
 * Runs as a child of the supervisor; @argv is what follows SPAWN_COMMAND, which
 * is no command for people.
 * Returns an enum command_exit.
 */
int child_run(int argc, char **argv);

#endif
