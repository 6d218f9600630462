/*
 * Out of memory, at every allocation in turn: jobs that are pushed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "master/cli/push_job.h"
#include "master/options.h"
#include "tests/support/oom.h"

static void sweep(int (*scenario)(void *argument), void *argument)
{
    assert_true(oom_sweep(scenario, argument, OOM_ONE) > 0);
    assert_true(oom_sweep(scenario, argument, OOM_REST) > 0);
}

static int make(void *argument)
{
    struct push_job job;
    int status = push_job_make(argument, &job);
    if (status == 0 && job.bytes.len == 0)
        status = -EPROTO;
    push_job_release(&job);
    return status;
}

static void a_job_is_made_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    struct push_request request = {
        .key = "queue:mail", .now_us = 1, .due_us = 2, .retry = 3};
    const char *const payloads[] = {"5", "{\"class\":\"A\",\"at\":1}"};
    for (size_t i = 0; i < 2; i++) {
        request.payload = payloads[i];
        request.payload_len = strlen(payloads[i]);
        request.key = "queue:mail";
        sweep(make, &request);
        request.key = "mail\xff";
        sweep(make, &request);
    }
}

static int describe(void *argument)
{
    (void)argument;
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = push_job_describe("A", "[1]", &out);
    coro_buf_release(&out);
    return status;
}

static void arguments_are_not_called_bad_for_want_of_memory(void **state)
{
    (void)state;
    sweep(describe, NULL);
}

static int parse(void *argument)
{
    (void)argument;
    char words[][40] = {"--class=A", "--class=B", "--args=[]",
                        "--at=2026-11-25T10:00:00Z"};
    char *argv[] = {words[0], words[1], words[2], words[3], NULL};
    struct options options;
    struct options_error error;
    int status = options_parse(&options, COMMAND_FLAG_PUSH, 4, argv, &error);
    if (status == 0)
        options_release(&options);
    return status;
}

static void options_of_a_job_are_read_or_refused(void **state)
{
    (void)state;
    sweep(parse, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_made_as_a_whole_or_not_at_all),
        cmocka_unit_test(arguments_are_not_called_bad_for_want_of_memory),
        cmocka_unit_test(options_of_a_job_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
