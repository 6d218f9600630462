#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "coro/base/clock.h"
#include "worker/log.h"

/* A pipe that takes what is logged, and the text that came out of it. */
struct sink {
    int read_fd;
    int write_fd;
    char text[256 * 1024];
};

static int setup(void **state)
{
    static struct sink sink;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    sink.read_fd = fds[0];
    sink.write_fd = fds[1];
    fcntl(sink.read_fd, F_SETFL, O_NONBLOCK);
    fcntl(sink.write_fd, F_SETPIPE_SZ, 256 * 1024);
    signal(SIGPIPE, SIG_IGN);
    log_start(
        &(struct log_options){.level = LOG_LEVEL_INFO, .fd = sink.write_fd});
    *state = &sink;
    return 0;
}

static int teardown(void **state)
{
    struct sink *sink = *state;
    log_thread_end();
    close(sink->read_fd);
    close(sink->write_fd);
    return 0;
}

static void start_as(struct sink *sink, enum log_format format, bool journal)
{
    log_start(&(struct log_options){.level = LOG_LEVEL_DEBUG,
                                    .format = format,
                                    .fd = sink->write_fd,
                                    .journal = journal});
}

/* What has been written so far, as a string. */
static const char *drain(struct sink *sink)
{
    size_t len = 0;
    ssize_t n;
    do {
        n = read(sink->read_fd, sink->text + len, sizeof(sink->text) - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    sink->text[len] = '\0';
    return sink->text;
}

/* The text after the time stamp, 2026-11-22T10:08:02.123Z and a space. */
static const char *drain_after_time(struct sink *sink)
{
    log_flush();
    const char *text = drain(sink);
    assert_true(strlen(text) > 25);
    return text + 25;
}

static void a_line_has_time_level_and_message(void **state)
{
    struct sink *sink = *state;
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "Wait %d", 5);
    assert_string_equal(drain_after_time(sink), "info  Wait 5\n");
    int year, month, day, hour, minute, second, ms;
    assert_int_equal(sscanf(sink->text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year,
                            &month, &day, &hour, &minute, &second, &ms),
                     7);
    assert_in_range(year, 2024, 2200);
    assert_int_equal(sink->text[23], 'Z');
    assert_int_equal(sink->text[24], ' ');
}

static void fields_follow_the_message(void **state)
{
    const struct log_field fields[] = {
        log_string("host", "db-1"),
        log_string("reason", "no such \"x\""),
        log_int("n", -3),
        log_seconds("took", 5004999),
        log_seconds("short", 5000),
        log_string("empty", ""),
        log_bytes("bytes", "a=b\0\\", 5),
    };
    log_line(LOG_LEVEL_INFO, "redis", fields, 7, "connected");
    assert_string_equal(drain_after_time(*state),
                        "info  redis: connected host=db-1 "
                        "reason=\"no such \\\"x\\\"\" n=-3 took=5.00 "
                        "short=0.01 empty=\"\" bytes=\"a=b\\x00\\\\\"\n");
}

static void nothing_in_a_payload_reaches_the_terminal(void **state)
{
    const struct log_field fields[] = {
        log_string("payload", "\x1b[2J\xc2\x9b\xff\xc3\xa9")};
    log_line(LOG_LEVEL_INFO, NULL, fields, 1, "bad \r\n%s", "\x1b]0;x\x07");
    assert_string_equal(drain_after_time(*state),
                        "info  bad \\x0d\\x0a\\x1b]0;x\\x07 "
                        "payload=\"\\x1b[2J\\xc2\\x9b\\xff\xc3\xa9\"\n");
}

static void levels_beyond_the_set_one_are_left_out(void **state)
{
    struct sink *sink = *state;
    assert_true(log_is_on(LOG_LEVEL_WARN));
    assert_true(log_is_on(LOG_LEVEL_INFO));
    assert_false(log_is_on(LOG_LEVEL_DEBUG));
    log_line(LOG_LEVEL_DEBUG, NULL, NULL, 0, "hidden");
    log_flush();
    assert_string_equal(drain(sink), "");
}

static void lines_wait_for_the_flush(void **state)
{
    struct sink *sink = *state;
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "one");
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "two");
    assert_string_equal(drain(sink), "");
    log_flush();
    assert_non_null(strstr(drain(sink), "one\n"));
    assert_non_null(strstr(sink->text, "two\n"));
}

static void a_warning_is_written_at_once_and_in_order(void **state)
{
    struct sink *sink = *state;
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "before");
    log_line(LOG_LEVEL_WARN, NULL, NULL, 0, "now");
    const char *before = strstr(drain(sink), "info  before\n");
    assert_non_null(before);
    assert_non_null(strstr(before, "warn  now\n"));
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "again");
    assert_non_null(strstr(drain(sink), "error again\n"));
}

static void a_full_buffer_is_written_at_once(void **state)
{
    struct sink *sink = *state;
    for (int i = 0; i < 400; i++)
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%0100d", i);
    size_t len = strlen(drain(sink));
    assert_in_range(len, 32 * 1024, 33 * 1024);
    assert_int_equal(sink->text[len - 1], '\n');
}

static void the_journal_gets_priorities(void **state)
{
    struct sink *sink = *state;
    start_as(sink, LOG_FORMAT_TEXT, true);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        log_line((enum log_level)level, NULL, NULL, 0, "x");
    log_flush();
    assert_string_equal(drain(sink), "<3>error x\n<4>warn  x\n<6>info  x\n"
                                     "<7>debug x\n");
}

static void a_json_line_is_one_object(void **state)
{
    struct sink *sink = *state;
    start_as(sink, LOG_FORMAT_JSON, false);
    const struct log_field fields[] = {
        log_bytes("text", "a\n\xff\0", 4),
        log_int("n", INT64_MIN),
        log_seconds("took", 1250000),
    };
    log_line(LOG_LEVEL_WARN, "worker", fields, 3, "odd \"%s\"", "\x1b\xc2");
    const char *text = drain(sink);
    size_t len = strlen(text);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    assert_null(strchr(text, '\x1b'));
    json_t *line = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    assert_non_null(line);
    const char *time, *level, *component, *message, *field;
    size_t field_len;
    json_int_t n;
    double took;
    assert_int_equal(json_unpack(line, "{s:s,s:s,s:s,s:s,s:s%,s:I,s:f}", "time",
                                 &time, "level", &level, "component",
                                 &component, "message", &message, "text",
                                 &field, &field_len, "n", &n, "took", &took),
                     0);
    assert_int_equal(strlen(time), 24);
    assert_string_equal(level, "warn");
    assert_string_equal(component, "worker");
    assert_string_equal(message, "odd \"\x1b\xef\xbf\xbd\"");
    assert_int_equal(field_len, 6);
    assert_memory_equal(field, "a\n\xef\xbf\xbd\0", 6);
    assert_true(n == INT64_MIN);
    assert_true(took > 1.24 && took < 1.26);
    json_decref(line);
}

static void every_byte_makes_a_valid_json_line(void **state)
{
    struct sink *sink = *state;
    start_as(sink, LOG_FORMAT_JSON, true);
    for (int byte = 0; byte < 256; byte++) {
        const char text[4] = {'a', (char)byte, 'b'};
        const struct log_field fields[] = {log_bytes("text", text, 3)};
        log_line(LOG_LEVEL_INFO, NULL, fields, 1, "%s", text + 1);
        log_flush();
        const char *line = drain(sink);
        json_t *object = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(object);
        json_decref(object);
    }
}

static void a_full_fd_costs_lines_not_the_process(void **state)
{
    struct sink *sink = *state;
    fcntl(sink->write_fd, F_SETFL, O_NONBLOCK);
    fcntl(sink->write_fd, F_SETPIPE_SZ, 8192);
    /* Longer than what the pipe holds: one line will break off. */
    while (log_dropped() == 0) {
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%010000d", 1);
        log_flush();
    }
    assert_int_equal(log_dropped(), 1);
    assert_int_equal(drain(sink)[strlen(sink->text) - 1], '0');
    /* The next line stands on its own all the same. */
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "after");
    log_flush();
    assert_int_equal(drain(sink)[0], '\n');
    assert_string_equal(sink->text + 26, "info  after\n");
    assert_int_equal(log_dropped(), 1);
}

static void a_full_blocking_fd_does_not_block(void **state)
{
    struct sink *sink = *state;
    fcntl(sink->write_fd, F_SETPIPE_SZ, 8192);
    assert_int_equal(fcntl(sink->write_fd, F_GETFL) & O_NONBLOCK, 0);
    while (log_dropped() == 0) {
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%01000d", 1);
        log_flush();
    }
    assert_int_equal(log_dropped(), 1);
}

static void a_full_fd_is_waited_for_once(void **state)
{
    struct sink *sink = *state;
    fcntl(sink->write_fd, F_SETFL, O_NONBLOCK);
    fcntl(sink->write_fd, F_SETPIPE_SZ, 4096);
    int64_t start_ms = coro_now_ms();
    while (log_dropped() < 50)
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0, "%010000d", 1);
    /* Far from the 5 seconds that 50 waits would have taken. */
    assert_in_range(coro_now_ms() - start_ms, 50, 2500);
}

static void a_full_disk_is_counted(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    log_start(&(struct log_options){.level = LOG_LEVEL_INFO, .fd = fd});
    log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "one");
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "two");
    assert_int_equal(log_dropped(), 2);
    close(fd);
}

static void a_closed_reader_is_counted(void **state)
{
    struct sink *sink = *state;
    close(sink->read_fd);
    sink->read_fd = -1;
    log_line(LOG_LEVEL_ERROR, NULL, NULL, 0, "nobody listens");
    assert_int_equal(log_dropped(), 1);
}

/* Names the file behind @fd as systemd does. */
static void name_stream(int fd, const char *after)
{
    struct stat status;
    char text[100];
    assert_int_equal(fstat(fd, &status), 0);
    snprintf(text, sizeof(text), "%llu:%llu%s",
             (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino, after);
    setenv("JOURNAL_STREAM", text, 1);
}

static void the_journal_is_known_by_its_stream(void **state)
{
    struct sink *sink = *state;
    unsetenv("JOURNAL_STREAM");
    assert_false(log_is_journal(sink->write_fd));
    name_stream(sink->write_fd, "");
    assert_true(log_is_journal(sink->write_fd));
    assert_false(log_is_journal(-1));
    name_stream(sink->write_fd, "0");
    assert_false(log_is_journal(sink->write_fd));
    name_stream(sink->write_fd, "x");
    assert_false(log_is_journal(sink->write_fd));
    setenv("JOURNAL_STREAM", "", 1);
    assert_false(log_is_journal(sink->write_fd));
    unsetenv("JOURNAL_STREAM");
}

#define NLINES   400
#define LINE_LEN 134

static void *log_many(void *mark)
{
    for (int i = 0; i < NLINES; i++) {
        log_line(LOG_LEVEL_INFO, NULL, NULL, 0, "%s %0100d", (char *)mark, i);
        if (i % 50 == 49)
            log_flush();
    }
    log_thread_end();
    return NULL;
}

/* Reads @len bytes, however slowly they come. */
static void read_exactly(struct sink *sink, size_t len)
{
    size_t done = 0;
    while (done < len) {
        struct pollfd readable = {.fd = sink->read_fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 10000), 1);
        ssize_t n = read(sink->read_fd, sink->text + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    sink->text[done] = '\0';
}

static void lines_of_two_threads_do_not_mix(void **state)
{
    struct sink *sink = *state;
    pthread_t threads[2];
    char marks[2][2] = {"A", "B"};
    int counts[2] = {0, 0};
    /* So small that writers are stopped within their lines. */
    fcntl(sink->write_fd, F_SETPIPE_SZ, 4096);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, marks[i]),
                         0);
    read_exactly(sink, 2 * NLINES * LINE_LEN);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    /* Each thread's lines come whole and in its order. */
    for (char *line = sink->text; *line; line += LINE_LEN) {
        int thread = line[31] == 'B';
        assert_int_equal(strcspn(line, "\n"), LINE_LEN - 1);
        assert_int_equal(strtol(line + 33, NULL, 10), counts[thread]);
        counts[thread]++;
    }
    assert_int_equal(counts[0], NLINES);
    assert_int_equal(counts[1], NLINES);
}

#define with_sink(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_sink(a_line_has_time_level_and_message),
        with_sink(fields_follow_the_message),
        with_sink(nothing_in_a_payload_reaches_the_terminal),
        with_sink(levels_beyond_the_set_one_are_left_out),
        with_sink(lines_wait_for_the_flush),
        with_sink(a_warning_is_written_at_once_and_in_order),
        with_sink(a_full_buffer_is_written_at_once),
        with_sink(the_journal_gets_priorities),
        with_sink(a_json_line_is_one_object),
        with_sink(every_byte_makes_a_valid_json_line),
        with_sink(a_full_fd_costs_lines_not_the_process),
        with_sink(a_full_blocking_fd_does_not_block),
        with_sink(a_full_fd_is_waited_for_once),
        with_sink(a_full_disk_is_counted),
        with_sink(a_closed_reader_is_counted),
        with_sink(the_journal_is_known_by_its_stream),
        with_sink(lines_of_two_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
