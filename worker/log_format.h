/*
 * How one line of the log looks. Only log.c has use for this.
 *
 * Context of both functions: any thread, does not suspend.
 */
#ifndef WORKER_LOG_FORMAT_H
#define WORKER_LOG_FORMAT_H

#include "worker/log.h"

struct coro_buf;

/* One event. Everything is borrowed for the call. */
struct log_record {
    enum log_level level;
    const char *time;      /* 2026-11-22T10:08:02.123Z; text may have NULL: */
                           /* the journal's priority then takes its place */
    const char *component; /* or NULL */
    const char *message;
    size_t message_len;
    const struct log_field *fields;
    size_t nfields;
    unsigned child; /* an extra field, unless it is 0 */
};

/**
 * Appends the line of @record, its newline included. Failures are noted in
 * @out as ever; part of the line may then stand there.
 *
 * @scratch  an empty buffer to work in; empty again afterwards.
 */
void log_format_text(struct coro_buf *out, const struct log_record *record);
void log_format_json(struct coro_buf *out, const struct log_record *record,
                     struct coro_buf *scratch);

#endif
