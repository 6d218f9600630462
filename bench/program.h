/*
 * The built program, run beside a benchmark with its log in a pipe: a
 * supervisor and its children, a family, which is measured as one.
 *
 *     struct program program;
 *     program_start(&program, &server,
 *                   &(struct program_options){.handler = "sleep",
 *                                             .concurrency = "256",
 *                                             .log_level = "info",
 *                                             .delivery = "at-least-once"});
 *     program_wait_lines(&program, "Done ", 1);
 *     program_stop(&program);
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/server.h"

#define PROGRAM_PROCESSES_MOST 64

struct program {
    pid_t pid; /* of the supervisor, whose children take the jobs */
    size_t nprocesses;
    int log_fd;
    char line[1 << 16]; /* what was read and not yet looked at */
    size_t line_len;
};

/* As on the command line. */
struct program_options {
    const char *handler;
    const char *concurrency;
    const char *log_level;
    const char *delivery;
    size_t nprocesses; /* 0: one */
    const char *build; /* where it was built; NULL: what $BUILD names */
};

/**
 * Starts `corq run` on the queue "queue" of @server, and waits until all of its
 * processes wait for jobs.
 */
void program_start(struct program *program, struct server *server,
                   const struct program_options *options);

/** What is called for a whole line of the log, which has no '\n' or '\0'. */
typedef void program_line(void *argument, const char *line, size_t len);

/**
 * Reads once from the log, for at most @timeout_ms. Returns false when nothing
 * came in that time; gives up when the program has ended.
 */
bool program_read(struct program *program, int timeout_ms,
                  program_line *on_line, void *argument);

/**
 * Reads the log until @n more lines that contain @text have come; gives up
 * after a minute. Returns coro_now_ns() of when the last of them was read.
 */
int64_t program_wait_lines(struct program *program, const char *text, size_t n);

/** CPU seconds of the whole family: the supervisor and the living children. */
double program_cpu(const struct program *program);

/** A field of /proc/PID/status in bytes, summed over the whole family. */
double program_bytes(const struct program *program, const char *field);

/** Asks the program to end, and waits for it. */
void program_stop(struct program *program);

#endif
