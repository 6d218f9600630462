#include <string.h>

#include "coro/base/base64.h"
#include "coro/base/buf.h"
#include "coro/base/ensure.h"
#include "tests/fuzz/oracle.h"
#include "tests/fuzz/others.h"
#include "worker/envelope.h"
#include "worker/handler.h"
#include "worker/record.h"

#define JID  "0123456789abcdef01234567"
#define NOW  INT64_C(1725490519123450)
#define SOME "some bytes that are \xff no text"

/* --- what a handler gets -------------------------------------------------- */

struct given {
    enum job_outcome outcome;
    struct coro_buf subject;
};

static struct given *given_now;

static enum job_outcome take(const struct handler_call *call)
{
    if (call->subject)
        coro_buf_append(&given_now->subject, call->subject, call->subject_len);
    return JOB_OUTCOME_DONE;
}

static const struct handler_kind taker = {.name = "taker", .run = take};

/* Binds the class of a described job, if it is one that can be bound. */
static void bind_class(struct registry *registry, const char *bytes, size_t len)
{
    struct scan_result job;
    if (scan_job(bytes, len, &job) != SCAN_DESCRIBED)
        return;
    struct coro_buf name;
    coro_buf_init(&name, CORO_BUF_NO_LIMIT);
    ensure(scan_string_decode(job.class, &name) == 0);
    if (strlen(name.data) == name.len)
        ensure(registry_bind_kind(registry, name.data, &taker) == 0);
    coro_buf_release(&name);
}

/* Runs @bytes as the payload of a job. */
static void give(const struct registry *registry, const char *bytes, size_t len,
                 struct given *ret)
{
    static const struct job_queue queue = {.key = "k", .key_len = 1};
    struct job *job = job_new(&queue, 1, bytes, len);
    ensure(job);
    coro_buf_init(&ret->subject, CORO_BUF_NO_LIMIT);
    given_now = ret;
    ret->outcome = registry_run(registry, job);
    job_free(job);
}

static bool is_same(const struct coro_buf *a, const struct coro_buf *b)
{
    return a->len == b->len &&
           (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Whether the handler gets the same from both payloads. */
static bool is_given_the_same(const char *before, size_t before_len,
                              const struct coro_buf *after)
{
    struct registry *registry = registry_new();
    ensure(registry);
    bind_class(registry, before, before_len);
    ensure(registry_bind_kind(registry, NULL, &taker) == 0);
    struct given a, b;
    give(registry, before, before_len, &a);
    give(registry, after->data, after->len, &b);
    bool same = a.outcome == b.outcome && is_same(&a.subject, &b.subject);
    coro_buf_release(&a.subject);
    coro_buf_release(&b.subject);
    registry_free(registry);
    return same;
}

/* --- a failure and what is due -------------------------------------------- */

static const struct {
    const char *key;
    size_t len;
} keys[] = {{"queue:low", 9},      {"queue:\xff", 7}, {"queue:", 6},
            {"jobs", 4},           {"a\0b\xc3", 4},   {"", 0},
            {"queue:h\xc3\xa9", 9}};

#define NKEYS (sizeof keys / sizeof *keys)

static const char *check_remembered(const struct coro_buf *out,
                                    enum record_kind kind, int64_t count)
{
    struct oracle oracle;
    oracle_init(&oracle, out->data, out->len);
    const json_t *class = json_object_get(oracle.root, "error_class");
    bool is_right = json_is_string(class) &&
                    !strcmp(json_string_value(class), "E\xef\xbf\xbd");
    oracle_release(&oracle);
    struct record record;
    record_read(out->data, out->len, &record);
    if (!is_right || record.retry_count != count || !record.has_jid)
        return "what is remembered lacks a member";
    if (record.kind != (kind == RECORD_RAW ? RECORD_ENVELOPE : kind))
        return "what is remembered is of another kind";
    return NULL;
}

static bool are_others_same(const struct oracle *oracle,
                            const struct coro_buf *out)
{
    static const char *const names[] = {
        "jid",       "queue",      "corq",        "retry_count",
        "failed_at", "retried_at", "error_class", "error_message"};
    return others_are_same(oracle->bytes, oracle->len, out->data, out->len,
                           names, sizeof names / sizeof *names);
}

/* Lets a job fail three times; the last record is in @out. */
static const char *fail_thrice(const struct oracle *oracle,
                               enum record_kind kind, size_t key,
                               struct coro_buf *out)
{
    struct record_failure failure = {.key = keys[key].key,
                                     .key_len = keys[key].len,
                                     .jid = JID,
                                     .retry = -1,
                                     .now_us = NOW,
                                     .error_class = "E\xff",
                                     .error_message = SOME};
    struct coro_buf last;
    coro_buf_init(&last, CORO_BUF_NO_LIMIT);
    coro_buf_append(&last, oracle->bytes, oracle->len);
    const char *wrong = NULL;
    for (; failure.retry_count < 3 && !wrong; failure.retry_count++) {
        coro_buf_clear(out);
        ensure(record_write_failure(last.data, last.len, &failure, out) == 0);
        wrong = check_remembered(out, kind, failure.retry_count);
        coro_buf_clear(&last);
        coro_buf_append(&last, out->data, out->len);
    }
    if (!wrong && kind != RECORD_RAW && !are_others_same(oracle, out))
        wrong = "a failure touched another member";
    coro_buf_release(&last);
    return wrong;
}

/* The key that @oracle's job is to come back to, from the queue @key. */
static void expect_key(const struct oracle *oracle, enum record_kind kind,
                       size_t key, struct coro_buf *out)
{
    struct scan_wanted found[] = {{.name = "retry_queue"}, {.name = "corq"}};
    scan_find(oracle->bytes, oracle->len, found, 2);
    struct scan_range other = found[0].value;
    bool is_shared = keys[key].len >= 6 && !memcmp(keys[key].key, "queue:", 6);
    if (kind == RECORD_ENVELOPE) {
        ensure(envelope_read_key(found[1].value, out) == 0);
    } else if (kind == RECORD_DESCRIBED && is_shared && other.at &&
               other.at[0] == '"' && other.len > 2) {
        coro_buf_append_string(out, "queue:");
        ensure(scan_string_decode(other, out) == 0);
    } else {
        coro_buf_append(out, keys[key].key, keys[key].len);
    }
}

static const char *check_due(const struct oracle *oracle, enum record_kind kind,
                             size_t key, const struct coro_buf *record)
{
    struct coro_buf expected, found, payload;
    coro_buf_init(&expected, CORO_BUF_NO_LIMIT);
    coro_buf_init(&found, CORO_BUF_NO_LIMIT);
    coro_buf_init(&payload, CORO_BUF_NO_LIMIT);
    expect_key(oracle, kind, key, &expected);
    const char *wrong = NULL;
    if (record_write_due(record->data, record->len, NOW, &found, &payload) != 0)
        wrong = "what was remembered never comes back";
    else if (!is_same(&expected, &found))
        wrong = "what was remembered goes to another queue";
    else if (!is_given_the_same(oracle->bytes, oracle->len, &payload))
        wrong = "a handler gets something else at the second try";
    coro_buf_release(&expected);
    coro_buf_release(&found);
    coro_buf_release(&payload);
    return wrong;
}

/* --- what is run later ---------------------------------------------------- */

static const char *check_scheduled(const struct oracle *oracle, size_t key)
{
    struct coro_buf record, found, payload;
    coro_buf_init(&record, CORO_BUF_NO_LIMIT);
    coro_buf_init(&found, CORO_BUF_NO_LIMIT);
    coro_buf_init(&payload, CORO_BUF_NO_LIMIT);
    ensure(record_write_scheduled(oracle->bytes, oracle->len, keys[key].key,
                                  keys[key].len, JID, -1, &record) == 0);
    bool is_right =
        record_write_due(record.data, record.len, NOW, &found, &payload) == 0 &&
        found.len == keys[key].len &&
        memcmp(found.data, keys[key].key, found.len) == 0 &&
        payload.len == oracle->len &&
        (payload.len == 0 ||
         memcmp(payload.data, oracle->bytes, payload.len) == 0);
    coro_buf_release(&record);
    coro_buf_release(&found);
    coro_buf_release(&payload);
    return is_right ? NULL : "what was to wait comes back changed";
}

/* Whether exactly one of both members is there, and can be read. */
static bool has_bytes(const json_t *corq, const char *name, const char *name64)
{
    const json_t *text = json_object_get(corq, name);
    const json_t *coded = json_object_get(corq, name64);
    if (!coded)
        return json_is_string(text);
    if (text || !json_is_string(coded))
        return false;
    struct coro_buf bytes;
    coro_buf_init(&bytes, CORO_BUF_NO_LIMIT);
    int status = coro_base64_decode(&bytes, json_string_value(coded),
                                    json_string_length(coded));
    coro_buf_release(&bytes);
    return status == 0;
}

static const char *check_kind(const struct oracle *oracle,
                              enum record_kind kind)
{
    const json_t *corq = json_object_get(oracle->root, "corq");
    enum record_kind expected = RECORD_RAW;
    if (scan_find(oracle->bytes, oracle->len, NULL, 0) != 0)
        expected = RECORD_RAW;
    else if (json_is_string(json_object_get(oracle->root, "class")))
        expected = RECORD_DESCRIBED;
    else if (has_bytes(corq, "key", "key64") &&
             has_bytes(corq, "payload", "payload64"))
        expected = RECORD_ENVELOPE;
    return kind == expected ? NULL : "the record is of another kind";
}

const char *check_record(const struct oracle *oracle, uint64_t seed)
{
    size_t key = (size_t)(seed % NKEYS);
    struct record record;
    record_read(oracle->bytes, oracle->len, &record);
    const char *wrong = check_kind(oracle, record.kind);
    if (wrong)
        return wrong;
    struct coro_buf out;
    coro_buf_init(&out, CORO_BUF_NO_LIMIT);
    wrong = fail_thrice(oracle, record.kind, key, &out);
    if (!wrong)
        wrong = check_due(oracle, record.kind, key, &out);
    coro_buf_release(&out);
    return wrong ? wrong : check_scheduled(oracle, key);
}
