/*
 * Signals as events of the master's loop.
 *
 * They are blocked in every thread and read from a descriptor by a task, so
 * that none ever interrupts a coroutine.
 */
#ifndef MASTER_PROCESS_SIGNALS_H
#define MASTER_PROCESS_SIGNALS_H

#include "coro/sched/group.h"

struct signals {
    int fd;
    void (*on_signal)(void *argument, int number);
    void *argument;
};

/**
 * Blocks the signals that this program answers to, and ignores SIGPIPE.
 * Context: main thread, before there are others.
 */
void signals_block(void);

/**
 * Starts the task that reads signals, in @group.
 *
 * @on_signal  called for each, in a task of the loop; does not suspend.
 *
 * Returns 0 or a negative errno. Ownership: signals_stop().
 */
int signals_start(struct signals *signals, struct coro_group *group,
                  void (*on_signal)(void *argument, int number),
                  void *argument);

/** Closes the descriptor, after the task has ended. */
void signals_stop(struct signals *signals);

#endif
