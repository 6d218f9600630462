#include "master/queue/process_record.h"

#include <errno.h>
#include <string.h>

#include "coro/base/buf.h"
#include "coro/base/utf8.h"
#include "worker/scan.h"

#define SHARED_PREFIX     "queue:"
#define SHARED_PREFIX_LEN (sizeof SHARED_PREFIX - 1)

/* No character has more bytes. */
#define CHAR_BYTES 4

/* --- text ----------------------------------------------------------------- */

/* Writes a JSON string of at most @max_chars characters of @text. */
static void write_text(struct coro_buf *out, const char *text, size_t len,
                       size_t max_chars)
{
    struct coro_buf clean;
    coro_buf_init(&clean, CORO_BUF_NO_LIMIT);
    coro_utf8_append_scrubbed(&clean, text, len, max_chars);
    coro_buf_append_json_string(out, clean.data ? clean.data : "", clean.len);
    out->failed |= clean.failed;
    coro_buf_release(&clean);
}

/* The name of a queue: a part of its key. */
struct name {
    const char *at;
    size_t len;
};

static struct name name_of(const struct job_queue *queue)
{
    bool is_shared = queue->key_len > SHARED_PREFIX_LEN &&
                     memcmp(queue->key, SHARED_PREFIX, SHARED_PREFIX_LEN) == 0;
    size_t skip = is_shared ? SHARED_PREFIX_LEN : 0;
    return (struct name){queue->key + skip, queue->key_len - skip};
}

static void write_name(struct coro_buf *out, const struct job_queue *queue)
{
    struct name name = name_of(queue);
    write_text(out, name.at, name.len, SIZE_MAX);
}

/* Makes an append all or nothing. */
static int finish(struct coro_buf *out, size_t before, bool had_failed)
{
    if (out->failed) {
        coro_buf_truncate(out, before);
        return -ENOMEM;
    }
    out->failed = had_failed;
    return 0;
}

/* --- the process ---------------------------------------------------------- */

/* True when a queue before that at @index is shown by the same name. */
static bool is_repeated(const struct process_info *info, size_t index)
{
    struct name name = name_of(&info->queues[index]);
    for (size_t i = 0; i < index; i++) {
        struct name other = name_of(&info->queues[i]);
        if (other.len == name.len && memcmp(other.at, name.at, name.len) == 0)
            return true;
    }
    return false;
}

/* Writes the names, each once; with their weights as members of an object, or
 * without as elements of an array. */
static void write_queues(struct coro_buf *out, const struct process_info *info,
                         bool with_weights)
{
    coro_buf_append_char(out, with_weights ? '{' : '[');
    for (size_t i = 0; i < info->nqueues; i++) {
        if (is_repeated(info, i))
            continue;
        if (i > 0)
            coro_buf_append_char(out, ',');
        write_name(out, &info->queues[i]);
        if (!with_weights)
            continue;
        coro_buf_append_char(out, ':');
        coro_buf_append_u64(out, info->queues[i].weight);
    }
    coro_buf_append_char(out, with_weights ? '}' : ']');
}

/* How readers name the order in which the queues are asked. */
static const char *mode_of(const struct process_info *info)
{
    if (info->nqueues == 0 || info->queues[0].weight == 0)
        return "strict";
    for (size_t i = 0; i < info->nqueues; i++)
        if (info->queues[i].weight != 1)
            return "weighted";
    return "random";
}

/* Writes host and pid, as they are in the identity. */
static void write_place(struct coro_buf *out, const char *identity)
{
    size_t host_len = strcspn(identity, ":");
    const char *pid = identity + host_len + (identity[host_len] == ':');
    size_t pid_len = strspn(pid, "0123456789");
    coro_buf_append_string(out, "\"hostname\":");
    write_text(out, identity, host_len, SIZE_MAX);
    coro_buf_append_string(out, ",\"pid\":");
    coro_buf_append(out, pid_len ? pid : "0", pid_len ? pid_len : 1);
}

static void write_capsules(struct coro_buf *out,
                           const struct process_info *info)
{
    coro_buf_append_string(out, "{\"default\":{\"concurrency\":");
    coro_buf_append_u64(out, info->concurrency);
    coro_buf_append_string(out, ",\"mode\":\"");
    coro_buf_append_string(out, mode_of(info));
    coro_buf_append_string(out, "\",\"weights\":");
    write_queues(out, info, true);
    coro_buf_append_string(out, "}}");
}

int process_record_write_info(struct coro_buf *out,
                              const struct process_info *info)
{
    size_t before = out->len;
    bool had_failed = out->failed;
    out->failed = false;
    coro_buf_append_char(out, '{');
    write_place(out, info->identity);
    coro_buf_append_string(out, ",\"started_at\":");
    coro_buf_append_fixed(out, info->started_at_us, 6);
    coro_buf_append_string(out, ",\"tag\":\"\",\"concurrency\":");
    coro_buf_append_u64(out, info->concurrency);
    coro_buf_append_string(out, ",\"queues\":");
    write_queues(out, info, false);
    coro_buf_append_string(out, ",\"weights\":[");
    write_queues(out, info, true);
    coro_buf_append_string(out, "],\"capsules\":");
    write_capsules(out, info);
    coro_buf_append_string(out, ",\"labels\":[],\"identity\":");
    write_text(out, info->identity, strlen(info->identity), SIZE_MAX);
    coro_buf_append_string(out, ",\"version\":\"corq " CORQ_VERSION
                                "\",\"embedded\":false}");
    return finish(out, before, had_failed);
}

/* --- a job ---------------------------------------------------------------- */

/* Writes the beginning of a payload. A zero byte, which many readers of JSON
 * choke on, is shown as one that is no text. */
static void write_beginning(struct coro_buf *out, const struct job *job)
{
    char text[PROCESS_RECORD_SHOWN_CHARS * CHAR_BYTES];
    size_t len =
        job->payload_len < sizeof text ? job->payload_len : sizeof text;
    for (size_t i = 0; i < len; i++)
        text[i] = job->payload[i] ? job->payload[i] : '\xff';
    write_text(out, text, len, PROCESS_RECORD_SHOWN_CHARS);
}

/* Writes what stands for a payload that is not shown itself. */
static void write_description(struct coro_buf *out, const struct job *job,
                              const char *class)
{
    coro_buf_append_string(out, "{\"class\":\"");
    coro_buf_append_string(out, class);
    coro_buf_append_string(out, "\",\"args\":[");
    write_beginning(out, job);
    coro_buf_append_string(out, "],\"jid\":\"");
    coro_buf_append_u64(out, job->number);
    coro_buf_append_string(out, "\",\"queue\":");
    write_name(out, job->queue);
    coro_buf_append_char(out, '}');
}

static void write_payload(struct coro_buf *out, const struct job *job,
                          bool may_be_whole)
{
    struct scan_result found;
    if (may_be_whole && scan_job(job->payload, job->payload_len, &found) == 0) {
        coro_buf_append_json_string(out, job->payload, job->payload_len);
        return;
    }
    struct coro_buf text;
    coro_buf_init(&text, CORO_BUF_NO_LIMIT);
    write_description(&text, job, may_be_whole ? "(raw)" : "(cut)");
    if (!text.failed)
        coro_buf_append_json_string(out, text.data, text.len);
    out->failed |= text.failed;
    coro_buf_release(&text);
}

int process_record_write_job(struct coro_buf *out, const struct job *job,
                             bool may_be_whole)
{
    size_t before = out->len;
    bool had_failed = out->failed;
    out->failed = false;
    coro_buf_append_string(out, "{\"queue\":");
    write_name(out, job->queue);
    coro_buf_append_string(out, ",\"payload\":");
    write_payload(out, job, may_be_whole);
    coro_buf_append_string(out, ",\"run_at\":");
    coro_buf_append_i64(out, job->taken_at_us / 1000000);
    coro_buf_append_char(out, '}');
    return finish(out, before, had_failed);
}
