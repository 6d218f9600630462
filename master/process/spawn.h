/*
 * Starting a child: this very program again, with the shared memory and its end
 * of the link as inherited descriptors.
 */
#ifndef MASTER_PROCESS_SPAWN_H
#define MASTER_PROCESS_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* The first word that a child is given. */
#define SPAWN_COMMAND "child"

/* Where a child finds what it inherits. */
#define SPAWN_SHARED_FD 3
#define SPAWN_LINK_FD   4

struct spawn_options {
    int program_fd;
    int shared_fd;
    int link_fd;
    size_t number; /* of the child, from 1, as people see it */
    size_t nchildren;
    size_t place; /* in the shared memory */
};

/**
 * A descriptor of the program that runs, also when its file is replaced later.
 * Returns it, or a negative errno. Ownership: close().
 */
int spawn_open_program(void);

/**
 * Starts a child. None of the service manager's variables reach it, and no
 * descriptor of ours but those two and the standard ones. Returns 0 or a
 * negative errno.
 */
int spawn_child(const struct spawn_options *options, pid_t *ret_pid);

/** Raises @fd beyond those that a child inherits. Takes @fd; fd or an errno. */
int spawn_raise(int fd);

#endif
