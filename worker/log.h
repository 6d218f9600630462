/*
 * The process's log: one line an event, from any thread.
 *
 * As text:
 *
 *     2026-11-22T10:08:02.123Z info  redis: connected host=db-1 attempts=3
 *
 * or as one JSON object a line, with the members time, level, component,
 * message and then the fields. Whatever is logged, a line stays one line, a
 * JSON line is valid, and no control character gets through to a terminal:
 * text shows them, and bytes that are not UTF-8, as \xNN.
 *
 * Every thread collects its lines in a buffer of its own; each turn of its
 * loop ends with log_flush(), which writes them by a single write(2). A line
 * of level warn or error, and a buffer past 32 KiB, is written at once, all
 * that came before it included. What cannot be written is dropped and counted;
 * logging never fails and never ends the process. (The program ignores
 * SIGPIPE, as any program with sockets does.)
 *
 *     log_start(&(struct log_options){.level = LOG_LEVEL_INFO, .fd = 2});
 *     const struct log_field fields[] = {log_int("attempts", 3)};
 *     log_line(LOG_LEVEL_INFO, "redis", fields, 1, "connected");
 *     log_flush();
 *     log_thread_end();
 */
#ifndef WORKER_LOG_H
#define WORKER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The lower, the graver. */
enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_options {
    enum log_level level; /* lines of a level beyond this are left out */
    enum log_format format;
    int fd;         /* where to write; borrowed for the life of the process */
    bool journal;   /* text begins with the journal's priority, not the time */
    unsigned child; /* which of several processes; each line says it. 0: none */
};

enum log_field_type { LOG_FIELD_STRING, LOG_FIELD_INT, LOG_FIELD_SECONDS };

/* A key with a value. Made by log_string() and the others below. */
struct log_field {
    const char *key; /* plain: letters, digits, underscores */
    enum log_field_type type;
    size_t len;         /* of the string */
    const char *string; /* any bytes */
    int64_t number;     /* the integer, or microseconds */
};

static inline struct log_field log_bytes(const char *key, const char *bytes,
                                         size_t len)
{
    return (struct log_field){
        .key = key, .type = LOG_FIELD_STRING, .string = bytes, .len = len};
}

static inline struct log_field log_string(const char *key, const char *string)
{
    return log_bytes(key, string, strlen(string));
}

static inline struct log_field log_int(const char *key, int64_t number)
{
    return (struct log_field){
        .key = key, .type = LOG_FIELD_INT, .number = number};
}

/* Shown as seconds with two decimals, rounded. */
static inline struct log_field log_seconds(const char *key, int64_t us)
{
    return (struct log_field){
        .key = key, .type = LOG_FIELD_SECONDS, .number = us};
}

/**
 * Sets the log up. Before it, lines of level info go to standard error as
 * text. Context: before other threads exist.
 */
void log_start(const struct log_options *options);

/**
 * True when @fd is the stream that systemd's JOURNAL_STREAM names, so that
 * the journal reads it. Context: before other threads exist (environment).
 */
bool log_is_journal(int fd);

/** True when lines of @level are written. Context: any thread. */
bool log_is_on(enum log_level level);

/**
 * Logs one line.
 *
 * @component         what speaks, a plain word, or NULL for none.
 * @fields, @nfields  keys with values after the message; NULL and 0 for none.
 * @format            the message, as for printf().
 *
 * Context: any thread, does not suspend; needs a deep stack (that of a thread,
 * not of a coroutine). May block for as long as writing to the fd does.
 */
void log_line(enum log_level level, const char *component,
              const struct log_field *fields, size_t nfields,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Writes what this thread has collected. Context: any thread. */
void log_flush(void);

/** How many lines the process could not write. Context: any thread. */
uint64_t log_dropped(void);

/** Flushes, and frees this thread's buffer. Context: any thread, at its end. */
void log_thread_end(void);

#endif
