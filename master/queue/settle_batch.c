#include "master/queue/settle_batch.h"

#include "coro/base/random.h"
#include "worker/log.h"
#include "worker/record.h"

#define JID_BYTES 12

void settle_add_dead_limits(struct settle_batch *batch, int64_t now_us,
                            int64_t grace_s)
{
    static const char most[] = "10000";
    _Static_assert(SETTLE_DEAD_MOST == 10000, "said twice");
    score_format(batch->oldest,
                 now_us - (int64_t)SETTLE_DEAD_DAYS * 86400 * 1000000);
    score_format(batch->newest, now_us - grace_s * 1000000);
    settle_add_string(batch, batch->oldest);
    settle_add_string(batch, most);
    settle_add_string(batch, grace_s < 0 ? "+inf" : batch->newest);
}

int settle_write_record(struct coro_buf *record, const struct job *job,
                        int64_t retry_count, int64_t now_us)
{
    char jid[2 * JID_BYTES + 1];
    int status = coro_random_hex(jid, JID_BYTES);
    if (status < 0)
        return status;
    coro_buf_init(record, CORO_BUF_NO_LIMIT);
    bool is_interrupted = job->outcome == JOB_OUTCOME_INTERRUPTED;
    return record_write_failure(
        job->payload, job->payload_len,
        &(struct record_failure){
            .key = job->queue->key,
            .key_len = job->queue->key_len,
            .jid = jid,
            .retry = -1,
            .retry_count = retry_count,
            .now_us = now_us,
            .error_class = job->error_class ? job->error_class
                           : is_interrupted ? "Interrupted"
                                            : "Failed",
            .error_message = job->error_message ? job->error_message : "",
        },
        record);
}

void settle_tell_removed(const char *set, int64_t nremoved)
{
    if (nremoved > 0)
        log_line(LOG_LEVEL_WARN, NULL, NULL, 0,
                 "%s is full: its %lld oldest entries were removed", set,
                 (long long)nremoved);
}
