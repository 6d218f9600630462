/*
 * The built program, $BUILD/corq or another one there, run by a test.
 *
 *     static struct program corq;
 *
 *     program_start(&corq, PROGRAM_ARGS("run", "--redis", url));
 *     assert_true(program_wait_for_line(&corq, "ready", PATIENCE_MS));
 *     program_signal(&corq, SIGTERM);
 *     assert_int_equal(program_wait_exit(&corq, PATIENCE_MS), 0);
 *     program_release(&corq);
 *
 * It runs behind $WRAPPER (split at blanks), in a process group of its own,
 * without any CORQ_* variable of ours, and can't outlive the thread that has
 * started it. Its standard output and standard error are files in memory, so
 * it never waits for us to read them. Whatever can't be done here fails the
 * test that is running.
 */
#ifndef TESTS_SUPPORT_PROGRAM_H
#define TESTS_SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* What the program has written to one stream, as far as it was read. */
struct program_stream {
    int fd;
    char *text; /* with a zero byte behind it; NULL before the first read */
    size_t len;
};

/* Zeroed before first use. */
struct program {
    pid_t pid; /* 0: not started, or waited for */
    struct program_stream output;
    struct program_stream log; /* standard error */
    bool is_started;
    bool has_ended;
    int status; /* of waitpid(), when it has ended */
};

struct program_options {
    const char *name;             /* of the program, below $BUILD; NULL: corq */
    const char *const *arguments; /* after the name; ends with NULL */
    const char *const *environment; /* NAME=value, more than ours; or NULL */
    const void *input;              /* standard input; NULL: /dev/null */
    size_t input_len;
    bool is_bare;        /* leave $WRAPPER out */
    bool is_journaled;   /* JOURNAL_STREAM names its standard error */
    int log_fd;          /* its standard error; 0: what program_log() reads */
    bool is_contained;   /* in a pid namespace of its own, as its process 1 */
    struct rlimit files; /* how many it may have open; rlim_max 0: as we do */
};

#define PROGRAM_ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/** Starts the program with @arguments, which end with NULL. */
void program_start(struct program *program, const char *const *arguments);

/** Starts the program. */
void program_start_with(struct program *program,
                        const struct program_options *options);

/** True where a program may have a pid namespace of its own. */
bool program_can_be_contained(void);

/** Starts the program with @arguments and gives its exit status. */
int program_run(struct program *program, const char *const *arguments);

/** What it has logged so far, as a string. Borrowed until the next call. */
const char *program_log(struct program *program);

/** What it has printed so far, as a string. Borrowed until the next call. */
const char *program_output(struct program *program);

/** How many lines of the log contain @text. */
size_t program_count_lines(struct program *program, const char *text);

/**
 * Waits until a line of the log contains @text. Returns false when the program
 * has ended without it, or after @timeout_ms; then the log is printed.
 */
bool program_wait_for_line(struct program *program, const char *text,
                           int64_t timeout_ms);

/** Like program_wait_for_line(), for @nlines such lines. */
bool program_wait_for_lines(struct program *program, const char *text,
                            size_t nlines, int64_t timeout_ms);

/** Sends a signal to the process that was started, and to that alone. */
void program_signal(struct program *program, int number);

/**
 * Ends it by SIGKILL with all processes of its group, and waits until there is
 * none of them any more, not even as a zombie.
 */
void program_kill(struct program *program);

/** Has it stand still, with all processes of its group. */
void program_freeze(struct program *program);

/** Lets a frozen program go on. */
void program_thaw(struct program *program);

/** True while it runs. */
bool program_is_running(struct program *program);

/**
 * Waits for its end. Returns its exit status, 1000 and its number when a
 * signal has ended it, and -1 after @timeout_ms; then the log is printed.
 */
int program_wait_exit(struct program *program, int64_t timeout_ms);

/** Ends its whole group by SIGKILL and forgets what it wrote. */
void program_release(struct program *program);

#endif
