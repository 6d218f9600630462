#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "coro/sched/loop.h"
#include "worker/handler.h"

/* What the handlers of a test were given. */
static struct seen {
    struct coro_buf subject;
    const char *by; /* which handler it was */
} seen;

static enum job_outcome note(const struct handler_call *call, const char *by)
{
    seen.by = by;
    coro_buf_clear(&seen.subject);
    coro_buf_append(&seen.subject, call->subject, call->subject_len);
    return JOB_OUTCOME_DONE;
}

static enum job_outcome run_default(const struct handler_call *call)
{
    return note(call, "default");
}

static enum job_outcome run_class(const struct handler_call *call)
{
    return note(call, "class");
}

static const struct handler_kind default_kind = {.name = "default",
                                                 .run = run_default};
static const struct handler_kind class_kind = {.name = "class",
                                               .run = run_class};

static struct registry *registry;

static int setup(void **state)
{
    (void)state;
    seen.by = "none";
    coro_buf_init(&seen.subject, CORO_BUF_NO_LIMIT);
    registry = registry_new();
    registry_bind_kind(registry, NULL, &default_kind);
    return registry_bind_kind(registry, "A", &class_kind);
}

static int teardown(void **state)
{
    (void)state;
    coro_buf_release(&seen.subject);
    registry_free(registry);
    return 0;
}

static int run_job(void *argument)
{
    return (int)registry_run(registry, argument);
}

/* Runs @payload and checks which handler got which bytes. */
static void assert_given(const char *payload, const char *by,
                         const char *subject, size_t subject_len)
{
    static const struct job_queue queue = {.key = "q", .key_len = 1};
    struct job *job = job_new(&queue, 1, payload, strlen(payload));
    assert_non_null(job);
    int outcome = -1;
    assert_int_equal(coro_run(run_job, job, &outcome), 0);
    job_free(job);
    assert_int_equal(outcome, JOB_OUTCOME_DONE);
    assert_string_equal(seen.by, by);
    assert_int_equal(seen.subject.len, subject_len);
    assert_memory_equal(seen.subject.data, subject, subject_len);
}

static void an_envelope_is_opened_for_the_default_handler(void **state)
{
    (void)state;
    assert_given("{\"jid\":\"j\",\"corq\":{\"key\":\"k\",\"payload\":"
                 "\"h\\u00e9\\n\"},\"retry_count\":3}",
                 "default", "h\xc3\xa9\n", 4);
    assert_given("{\"corq\":{\"key\":\"k\",\"payload\":\"\"}}", "default", "",
                 0);
}

static void a_payload_that_is_no_text_comes_out_exactly(void **state)
{
    (void)state;
    assert_given("{\"corq\":{\"key\":\"k\",\"payload64\":\"YQD\\/\"}}",
                 "default", "a\0\xff", 3);
}

static void an_envelope_that_can_not_be_opened_is_a_raw_job(void **state)
{
    (void)state;
    static const char *const raw[] = {
        "{\"corq\":{}}",
        "{\"corq\":{\"key\":\"k\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload64\":\"!\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":1}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"}}}",
    };
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        assert_given(raw[i], "default", raw[i], strlen(raw[i]));
}

static void only_one_envelope_is_opened(void **state)
{
    (void)state;
    static const char inner[] = "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"}}";
    assert_given("{\"corq\":{\"key\":\"k\",\"payload\":\"{\\\"corq\\\":{"
                 "\\\"key\\\":\\\"k\\\",\\\"payload\\\":\\\"p\\\"}}\"}}",
                 "default", inner, strlen(inner));
}

static void a_described_job_in_an_envelope_finds_its_handler(void **state)
{
    (void)state;
    assert_given("{\"corq\":{\"key\":\"k\",\"payload\":\"{\\\"class\\\":"
                 "\\\"A\\\",\\\"args\\\":[42]}\"}}",
                 "class", "42", 2);
}

static void a_described_job_with_a_key_is_no_envelope(void **state)
{
    (void)state;
    assert_given("{\"class\":\"A\",\"args\":[7],\"corq\":{\"key\":\"k\","
                 "\"payload\":\"p\"}}",
                 "class", "7", 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_envelope_is_opened_for_the_default_handler),
        TEST(a_payload_that_is_no_text_comes_out_exactly),
        TEST(an_envelope_that_can_not_be_opened_is_a_raw_job),
        TEST(only_one_envelope_is_opened),
        TEST(a_described_job_in_an_envelope_finds_its_handler),
        TEST(a_described_job_with_a_key_is_no_envelope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
