/*
 * The children of a process, as /proc tells.
 *
 *     pid_t children[8];
 *     assert_int_equal(family_children(corq.pid, children, 8), 2);
 *
 * Context: any; only what has not ended yet is counted.
 */
#ifndef TESTS_SUPPORT_FAMILY_H
#define TESTS_SUPPORT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What /proc/PID/stat tells that is of use. */
struct family_member {
    pid_t parent;
    pid_t group;
    char state;                 /* 'Z': a zombie */
    unsigned long ticks;        /* of CPU time */
    unsigned long long started; /* in ticks since the machine was */
};

/** Looks at process @pid; false when there is no such process. */
bool family_look(pid_t pid, struct family_member *ret);

/**
 * Puts the pids of the children of @parent, in no order, into @ret_pids, at most
 * @max of them. Returns how many there are.
 */
size_t family_children(pid_t parent, pid_t *ret_pids, size_t max);

/** True while process @pid is there and has not ended: no zombie either. */
bool family_is_alive(pid_t pid);

/** The command line of @pid, its words separated by blanks. */
void family_command(pid_t pid, char *text, size_t size);

/**
 * The same for those that are in this process group, the leader first. They
 * need not be related.
 */
size_t family_group(pid_t group, pid_t *ret_pids, size_t max);

struct family_size {
    pid_t parent;
    size_t n;
};

/** For wait_until(): true when a struct family_size is so. */
bool family_has(void *family_size);

#endif
