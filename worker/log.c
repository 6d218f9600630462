#include "worker/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coro/base/buf.h"
#include "coro/base/clock.h"
#include "worker/log_format.h"

/* A buffer past this is written without waiting for the loop's turn to end. */
#define FLUSH_SIZE (32 * 1024)

/* One line may be this long, and a buffer as long as that and what it held. */
#define MAX_LINE (32 * 1024 * 1024)

/* How long an fd that is full is waited for, each time. */
#define FULL_WAIT_MS 100

/* 2026-11-22T10:08:02 and, after a point, milliseconds, Z and a zero byte. */
#define SECOND_LEN 19
#define TIME_SIZE  (SECOND_LEN + 6)

/* Set by log_start() before there are threads, only read afterwards. */
static struct log_options options = {.level = LOG_LEVEL_INFO,
                                     .fd = STDERR_FILENO};

static _Atomic uint64_t ndropped;

/*
 * Held while writing, so that lines of two threads never mix: a pipe takes no
 * more than 4 KiB as a whole. It also guards what follows.
 */
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether writing may have to wait for a reader: all but regular files. */
static bool may_fill = true;

/* The last thing written was part of a line whose rest had to be dropped. */
static bool torn;

/* The last write failed. A full fd is not waited for again until one works. */
static bool stalled;

/* What each thread has for itself. */
struct thread_log {
    struct coro_buf lines;
    struct coro_buf message;
    struct coro_buf scratch;
    int64_t second; /* the one that the text below shows */
    char time[TIME_SIZE];
};

static __thread struct thread_log thread_log;

void log_start(const struct log_options *wanted)
{
    struct stat status;
    options = *wanted;
    may_fill = fstat(options.fd, &status) < 0 || !S_ISREG(status.st_mode);
    torn = false;
    stalled = false;
    atomic_store_explicit(&ndropped, 0, memory_order_relaxed);
}

/* Reads a decimal number and steps over it; false when there is none. */
static bool take_number(const char **text, uint64_t *ret)
{
    if (**text < '0' || **text > '9')
        return false;
    char *end;
    *ret = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

bool log_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uint64_t device;
    uint64_t inode;
    if (!stream || !take_number(&stream, &device) || *stream++ != ':')
        return false;
    if (!take_number(&stream, &inode) || *stream != '\0')
        return false;
    struct stat status;
    if (fstat(fd, &status) < 0)
        return false;
    return status.st_dev == device && status.st_ino == inode;
}

bool log_is_on(enum log_level level)
{
    return level <= options.level;
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&ndropped, memory_order_relaxed);
}

static void count_dropped(uint64_t nlines)
{
    atomic_fetch_add_explicit(&ndropped, nlines, memory_order_relaxed);
}

static void put_digits(char *at, int ndigits, int value)
{
    while (ndigits-- > 0) {
        at[ndigits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The text of this moment. Only the milliseconds are written every time. */
static const char *time_text(struct thread_log *log)
{
    int64_t now_us = coro_wall_us();
    time_t second = (time_t)(now_us / 1000000);
    if (second != log->second || log->time[0] == '\0') {
        struct tm utc;
        gmtime_r(&second, &utc);
        strftime(log->time, sizeof(log->time), "%Y-%m-%dT%H:%M:%S.000Z", &utc);
        log->second = second;
    }
    put_digits(log->time + SECOND_LEN + 1, 3, (int)(now_us % 1000000 / 1000));
    return log->time;
}

/* Whether the fd takes a little more, now or soon. */
static bool takes_more(void)
{
    int64_t deadline_ms = coro_after(stalled ? 0 : FULL_WAIT_MS);
    struct pollfd full = {.fd = options.fd, .events = POLLOUT};
    for (;;) {
        int64_t left_ms = deadline_ms - coro_now_ms();
        int nready = poll(&full, 1, left_ms > 0 ? (int)left_ms : 0);
        if (nready >= 0 || errno != EINTR)
            return nready > 0;
    }
}

/* How much of @len bytes a pipe takes as a whole; up to the end of a line, if
 * there is one: other processes may write to the same pipe. */
static size_t piece_of(const char *bytes, size_t len)
{
    if (!may_fill || len <= PIPE_BUF)
        return len;
    const char *end = memrchr(bytes, '\n', PIPE_BUF);
    return end ? (size_t)(end - bytes) + 1 : PIPE_BUF;
}

/* Writes as much as it can; returns how many bytes that was.
 *
 * A pipe or a terminal may be full because nobody reads it. It may be shared
 * with others, so it is not made non-blocking; but a piece that it says it has
 * room for does not block. */
static size_t write_all(const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        if (may_fill && !takes_more())
            break;
        size_t piece = piece_of(bytes + done, len - done);
        ssize_t n = write(options.fd, bytes + done, piece);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            break;
    }
    stalled = done < len;
    return done;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t nlines = 0;
    const char *end = bytes + len;
    while (bytes < end &&
           (bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        nlines++;
        bytes++;
    }
    return nlines;
}

/* Writes whole lines, or counts those that did not get through. */
static void write_lines(const char *lines, size_t len)
{
    pthread_mutex_lock(&write_lock);
    size_t done = 0;
    /* A line that broke off is ended first, so that the next stands alone. */
    if (!torn || write_all("\n", 1) == 1) {
        done = write_all(lines, len);
        torn = done > 0 && lines[done - 1] != '\n';
    }
    pthread_mutex_unlock(&write_lock);
    if (done < len)
        count_dropped(count_lines(lines + done, len - done));
}

/* Empties @buf. One huge line is no reason to keep its memory. */
static void empty(struct coro_buf *buf)
{
    coro_buf_clear(buf);
    if (buf->capacity > 4 * FLUSH_SIZE)
        coro_buf_release(buf);
}

void log_flush(void)
{
    struct thread_log *log = &thread_log;
    if (log->lines.len == 0)
        return;
    write_lines(log->lines.data, log->lines.len);
    empty(&log->lines);
}

/* Appends one line to the thread's buffer, or counts it as dropped. */
static void add_line(struct thread_log *log, const struct log_record *record)
{
    size_t before = log->lines.len;
    if (log->message.failed) {
        count_dropped(1);
        return;
    }
    if (options.format == LOG_FORMAT_JSON)
        log_format_json(&log->lines, record, &log->scratch);
    else
        log_format_text(&log->lines, record);
    if (!log->lines.failed)
        return;
    coro_buf_truncate(&log->lines, before);
    log->lines.failed = false;
    count_dropped(1);
}

/* A thread's first line: its buffers get their limits. */
static void prepare(struct thread_log *log)
{
    if (log->lines.limit > 0)
        return;
    coro_buf_init(&log->lines, MAX_LINE + FLUSH_SIZE);
    coro_buf_init(&log->message, MAX_LINE);
    coro_buf_init(&log->scratch, MAX_LINE);
}

void log_line(enum log_level level, const char *component,
              const struct log_field *fields, size_t nfields,
              const char *format, ...)
{
    if (!log_is_on(level))
        return;
    struct thread_log *log = &thread_log;
    prepare(log);
    va_list args;
    va_start(args, format);
    coro_buf_vprintf(&log->message, format, args);
    va_end(args);
    bool show_time = !options.journal || options.format == LOG_FORMAT_JSON;
    add_line(log, &(struct log_record){
                      .level = level,
                      .time = show_time ? time_text(log) : NULL,
                      .component = component,
                      .message = log->message.data,
                      .message_len = log->message.len,
                      .fields = fields,
                      .nfields = nfields,
                      .child = options.child,
                  });
    empty(&log->message);
    if (level <= LOG_LEVEL_WARN || log->lines.len > FLUSH_SIZE)
        log_flush();
}

void log_thread_end(void)
{
    log_flush();
    coro_buf_release(&thread_log.lines);
    coro_buf_release(&thread_log.message);
    coro_buf_release(&thread_log.scratch);
}
