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
#include "worker/record.h"

#define JID "0123456789abcdef01234567"
#define NOW 1725490519123450

static struct buffers {
    struct coro_buf out;
    struct coro_buf key;
    struct coro_buf last;
} buffers;

static int setup(void **state)
{
    (void)state;
    coro_buf_init(&buffers.out, CORO_BUF_NO_LIMIT);
    coro_buf_init(&buffers.key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&buffers.last, CORO_BUF_NO_LIMIT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    coro_buf_release(&buffers.out);
    coro_buf_release(&buffers.key);
    coro_buf_release(&buffers.last);
    return 0;
}

/* Takes @bytes for what is due: its key and payload are in the buffers. */
static int due_bytes(const char *bytes, size_t len)
{
    coro_buf_clear(&buffers.key);
    coro_buf_clear(&buffers.out);
    return record_write_due(bytes, len, NOW, &buffers.key, &buffers.out);
}

static void assert_due(const char *bytes, const char *key, const char *payload)
{
    assert_int_equal(due_bytes(bytes, strlen(bytes)), 0);
    assert_string_equal(buffers.key.data, key);
    assert_string_equal(buffers.out.data, payload);
}

#define ENQUEUED ",\"enqueued_at\":1725490519.123450}"

/* --- described jobs ------------------------------------------------------- */

static void a_described_job_goes_to_its_queue(void **state)
{
    (void)state;
    assert_due("{\"class\":\"A\",\"queue\":\"h\\u00e9\"}", "queue:h\xc3\xa9",
               "{\"class\":\"A\",\"queue\":\"h\\u00e9\"" ENQUEUED);
}

static void without_a_queue_it_goes_to_default(void **state)
{
    (void)state;
    assert_due("{\"class\":\"A\"}", "queue:default",
               "{\"class\":\"A\"" ENQUEUED);
    assert_due("{\"class\":\"A\",\"queue\":\"\"}", "queue:default",
               "{\"class\":\"A\",\"queue\":\"\"" ENQUEUED);
    assert_due("{\"class\":\"A\",\"queue\":5}", "queue:default",
               "{\"class\":\"A\",\"queue\":5" ENQUEUED);
}

static void an_older_time_of_pushing_is_replaced(void **state)
{
    (void)state;
    assert_due("{\"enqueued_at\":1.5,\"class\":\"A\",\"created_at\":1.5}",
               "queue:default",
               "{\"enqueued_at\":1725490519.123450,\"class\":\"A\","
               "\"created_at\":1.5}");
}

static void a_key_beside_the_job_goes_before_its_queue(void **state)
{
    (void)state;
    static const char text[] =
        "{ \"class\":\"A\",\"queue\":\"x\",\"corq\":{\"key\":\"k\\\"1\"}}";
    assert_due(text, "k\"1", text);
    static const char coded[] =
        "{\"class\":\"A\",\"corq\":{\"key64\":\"\\/4A=\"}}";
    assert_due(coded, "\xff\x80", coded);
}

static void a_key_of_a_shared_queue_has_the_time_set(void **state)
{
    (void)state;
    assert_due(
        "{\"class\":\"A\",\"corq\":{\"key64\":\"cXVldWU6/w==\"}}", "queue:\xff",
        "{\"class\":\"A\",\"corq\":{\"key64\":\"cXVldWU6/w==\"}" ENQUEUED);
}

static void a_corq_without_a_key_is_passed_over(void **state)
{
    (void)state;
    assert_due("{\"class\":\"A\",\"corq\":{},\"queue\":\"q\"}", "queue:q",
               "{\"class\":\"A\",\"corq\":{},\"queue\":\"q\"" ENQUEUED);
    assert_due("{\"class\":\"A\",\"corq\":1}", "queue:default",
               "{\"class\":\"A\",\"corq\":1" ENQUEUED);
}

/* --- envelopes and raw jobs ----------------------------------------------- */

static void an_envelope_that_has_failed_stays_one(void **state)
{
    (void)state;
    static const char text[] =
        "{\"corq\":{\"key\":\"queue:a\",\"payload\":\"p\"},"
        "\"retry_count\":0}";
    assert_due(text, "queue:a", text);
}

static void an_envelope_with_a_limit_of_its_own_stays_one(void **state)
{
    (void)state;
    static const char number[] =
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"},\"retry\":0}";
    assert_due(number, "k", number);
    static const char word[] =
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"},\"retry\":false}";
    assert_due(word, "k", word);
}

static void a_payload_that_was_only_to_wait_comes_bare(void **state)
{
    (void)state;
    assert_due("{\"jid\":\"j\",\"corq\":{\"key\":\"k\",\"payload\":\"p\\n\"}}",
               "k", "p\n");
    assert_int_equal(
        record_write_scheduled("a\0\xff", 3, "k\0", 2, JID, -1, &buffers.last),
        0);
    assert_int_equal(due_bytes(buffers.last.data, buffers.last.len), 0);
    assert_int_equal(buffers.key.len, 2);
    assert_memory_equal(buffers.key.data, "k\0", 2);
    assert_int_equal(buffers.out.len, 3);
    assert_memory_equal(buffers.out.data, "a\0\xff", 3);
}

static void a_raw_payload_is_refused(void **state)
{
    (void)state;
    static const char *const raw[] = {"", "5", "{}", "{\"corq\":{}}",
                                      "{\"queue\":\"q\"}"};
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        assert_int_equal(due_bytes(raw[i], strlen(raw[i])), -EINVAL);
        assert_int_equal(buffers.key.len + buffers.out.len, 0);
    }
}

/* --- to be run later ------------------------------------------------------ */

static void what_is_to_wait_says_nothing_of_a_failure(void **state)
{
    (void)state;
    assert_int_equal(
        record_write_scheduled("p", 1, "k", 1, JID, -1, &buffers.out), 0);
    assert_string_equal(buffers.out.data,
                        "{\"jid\":\"" JID
                        "\",\"corq\":{\"key\":\"k\",\"payload\":\"p\"}}");
}

static void what_is_to_wait_may_have_a_limit(void **state)
{
    (void)state;
    assert_int_equal(
        record_write_scheduled("p", 1, "k", 1, JID, 3, &buffers.out), 0);
    assert_non_null(strstr(buffers.out.data, "},\"retry\":3}"));
    struct record record;
    record_read(buffers.out.data, buffers.out.len, &record);
    assert_int_equal(record.kind, RECORD_ENVELOPE);
    assert_int_equal(record.retry, 3);
}

/* --- there and back ------------------------------------------------------- */

static void assert_key_comes_back(const char *payload, const char *key,
                                  size_t key_len)
{
    const struct record_failure failure = {.key = key,
                                           .key_len = key_len,
                                           .jid = JID,
                                           .retry = -1,
                                           .now_us = NOW,
                                           .error_class = "E",
                                           .error_message = "m"};
    coro_buf_clear(&buffers.last);
    assert_int_equal(
        record_write_failure(payload, strlen(payload), &failure, &buffers.last),
        0);
    assert_int_equal(due_bytes(buffers.last.data, buffers.last.len), 0);
    assert_int_equal(buffers.key.len, key_len);
    assert_memory_equal(buffers.key.data, key, key_len);
}

static void a_failed_job_comes_back_to_any_key(void **state)
{
    (void)state;

    static const struct {
        const char *key;
        size_t len;
    } keys[] = {
        {"queue:a", 7}, {"queue:\xff", 7}, {"queue:", 6}, {"queue:a\0b", 9},
        {"queue", 5},   {"k", 1},          {"", 0},       {"\0", 1},
        {"Queue:a", 7}, {"\xc3\xa9\"", 3},
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_key_comes_back("{\"class\":\"A\"}", keys[i].key, keys[i].len);
        assert_key_comes_back("5", keys[i].key, keys[i].len);
    }
}

static void what_does_not_fit_leaves_both_buffers_alone(void **state)
{
    (void)state;
    static const char *const due[] = {
        "{\"class\":\"A\",\"queue\":\"long_name\"}",
        "{\"class\":\"A\",\"corq\":{\"key\":\"k\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":\"longer than the rest\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\"},\"retry\":1}",
    };
    for (size_t i = 0; i < 4 * 60; i++) {
        struct coro_buf key, out;
        coro_buf_init(&key, i / 4 % 20);
        coro_buf_init(&out, i / 4);
        int status =
            record_write_due(due[i % 4], strlen(due[i % 4]), NOW, &key, &out);
        if (status != 0) {
            assert_int_equal(status, -EMSGSIZE);
            assert_int_equal(key.len + out.len, 0);
        }
        coro_buf_release(&key);
        coro_buf_release(&out);
    }
}

#define with_buffers(test) \
    cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_buffers(a_described_job_goes_to_its_queue),
        with_buffers(without_a_queue_it_goes_to_default),
        with_buffers(an_older_time_of_pushing_is_replaced),
        with_buffers(a_key_beside_the_job_goes_before_its_queue),
        with_buffers(a_key_of_a_shared_queue_has_the_time_set),
        with_buffers(a_corq_without_a_key_is_passed_over),
        with_buffers(an_envelope_that_has_failed_stays_one),
        with_buffers(an_envelope_with_a_limit_of_its_own_stays_one),
        with_buffers(a_payload_that_was_only_to_wait_comes_bare),
        with_buffers(a_raw_payload_is_refused),
        with_buffers(what_is_to_wait_says_nothing_of_a_failure),
        with_buffers(what_is_to_wait_may_have_a_limit),
        with_buffers(a_failed_job_comes_back_to_any_key),
        with_buffers(what_does_not_fit_leaves_both_buffers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
