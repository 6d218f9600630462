/*
 * The help: written from the descriptors of the commands and the table of
 * options, so that it cannot fall behind them.
 */
#ifndef MASTER_CLI_HELP_H
#define MASTER_CLI_HELP_H

#include <stddef.h>
#include <stdio.h>

#include "master/cli/command.h"

/** Writes what the program is, its @ncommands commands and its exit codes. */
void help_print(FILE *out, const struct command_entry *commands,
                size_t ncommands);

/**
 * Writes how @entry is used: its options with their defaults and environment
 * variables, its signals, exit codes and examples.
 */
void help_print_command(FILE *out, const struct command_entry *entry);

#endif
