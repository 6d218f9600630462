#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "coro/base/buf.h"
#include "master/queue/process_record.h"

/* What is said of a process with these queues. Ownership: json_decref(). */
static json_t *info_of(const struct job_queue *queues, size_t nqueues)
{
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    assert_int_equal(process_record_write_info(
                         &out,
                         &(struct process_info){
                             .identity = "box-1.example:4711:0123456789abcdef",
                             .queues = queues,
                             .nqueues = nqueues,
                             .concurrency = 9,
                             .started_at_us = 1725490519000000,
                         }),
                     0);
    json_t *info = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(info);
    coro_buf_release(&out);
    return info;
}

static void assert_mode(const struct job_queue *queues, const char *expected)
{
    json_t *info = info_of(queues, 2);
    const char *mode = NULL;
    assert_int_equal(json_unpack(info, "{s:{s:{s:s}}}", "capsules", "default",
                                 "mode", &mode),
                     0);
    assert_string_equal(mode, expected);
    json_decref(info);
}

static void host_and_pid_are_those_of_the_identity(void **state)
{
    (void)state;
    json_t *info =
        info_of(&(struct job_queue){.key = "queue", .key_len = 5}, 1);
    const char *hostname = NULL, *version = NULL;
    int pid = 0;
    double started_at = 0;
    assert_int_equal(json_unpack(info, "{s:s,s:s,s:i,s:f}", "hostname",
                                 &hostname, "version", &version, "pid", &pid,
                                 "started_at", &started_at),
                     0);
    assert_string_equal(hostname, "box-1.example");
    assert_string_equal(version, "corq " CORQ_VERSION);
    assert_int_equal(pid, 4711);
    assert_true(started_at == 1725490519.0);
    json_decref(info);
}

static void the_mode_follows_from_the_weights(void **state)
{
    (void)state;
    struct job_queue queues[] = {{.key = "a", .key_len = 1},
                                 {.key = "b", .key_len = 1}};
    assert_mode(queues, "strict");
    queues[0].weight = queues[1].weight = 1;
    assert_mode(queues, "random");
    queues[1].weight = 5;
    assert_mode(queues, "weighted");
}

static void names_are_what_follows_the_prefix_if_anything_does(void **state)
{
    (void)state;
    const struct job_queue queues[] = {
        {.key = "queue:", .key_len = 6},
        {.key = "queue:\xff\"", .key_len = 8},
        {.key = "queuer", .key_len = 6},
        {.key = "queue:queuer", .key_len = 12},
    };
    json_t *info = info_of(queues, 4);
    const char *names[3] = {NULL, NULL, NULL};
    assert_int_equal(json_unpack(info, "{s:[s,s,s!]}", "queues", &names[0],
                                 &names[1], &names[2]),
                     0);
    assert_string_equal(names[0], "queue:");
    assert_string_equal(names[1], "\xef\xbf\xbd\"");
    assert_string_equal(names[2], "queuer");
    json_decref(info);
}

static void what_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    const struct job_queue queue = {.key = "queue", .key_len = 5};
    struct job *job = job_new(&queue, 1, "payload", 7);
    assert_non_null(job);
    for (size_t limit = 1; limit < 60; limit++) {
        struct coro_buf out;
        coro_buf_init(&out, limit);
        coro_buf_append_char(&out, 'x');
        assert_int_equal(process_record_write_job(&out, job, true), -ENOMEM);
        assert_int_equal(process_record_write_info(
                             &out, &(struct process_info){.identity = "a:1:b",
                                                          .queues = &queue,
                                                          .nqueues = 1}),
                         -ENOMEM);
        assert_true(out.failed);
        assert_int_equal(out.len, 1);
        coro_buf_release(&out);
    }
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_pid_are_those_of_the_identity),
        cmocka_unit_test(the_mode_follows_from_the_weights),
        cmocka_unit_test(names_are_what_follows_the_prefix_if_anything_does),
        cmocka_unit_test(what_does_not_fit_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
