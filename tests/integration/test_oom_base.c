/*
 * Out of memory, at every allocation in turn: the leaf modules, which have no
 * loop.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "coro/io/redis_url.h"
#include "master/options.h"
#include "tests/support/oom.h"
#include "worker/envelope.h"
#include "worker/handler.h"

static void sweep(int (*scenario)(void *argument))
{
    assert_true(oom_sweep(scenario, NULL, OOM_ONE) > 0);
    assert_true(oom_sweep(scenario, NULL, OOM_REST) > 0);
}

/* --- the buffer ----------------------------------------------------------- */

static int fill_buffer(void *argument)
{
    (void)argument;
    struct coro_buf buf;
    coro_buf_init(&buf, CORO_BUF_NO_LIMIT);
    int status = 0;
    for (int i = 0; i < 300 && status == 0; i++) {
        size_t len = buf.len;
        status = coro_buf_append_string(&buf, "some more bytes");
        if (status == 0)
            status = coro_buf_append_json_string(&buf, "\"\n", 2);
        if (status == 0)
            status = coro_buf_printf(&buf, "%d", i);
        if (status < 0 && (buf.len < len || !buf.failed))
            status = -EPROTO;
    }
    if (status == 0) {
        size_t len;
        char *bytes = coro_buf_take(&buf, &len);
        if (!bytes || strlen(bytes) != len)
            status = -EPROTO;
        free(bytes);
    }
    coro_buf_release(&buf);
    return status;
}

static int take_nothing(void *argument)
{
    (void)argument;
    struct coro_buf buf;
    coro_buf_init(&buf, 10);
    char *bytes = coro_buf_take(&buf, NULL);
    bool is_there = bytes != NULL;
    free(bytes);
    coro_buf_release(&buf);
    return is_there ? 0 : -ENOMEM;
}

static void a_buffer_that_can_not_grow_says_so(void **state)
{
    (void)state;
    sweep(fill_buffer);
    sweep(take_nothing);
}

/* --- the envelope --------------------------------------------------------- */

static int read_back(const struct coro_buf *record)
{
    struct coro_buf key, payload;
    coro_buf_init(&key, 100);
    coro_buf_init(&payload, 10000);
    int status = envelope_read(record->data, record->len, &key, &payload);
    if (status == 0 && (key.len != 1 || payload.len != 4))
        status = -EPROTO;
    if (status < 0 && (key.len || payload.len))
        status = -EPROTO;
    coro_buf_release(&key);
    coro_buf_release(&payload);
    return status;
}

static int round_trip(const char *payload)
{
    struct coro_buf record;
    coro_buf_init(&record, 100000);
    const struct envelope envelope = {
        .jid = "0123456789abcdef01234567",
        .key = "q",
        .key_len = 1,
        .payload = payload,
        .payload_len = 4,
        .error_class = "Bad",
        .error_message = "found \xff, expected more than that",
    };
    int status = envelope_write(&record, &envelope);
    if (status < 0 && (record.len || !record.failed))
        status = -EPROTO;
    coro_buf_release(&record);
    return status;
}

static int write_text(void *argument)
{
    (void)argument;
    return round_trip("text");
}

static int write_binary(void *argument)
{
    (void)argument;
    return round_trip("a\0\xff\xfe");
}

static struct coro_buf kept;

static int read_kept(void *argument)
{
    (void)argument;
    return read_back(&kept);
}

static void an_envelope_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(write_text);
    sweep(write_binary);
}

static void an_envelope_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const payloads[] = {"text", "a\0\xff\xfe"};
    for (size_t i = 0; i < 2; i++) {
        const struct envelope envelope = {.jid = "0",
                                          .key = "q",
                                          .key_len = 1,
                                          .payload = payloads[i],
                                          .payload_len = 4};
        coro_buf_init(&kept, 10000);
        assert_int_equal(envelope_write(&kept, &envelope), 0);
        sweep(read_kept);
        coro_buf_release(&kept);
    }
}

/* --- handlers ------------------------------------------------------------- */

static int fill_registry(void *argument)
{
    (void)argument;
    static const char *const classes[] = {"A", "B", NULL};
    char why[100];
    struct registry *registry = registry_new();
    if (!registry)
        return -ENOMEM;
    int status = 0;
    for (size_t i = 0; i < 3 && status == 0; i++)
        status = registry_bind(registry, classes[i], "noop", why, sizeof why);
    registry_free(registry);
    return status;
}

static void a_registry_that_can_not_grow_says_so(void **state)
{
    (void)state;
    sweep(fill_registry);
}

/* --- jobs ----------------------------------------------------------------- */

static int fail_job(void *argument)
{
    (void)argument;
    static const struct job_queue queue = {.key = "q", .key_len = 1};
    struct job *job = job_new(&queue, 1, "abc", 3);
    if (!job)
        return -ENOMEM;
    job_fail(job, "Bad", "no. %d", 1);
    job_fail(job, "Bad", "no. %d", 2);
    bool is_right = job->error_class && (!job->error_message ||
                                         !strcmp(job->error_message, "no. 2"));
    job_free(job);
    return is_right ? 0 : -EPROTO;
}

static void a_message_there_is_no_memory_for_is_left_out(void **state)
{
    (void)state;
    sweep(fail_job);
}

/* --- addresses and options ------------------------------------------------ */

static int parse_url(void *argument)
{
    const char *const *urls = argument;
    struct coro_redis_address address = {.port = 77};
    char why[CORO_REDIS_URL_WHY_MAX];
    int status = coro_redis_url_parse(*urls, &address, why, sizeof why);
    if (status == 0)
        coro_redis_address_release(&address);
    else if (address.port != 77)
        status = -EPROTO;
    return status;
}

static void an_address_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *urls[] = {
        "redis://us%65r:p%61ss@[::1]:7000/3",
        "rediss://h?cafile=/a%20b&cert=c&key=d",
        "redis+sentinel://u:p@a,[::1]:7000,b/name/3",
        "unix:///tmp/a%20b?db=2",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        oom_sweep(parse_url, &urls[i], OOM_ONE);
        oom_sweep(parse_url, &urls[i], OOM_REST);
    }
}

static int parse_options(void *argument)
{
    (void)argument;
    char words[][40] = {"--redis",
                        "redis://u:p@h:1/2",
                        "--queue",
                        "a=5",
                        "--queue",
                        "b=1",
                        "--handler",
                        "sleep",
                        "--handler",
                        "A=noop",
                        "--concurrency",
                        "7",
                        "--embedded-redis=/tmp/x"};

    enum { NWORDS = sizeof words / sizeof *words };

    char *argv[NWORDS + 1] = {NULL};
    for (size_t i = 0; i < NWORDS; i++)
        argv[i] = words[i];
    struct options options = {.concurrency = 77};
    struct options_error error = {""};
    int status =
        options_parse(&options, COMMAND_FLAG_RUN, NWORDS, argv, &error);
    if (status == 0)
        options_release(&options);
    else if (options.concurrency != 77 || !error.message[0])
        status = -EPROTO;
    return status;
}

static void options_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(parse_options);
}

static void options_of_the_environment_are_too(void **state)
{
    (void)state;
    setenv("CORQ_QUEUE", "a=1,b=2,c\\,d=3", 1);
    setenv("CORQ_REDIS", "redis://h/1", 1);
    sweep(parse_options);
    unsetenv("CORQ_QUEUE");
    unsetenv("CORQ_REDIS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_that_can_not_grow_says_so),
        cmocka_unit_test(an_envelope_is_written_whole_or_not_at_all),
        cmocka_unit_test(an_envelope_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_registry_that_can_not_grow_says_so),
        cmocka_unit_test(a_message_there_is_no_memory_for_is_left_out),
        cmocka_unit_test(an_address_is_read_whole_or_not_at_all),
        cmocka_unit_test(options_are_read_whole_or_not_at_all),
        cmocka_unit_test(options_of_the_environment_are_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
