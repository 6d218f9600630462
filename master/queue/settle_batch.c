#include "master/queue/settle_batch.h"

#include "worker/log.h"
#include "worker/record.h"

void settle_add_dead_limits(struct settle_batch *batch, int64_t now_us,
                            bool is_shared)
{
    dead_limits_set(&batch->limits, now_us, is_shared);
    settle_add_string(batch, batch->limits.oldest);
    settle_add_string(batch, DEAD_MOST);
    settle_add_string(batch, batch->limits.newest);
}

int settle_write_record(struct coro_buf *record, const struct job *job,
                        int64_t retry_count, int64_t now_us)
{
    char jid[RECORD_JID_BYTES];
    int status = record_make_jid(jid);
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
