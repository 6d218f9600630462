/*
 * Waiting for a file descriptor.
 */
#ifndef CORO_IO_FD_H
#define CORO_IO_FD_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Waits until @fd can be read from, or written to, without blocking.
 *
 * @for_writing  what to wait for. An error or a hang-up counts as both: the
 *               read or write that follows tells.
 * @deadline_ms  absolute; CORO_NEVER waits for ever.
 *
 * Returns 0, -ETIMEDOUT, -ECANCELED, or -ENOMEM. @fd must stay open meanwhile.
 * Context: coroutine on the loop thread. Suspends; a cancellation point.
 */
int coro_fd_wait(int fd, bool for_writing, int64_t deadline_ms);

#endif
