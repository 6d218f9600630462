/*
 * What several commands do first: from options to the things they mean.
 */
#ifndef MASTER_CLI_SETUP_H
#define MASTER_CLI_SETUP_H

#include "master/cli/command.h"
#include "worker/handler.h"

/* Room for a word in a message. */
#define SETUP_QUOTED_MAX 120

/**
 * Copies @word to @quoted for a message: cut, and without the password that a
 * misplaced URL may hold. Returns @quoted.
 */
const char *setup_quote(const char *word, char quoted[SETUP_QUOTED_MAX]);

/** Complains about arguments. Returns an enum command_exit. */
int setup_no_arguments(const char *command, int argc, char **argv);

/**
 * Makes the handlers that the options ask for; complains about the first that
 * can't be made. Returns an enum command_exit; registry_free().
 */
int setup_registry(const struct options *options,
                   struct registry **ret_registry);

/** Starts the log as the options say. Context: before other threads exist. */
void setup_log(const struct options *options);

/** The same in child @number, which each line then tells; 0: none tells. */
void setup_child_log(const struct options *options, unsigned number);

#endif
