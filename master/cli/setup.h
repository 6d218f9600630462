/*
 * What several commands do first: from options to the things they mean.
 */
#ifndef MASTER_CLI_SETUP_H
#define MASTER_CLI_SETUP_H

#include "master/cli/command.h"
#include "worker/handler.h"

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

#endif
