#include <string.h>

#include "coro/base/buf.h"
#include "master/config.h"
#include "master/process/supervisor_internal.h"
#include "worker/log.h"
#include "worker/scan.h"

#define CLASS_BYTES 128

#define NFIELDS 6

/* What a crash's lines are made of. Its texts were written by a process that
 * was dying: nothing in them is taken for granted. */
struct story {
    const struct vitals_crash *crash;
    size_t payload_len; /* of what is there */
    char class[CLASS_BYTES];
    char queue[CLASS_BYTES];
    char task[VITALS_TASK_BYTES];
    char calls[VITALS_CALLS_BYTES];
};

static void copy_text(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
    to[bytes - 1] = '\0';
}

/* Where the job stands among those that ran tells its queue. */
static void find_queue(struct story *story, const struct supervisor *supervisor,
                       const struct vitals *vitals)
{
    const struct options_queues *queues = &supervisor->options->queues;
    struct config_writer writer = {story->queue, sizeof story->queue};
    for (size_t i = 0; i < supervisor->options->concurrency; i++) {
        const struct vitals_mark *mark = &vitals->marks[i];
        if (atomic_load(&mark->number) != story->crash->job)
            continue;
        uint32_t at = atomic_load(&mark->queue);
        if (at < queues->count)
            config_put_masked(&writer, queues->items[at].key);
        return;
    }
}

/* Of a job that is known as a whole. */
static void find_class(struct story *story)
{
    struct scan_result found;
    struct coro_buf class;
    if (story->crash->payload_len > story->payload_len ||
        scan_job(story->crash->payload, story->payload_len, &found) !=
            SCAN_DESCRIBED)
        return;
    coro_buf_init(&class, sizeof story->class - 1);
    if (scan_string_decode(found.class, &class) == 0)
        memcpy(story->class, class.data, class.len);
    coro_buf_release(&class);
}

uint64_t child_job(const struct child *child)
{
    return child_vitals(child)->crash.job;
}

static void fill(struct story *story, const struct child *child,
                 const struct vitals *vitals)
{
    const struct vitals_crash *crash = &vitals->crash;
    *story = (struct story){
        .crash = crash,
        .payload_len = crash->payload_len < VITALS_PAYLOAD_BYTES
                           ? (size_t)crash->payload_len
                           : VITALS_PAYLOAD_BYTES,
    };
    copy_text(story->task, crash->task, sizeof story->task);
    copy_text(story->calls, crash->calls, sizeof story->calls);
    if (crash->job == 0)
        return;
    find_queue(story, child->supervisor, vitals);
    find_class(story);
}

void child_tell_crash(const struct child *child, const char *what)
{
    struct story story;
    fill(&story, child, child_vitals(child));
    const struct vitals_crash *crash = story.crash;
    struct log_field fields[NFIELDS];
    size_t n = 0;
    if (crash->job != 0) {
        fields[n++] = log_string("queue", story.queue);
        fields[n++] = log_int("job", (int64_t)crash->job);
        if (story.class[0])
            fields[n++] = log_string("class", story.class);
        fields[n++] = log_bytes("payload", crash->payload, story.payload_len);
    }
    if (crash->is_thread || story.task[0])
        fields[n++] =
            log_string("task", crash->is_thread ? "a thread" : story.task);
    fields[n++] = log_string("calls", story.calls);
    log_line(LOG_LEVEL_ERROR, "supervisor", fields, n,
             "child %zu (%ld) has %s%s: %s", child->number, (long)child->pid,
             crash->cause == VITALS_CAUSE_SIGNAL ? "crashed" : "ended itself",
             crash->job != 0 ? " in a job" : "", what);
}
