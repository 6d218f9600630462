#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "coro/base/buf.h"
#include "coro/base/random.h"
#include "coro/base/utf8.h"
#include "worker/envelope.h"

#define JID "0123456789abcdef01234567"

struct buffers {
    struct coro_buf record;
    struct coro_buf key;
    struct coro_buf payload;
};

static int setup(void **state)
{
    static struct buffers buffers;
    coro_buf_init(&buffers.record, CORO_BUF_NO_LIMIT);
    coro_buf_init(&buffers.key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&buffers.payload, CORO_BUF_NO_LIMIT);
    *state = &buffers;
    return 0;
}

static int teardown(void **state)
{
    struct buffers *buffers = *state;
    coro_buf_release(&buffers->record);
    coro_buf_release(&buffers->key);
    coro_buf_release(&buffers->payload);
    return 0;
}

/* A record of @payload with nothing unusual about it. */
static struct envelope plain(const char *payload, size_t len)
{
    return (struct envelope){
        .jid = JID,
        .key = "queue",
        .key_len = 5,
        .payload = payload,
        .payload_len = len,
        .retry = -1,
        .failed_at_us = 1725490519123450,
        .retried_at_us = -1,
        .error_class = "interrupted",
        .error_message = "stopped",
    };
}

static void a_text_is_kept_as_text(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("say \"h\xc3\xa9\"\n", 10);
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_string_equal(
        buffers->record.data,
        "{\"jid\":\"" JID "\",\"corq\":{\"key\":\"queue\","
        "\"payload\":\"say \\\"h\xc3\xa9\\\"\\n\"},\"retry_count\":0,"
        "\"failed_at\":1725490519.123450,\"error_class\":\"interrupted\","
        "\"error_message\":\"stopped\"}");
}

static void other_bytes_are_kept_as_base64(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("\xff\xfe", 2);
    envelope.key = "q\x80";
    envelope.key_len = 2;
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_non_null(strstr(buffers->record.data,
                           "{\"key64\":\"cYA=\",\"payload64\":\"//4=\"}"));
}

static void a_zero_byte_is_kept_as_base64(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("a\0b", 3);
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_non_null(strstr(buffers->record.data, "\"payload64\":\"YQBi\""));
    assert_null(strstr(buffers->record.data, "\"payload\""));
}

static void an_empty_payload_comes_back_empty(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("", 0);
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_int_equal(envelope_read(buffers->record.data, buffers->record.len,
                                   &buffers->key, &buffers->payload),
                     0);
    assert_string_equal(buffers->key.data, "queue");
    assert_int_equal(buffers->payload.len, 0);
}

static void the_message_is_made_valid_and_cut(void **state)
{
    struct buffers *buffers = *state;
    char message[ENVELOPE_MAX_MESSAGE + 100];
    memset(message, 'm', sizeof(message));
    message[0] = '\xff';
    message[sizeof(message) - 1] = '\0';
    struct envelope envelope = plain("x", 1);
    envelope.error_message = message;
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    json_t *record =
        json_loadb(buffers->record.data, buffers->record.len, 0, NULL);
    assert_non_null(record);
    const json_t *text = json_object_get(record, "error_message");
    assert_memory_equal(json_string_value(text), "\xef\xbf\xbdmm", 5);
    /* U+FFFD takes three bytes and counts as one character. */
    assert_int_equal(json_string_length(text), ENVELOPE_MAX_MESSAGE + 2);
    json_decref(record);
}

static void no_error_leaves_its_members_out(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("x", 1);
    envelope.error_class = NULL;
    envelope.error_message = "";
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_null(strstr(buffers->record.data, "error_class"));
    assert_non_null(strstr(buffers->record.data, "\"error_message\":\"\"}"));
}

static void what_is_left_out_is_not_there(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("x", 1);
    envelope.retry_count = -1;
    envelope.failed_at_us = -1;
    envelope.error_class = NULL;
    envelope.error_message = NULL;
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_string_equal(buffers->record.data,
                        "{\"jid\":\"" JID "\",\"corq\":{\"key\":\"queue\","
                        "\"payload\":\"x\"}}");
}

static void a_limit_and_a_later_failure_have_members(void **state)
{
    struct buffers *buffers = *state;
    struct envelope envelope = plain("x", 1);
    envelope.retry = 0;
    envelope.retry_count = 2;
    envelope.retried_at_us = 1500000;
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    assert_non_null(strstr(buffers->record.data,
                           "},\"retry\":0,\"retry_count\":2,\"failed_at\":"
                           "1725490519.123450,\"retried_at\":1.500000,"));
}

static void the_class_is_cut_to_two_hundred_characters(void **state)
{
    struct buffers *buffers = *state;
    char class[300];
    memset(class, 'c', sizeof class);
    class[sizeof class - 1] = '\0';
    struct envelope envelope = plain("x", 1);
    envelope.error_class = class;
    assert_int_equal(envelope_write(&buffers->record, &envelope), 0);
    const char *at = strstr(buffers->record.data, "\"error_class\":\"");
    assert_int_equal(strspn(at + strlen("\"error_class\":\""), "c"), 200);
}

static void others_may_have_written_it_differently(void **state)
{
    struct buffers *buffers = *state;
    static const char text[] =
        " {\"n\":1234567890123456789012345678901234567890,\"corq\":1,\n"
        "\"c\\u006frq\" : {\"payload64\":\"\\/\\u002f4=\",\"x\":[],"
        "\"key\":\"\\u006b\\u0000\"} } ";
    assert_int_equal(
        envelope_read(text, strlen(text), &buffers->key, &buffers->payload), 0);
    assert_int_equal(buffers->key.len, 2);
    assert_memory_equal(buffers->key.data, "k\0", 2);
    assert_int_equal(buffers->payload.len, 2);
    assert_memory_equal(buffers->payload.data, "\xff\xfe", 2);
}

static void a_record_beyond_the_limit_leaves_nothing(void **state)
{
    (void)state;
    struct envelope envelope = plain("payload", 7);
    for (size_t limit = 4; limit < 160; limit++) {
        struct coro_buf out;
        coro_buf_init(&out, limit);
        coro_buf_append_string(&out, "kept");
        if (envelope_write(&out, &envelope) < 0) {
            assert_true(out.failed);
            assert_string_equal(out.data, "kept");
        } else {
            assert_string_equal(out.data + out.len - 2, "\"}");
        }
        coro_buf_release(&out);
    }
}

static void other_documents_are_refused(void **state)
{
    struct buffers *buffers = *state;
    static const char *const bad[] = {
        "",
        "x",
        "{}",
        "[]",
        "{\"corq\":1}",
        "{\"corq\":{\"key\":\"k\"}}",
        "{\"corq\":{\"payload\":\"p\"}}",
        "{\"corq\":{\"key\":1,\"payload\":\"p\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":null}}",
        "{\"corq\":{\"key\":\"k\",\"payload64\":\"!\"}}",
        "{\"corq\":{\"key\":\"k\",\"payload\":\"p\",\"payload64\":\"cA==\"}}",
    };
    coro_buf_append_string(&buffers->key, "kept");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (envelope_read(bad[i], strlen(bad[i]), &buffers->key,
                          &buffers->payload) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(buffers->key.data, "kept");
        assert_int_equal(buffers->payload.len, 0);
    }
}

/* Random bytes; every other time such as are likely to be text. */
static size_t random_bytes(struct coro_rng *rng, char *out, size_t max)
{
    size_t len = (size_t)coro_rng_below(rng, max);
    unsigned mask = coro_rng_below(rng, 2) ? 0xff : 0x7f;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((coro_rng_next(rng) & mask) | (mask == 0x7f));
    return len;
}

static void check_round_trip(struct buffers *buffers,
                             const struct envelope *envelope)
{
    coro_buf_clear(&buffers->record);
    coro_buf_clear(&buffers->key);
    coro_buf_clear(&buffers->payload);
    assert_int_equal(envelope_write(&buffers->record, envelope), 0);
    assert_true(coro_utf8_is_valid(buffers->record.data, buffers->record.len));
    assert_int_equal(envelope_read(buffers->record.data, buffers->record.len,
                                   &buffers->key, &buffers->payload),
                     0);
    assert_int_equal(buffers->key.len, envelope->key_len);
    assert_memory_equal(buffers->key.data, envelope->key, envelope->key_len);
    assert_int_equal(buffers->payload.len, envelope->payload_len);
    assert_memory_equal(buffers->payload.data, envelope->payload,
                        envelope->payload_len);
}

static void random_bytes_come_back_exactly(void **state)
{
    struct coro_rng rng;
    coro_rng_init(&rng, 5);
    for (int round = 0; round < 5000; round++) {
        char key[20];
        char payload[200];
        struct envelope envelope = plain(payload, 0);
        envelope.payload_len = random_bytes(&rng, payload, sizeof(payload));
        envelope.key = key;
        envelope.key_len = random_bytes(&rng, key, sizeof(key));
        envelope.retry_count = (int64_t)coro_rng_below(&rng, 26);
        check_round_trip(*state, &envelope);
    }
}

static void every_short_payload_comes_back_exactly(void **state)
{
    for (unsigned bytes = 0; bytes < 65536; bytes += 7) {
        char payload[2] = {(char)(bytes >> 8), (char)bytes};
        struct envelope envelope = plain(payload, 2);
        check_round_trip(*state, &envelope);
    }
}

#define with_buffers(test) \
    cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_buffers(a_text_is_kept_as_text),
        with_buffers(other_bytes_are_kept_as_base64),
        with_buffers(a_zero_byte_is_kept_as_base64),
        with_buffers(an_empty_payload_comes_back_empty),
        with_buffers(the_message_is_made_valid_and_cut),
        with_buffers(no_error_leaves_its_members_out),
        with_buffers(what_is_left_out_is_not_there),
        with_buffers(a_limit_and_a_later_failure_have_members),
        with_buffers(the_class_is_cut_to_two_hundred_characters),
        with_buffers(others_may_have_written_it_differently),
        with_buffers(a_record_beyond_the_limit_leaves_nothing),
        with_buffers(other_documents_are_refused),
        with_buffers(random_bytes_come_back_exactly),
        with_buffers(every_short_payload_comes_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
