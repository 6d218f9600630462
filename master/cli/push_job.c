#include "master/cli/push_job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coro/base/utf8.h"
#include "master/queue/score.h"
#include "worker/envelope.h"
#include "worker/record.h"
#include "worker/splice.h"

#define SHARED       "queue:"
#define SHARED_LEN   6
#define SCHEDULE     "schedule"
#define OUR_SCHEDULE "corq:schedule"

/* --- a job made of its class and arguments -------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether the value @found of the object {"args":…} is an array and all there
 * is: before its beginning and behind its end could be more members. */
static bool is_whole_array(const struct coro_buf *object, size_t head_len,
                           struct scan_range found)
{
    if (!found.at || *found.at != '[')
        return false;
    const char *begin = object->data + head_len;
    const char *end = object->data + object->len - 1;
    while (is_blank(*begin))
        begin++;
    while (is_blank(end[-1]))
        end--;
    return found.at == begin && found.at + found.len == end;
}

/* Returns 0, -EINVAL or -ENOMEM. */
static int check_args(const char *args)
{
    static const char head[] = "{\"args\":";
    struct coro_buf object;
    coro_buf_init(&object, CORO_BUF_NO_LIMIT);
    coro_buf_append_string(&object, head);
    coro_buf_append_string(&object, args);
    coro_buf_append_char(&object, '}');
    int status = -ENOMEM;
    if (!object.failed) {
        struct scan_wanted found = {.name = "args"};
        scan_find(object.data, object.len, &found, 1);
        bool is = is_whole_array(&object, strlen(head), found.value);
        status = is ? 0 : -EINVAL;
    }
    coro_buf_release(&object);
    return status;
}

int push_job_describe(const char *class_name, const char *args,
                      struct coro_buf *out)
{
    size_t len = strlen(class_name);
    if (!coro_utf8_is_valid(class_name, len))
        return -EILSEQ;
    int status = check_args(args);
    if (status < 0)
        return status;
    struct coro_buf job;
    coro_buf_init(&job, CORO_BUF_NO_LIMIT);
    coro_buf_append_string(&job, "{\"class\":");
    coro_buf_append_json_string(&job, class_name, len);
    coro_buf_append_string(&job, ",\"args\":");
    coro_buf_append_string(&job, args);
    coro_buf_append_char(&job, '}');
    status = job.failed ? -ENOMEM : coro_buf_append(out, job.data, job.len);
    coro_buf_release(&job);
    return status;
}

/* --- members -------------------------------------------------------------- */

/* The members that decide what is added. */
enum { JID, QUEUE, RETRY, CREATED_AT, ENQUEUED_AT, NFOUND };

/* A described job that is being completed. */
struct draft {
    const struct push_request *request;
    struct scan_wanted found[NFOUND];
    struct splice_member members[SPLICE_MAX_MEMBERS];
    size_t nmembers;

    /* Values of members. */
    char jid[RECORD_JID_BYTES + 2];
    char retry[24];
    char now[SCORE_BYTES];
    struct coro_buf queue;
    struct coro_buf corq;
};

/* Sets the member @name to @value; NULL removes it. */
static void set_member(struct draft *draft, const char *name, const char *value)
{
    draft->members[draft->nmembers++] = (struct splice_member){
        .name = name,
        .value = value,
        .value_len = value ? strlen(value) : 0,
    };
}

static bool is_text(struct scan_range range)
{
    return range.at && range.at[0] == '"' && range.len > 2;
}

static bool is_later(const struct push_request *request)
{
    return request->due_us > request->now_us;
}

static bool is_shared(const char *key)
{
    return record_is_shared_key(key, strlen(key));
}

static int draft_init(struct draft *draft, const struct push_request *request)
{
    static const char *const names[NFOUND] = {
        [JID] = "jid",
        [QUEUE] = "queue",
        [RETRY] = "retry",
        [CREATED_AT] = "created_at",
        [ENQUEUED_AT] = "enqueued_at",
    };
    *draft = (struct draft){.request = request};
    for (size_t i = 0; i < NFOUND; i++)
        draft->found[i].name = names[i];
    scan_find(request->payload, request->payload_len, draft->found, NFOUND);
    coro_buf_init(&draft->queue, CORO_BUF_NO_LIMIT);
    coro_buf_init(&draft->corq, CORO_BUF_NO_LIMIT);
    score_format(draft->now, request->now_us);
    snprintf(draft->retry, sizeof draft->retry, "%lld",
             (long long)request->retry);
    char hex[RECORD_JID_BYTES];
    int status = record_make_jid(hex);
    if (status == 0)
        snprintf(draft->jid, sizeof draft->jid, "\"%s\"", hex);
    return status;
}

static void draft_release(struct draft *draft)
{
    coro_buf_release(&draft->queue);
    coro_buf_release(&draft->corq);
}

static void add_jid(struct draft *draft)
{
    if (!is_text(draft->found[JID].value))
        set_member(draft, "jid", draft->jid);
}

/* What a client of the format does. While the job waits, its queue's name is
 * all that says where it goes. */
static void complete_shared(struct draft *draft)
{
    const char *name = draft->request->key + SHARED_LEN;
    bool later = is_later(draft->request);
    add_jid(draft);
    if (later || !is_text(draft->found[QUEUE].value)) {
        coro_buf_append_json_string(&draft->queue, name, strlen(name));
        set_member(draft, "queue", draft->queue.data);
    }
    if (draft->request->retry >= 0)
        set_member(draft, "retry", draft->retry);
    else if (!draft->found[RETRY].value.at)
        set_member(draft, "retry", "true");
    if (!draft->found[CREATED_AT].value.at)
        set_member(draft, "created_at", draft->now);
    if (later) {
        set_member(draft, "enqueued_at", NULL);
        set_member(draft, "at", NULL);
        set_member(draft, "corq", NULL);
    } else if (!draft->found[ENQUEUED_AT].value.at) {
        set_member(draft, "enqueued_at", draft->now);
    }
}

static void complete_own(struct draft *draft)
{
    const char *key = draft->request->key;
    bool later = is_later(draft->request);
    if (later || draft->request->needs_jid)
        add_jid(draft);
    if (draft->request->retry >= 0)
        set_member(draft, "retry", draft->retry);
    if (!later)
        return;
    coro_buf_append_char(&draft->corq, '{');
    envelope_append_bytes(&draft->corq, "key", key, strlen(key));
    coro_buf_append_char(&draft->corq, '}');
    set_member(draft, "corq", draft->corq.data);
}

/* --- the job -------------------------------------------------------------- */

static int write_described(struct draft *draft, struct push_job *job)
{
    const struct push_request *request = draft->request;
    if (is_shared(request->key))
        complete_shared(draft);
    else
        complete_own(draft);
    if (draft->queue.failed || draft->corq.failed)
        return -ENOMEM;
    int status = splice(request->payload, request->payload_len, draft->members,
                        draft->nmembers, &job->bytes);
    if (status < 0)
        return status;
    struct scan_wanted jid = {.name = "jid"};
    scan_find(job->bytes.data, job->bytes.len, &jid, 1);
    if (!is_text(jid.value))
        return 0;
    return coro_buf_append(&job->jid, jid.value.at + 1, jid.value.len - 2);
}

static int make_described(const struct push_request *request,
                          struct push_job *job)
{
    bool shared = is_shared(request->key);
    if (is_later(request))
        job->set = shared ? SCHEDULE : OUR_SCHEDULE;
    else if (shared)
        job->name = request->key + SHARED_LEN;
    struct draft draft;
    int status = draft_init(&draft, request);
    if (status == 0)
        status = write_described(&draft, job);
    draft_release(&draft);
    return status;
}

static int make_raw(const struct push_request *request, struct push_job *job)
{
    if (is_later(request))
        job->set = OUR_SCHEDULE;
    else if (request->retry < 0)
        return coro_buf_append(&job->bytes, request->payload,
                               request->payload_len);
    char jid[RECORD_JID_BYTES];
    int status = record_make_jid(jid);
    if (status == 0)
        status = coro_buf_append_string(&job->jid, jid);
    if (status < 0)
        return status;
    return record_write_scheduled(request->payload, request->payload_len,
                                  request->key, strlen(request->key), jid,
                                  request->retry, &job->bytes);
}

int push_job_make(const struct push_request *request, struct push_job *ret_job)
{
    *ret_job = (struct push_job){.set = NULL};
    coro_buf_init(&ret_job->bytes, CORO_BUF_NO_LIMIT);
    coro_buf_init(&ret_job->jid, CORO_BUF_NO_LIMIT);
    struct scan_result described;
    bool is_raw = scan_job(request->payload, request->payload_len,
                           &described) != SCAN_DESCRIBED;
    return is_raw ? make_raw(request, ret_job)
                  : make_described(request, ret_job);
}

void push_job_release(struct push_job *job)
{
    coro_buf_release(&job->bytes);
    coro_buf_release(&job->jid);
}
