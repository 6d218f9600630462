/*
 * The supervisor: the process that people start, which starts the children that
 * run jobs, and sees to it that there are as many of them as there should be.
 *
 *     supervisor ──▶ child 1 … child P         each a service of its own
 *         │  ▲
 *         │  └── how they fare: vitals, the link, how they end
 *         └──▶ the service manager: ready, stopping, still alive
 *
 * A child that dies is replaced at once, after growing waits where that goes on
 * happening, and what it had is given back by one that lives. It does not talk
 * to Redis itself and runs no jobs, so that there is nothing in it to crash.
 * When it is gone all the same, its children end within three seconds.
 *
 * As process 1 of a container it buries whatever is left to it.
 */
#ifndef MASTER_PROCESS_SUPERVISOR_H
#define MASTER_PROCESS_SUPERVISOR_H

#include "master/exit_status.h"
#include "master/options.h"
#include "master/process/embedded.h"

struct supervisor_options {
    const struct options *options;
    struct embedded *embedded; /* a Redis that is ours; its death ends all */
};

/**
 * Runs until it is asked to end and all children have. Logs what happens.
 *
 * Context: the main thread, outside of any loop, with signals_block() done.
 */
enum command_exit supervisor_run(const struct supervisor_options *options);

#endif
