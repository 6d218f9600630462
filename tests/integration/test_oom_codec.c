/*
 * Out of memory, at every allocation in turn: the job codec. What is
 * remembered of a job is whole or not there at all.
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
#include "tests/support/oom.h"
#include "worker/handler.h"
#include "worker/record.h"
#include "worker/splice.h"

#define JID       "0123456789abcdef01234567"
#define NOW       1725490519123450
#define DESCRIBED "{\"class\":\"A\",\"args\":[1],\"corq\":{\"key\":\"k\"}}"
#define ENVELOPE                                                             \
    "{\"jid\":\"j\",\"corq\":{\"key64\":\"cYA=\",\"payload64\":\"AP\\/+\"}," \
    "\"retry_count\":0}"
#define SCHEDULED "{\"corq\":{\"key64\":\"cYA=\",\"payload\":\"p\"}}"

static void sweep(int (*scenario)(void *argument), const char *payload)
{
    assert_true(oom_sweep(scenario, &payload, OOM_ONE) > 0);
    assert_true(oom_sweep(scenario, &payload, OOM_REST) > 0);
}

/* --- changing ------------------------------------------------------------- */

static int change(void *argument)
{
    const char *const *payload = argument;
    static const struct splice_member members[] = {
        {.name = "class", .value = "\"B\"", .value_len = 3},
        {.name = "args", .value = NULL},
        {.name = "new", .value = "12345", .value_len = 5},
    };
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = splice(*payload, strlen(*payload), members, 3, &out);
    if (status < 0 && out.len)
        status = -EPROTO;
    coro_buf_release(&out);
    return status;
}

static void a_change_is_made_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    char payload[2000] = "{\"class\":\"A\",\"args\":[1],\"long\":\"";
    memset(payload + strlen(payload), 'x', 1500);
    strcat(payload, "\"}");
    sweep(change, payload);
    sweep(change, "{}");
}

/* --- remembering ---------------------------------------------------------- */

static int remember(void *argument)
{
    const char *const *payload = argument;
    const struct record_failure failure = {
        .key = "q\x80",
        .key_len = 2,
        .jid = JID,
        .retry = 3,
        .retry_count = 1,
        .now_us = NOW,
        .error_class = "Bad",
        .error_message = "found \xff, expected more than that",
    };
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status =
        record_write_failure(*payload, strlen(*payload), &failure, &out);
    struct record record;
    if (status < 0 && out.len)
        status = -EPROTO;
    if (status == 0) {
        record_read(out.data, out.len, &record);
        /* With no memory to open it, an envelope counts as one. */
        if (record.kind == RECORD_RAW || record.retry_count != 1)
            status = -EPROTO;
    }
    coro_buf_release(&out);
    return status;
}

static void a_failure_is_remembered_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(remember, "a raw payload");
    sweep(remember, "\xff\xfe");
    sweep(remember, DESCRIBED);
    sweep(remember, ENVELOPE);
}

static int schedule(void *argument)
{
    const char *const *payload = argument;
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = record_write_scheduled(*payload, strlen(*payload), "k", 1, JID,
                                        5, &out);
    if (status < 0 && out.len)
        status = -EPROTO;
    coro_buf_release(&out);
    return status;
}

static void what_is_to_wait_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(schedule, "a raw payload");
    sweep(schedule, "\xff\xfe");
}

/* --- what is due ---------------------------------------------------------- */

static int take_due(void *argument)
{
    const char *const *payload = argument;
    struct coro_buf key, out;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    int status = record_write_due(*payload, strlen(*payload), NOW, &key, &out);
    if (status < 0 && (key.len || out.len))
        status = -EPROTO;
    coro_buf_release(&key);
    coro_buf_release(&out);
    return status;
}

static void what_is_due_is_given_whole_or_not_at_all(void **state)
{
    (void)state;
    sweep(take_due, DESCRIBED);
    sweep(take_due, "{\"class\":\"A\",\"queue\":\"low\"}");
    sweep(take_due, ENVELOPE);
    sweep(take_due, SCHEDULED);
}

/* --- running -------------------------------------------------------------- */

static enum job_outcome expect_payload(const struct handler_call *call)
{
    bool is_right =
        call->subject_len == 3 && memcmp(call->subject, "\0\xff\xfe", 3) == 0;
    return is_right ? JOB_OUTCOME_DONE : JOB_OUTCOME_FAILED;
}

static const struct handler_kind expecting = {.name = "expecting",
                                              .run = expect_payload};

static int run(struct job *job)
{
    struct registry *registry = registry_new();
    if (!registry)
        return -ENOMEM;
    registry_bind_kind(registry, NULL, &expecting);
    enum job_outcome outcome = registry_run(registry, job);
    registry_free(registry);
    /* Never: the envelope itself, as if it were the payload. */
    if (outcome == JOB_OUTCOME_DONE)
        return 0;
    return outcome == JOB_OUTCOME_RETRY ? -ENOMEM : -EPROTO;
}

static int open_envelope(void *argument)
{
    const char *const *payload = argument;
    static const struct job_queue queue = {.key = "q", .key_len = 1};
    struct job *job = job_new(&queue, 1, *payload, strlen(*payload));
    if (!job)
        return -ENOMEM;
    int status = run(job);
    job_free(job);
    return status;
}

static void an_envelope_that_can_not_be_opened_now_is_tried_again(void **state)
{
    (void)state;
    sweep(open_envelope, ENVELOPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_made_as_a_whole_or_not_at_all),
        cmocka_unit_test(a_failure_is_remembered_whole_or_not_at_all),
        cmocka_unit_test(what_is_to_wait_is_written_whole_or_not_at_all),
        cmocka_unit_test(what_is_due_is_given_whole_or_not_at_all),
        cmocka_unit_test(an_envelope_that_can_not_be_opened_now_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
