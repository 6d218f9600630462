/*
 * What the program exits with. Service files rely on these numbers, and the
 * supervisor tells by them why a child has ended.
 */
#ifndef MASTER_EXIT_STATUS_H
#define MASTER_EXIT_STATUS_H

enum command_exit {
    COMMAND_EXIT_OK = 0,
    COMMAND_EXIT_FAILURE = 1,        /* it could not go on */
    COMMAND_EXIT_USAGE = 2,          /* bad arguments or environment */
    COMMAND_EXIT_UNREACHABLE = 75,   /* Redis, within --wait-redis */
    COMMAND_EXIT_STALLED = 76,       /* a child's, for --stall-abort */
    COMMAND_EXIT_CONFIGURATION = 78, /* as written it can never work */
};

#endif
