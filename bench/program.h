/*
 * The built program, run beside a benchmark with its log in a pipe.
 *
 *     struct program program;
 *     program_start(&program, &server,
 *                   &(struct program_options){"sleep", "256", "info",
 *                                             "at-least-once"});
 *     program_wait_lines(&program, "Done ", 1);
 *     program_stop(&program);
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "bench/server.h"

struct program {
    pid_t pid;
    int log_fd;
    char line[1 << 16]; /* what was read and not yet looked at */
    size_t line_len;
    struct rusage usage; /* after program_stop() */
};

/* As on the command line. */
struct program_options {
    const char *handler;
    const char *concurrency;
    const char *log_level;
    const char *delivery;
};

/**
 * Starts `corq run` on the queue "queue" of @server, from the directory that
 * $BUILD names, and waits until it waits for jobs.
 */
void program_start(struct program *program, struct server *server,
                   const struct program_options *options);

/**
 * Reads the log until @n more lines that contain @text have come; gives up
 * after a minute. Returns coro_now_ns() of when the last of them was read.
 */
int64_t program_wait_lines(struct program *program, const char *text, size_t n);

/** Asks the program to end, waits for it, and fills in its usage. */
void program_stop(struct program *program);

#endif
