/*
 * A batch: the jobs and the words of one command that settles them. Filled by a
 * mode (settle_once.c, settle_least.c), sent by settle_send.c. Internal to these.
 */
#ifndef MASTER_QUEUE_SETTLE_BATCH_H
#define MASTER_QUEUE_SETTLE_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "coro/base/buf.h"
#include "master/queue/answer.h"
#include "master/queue/dead_limits.h"
#include "master/queue/owner.h"
#include "master/queue/score.h"
#include "master/queue/script.h"
#include "master/queue/settle.h"

/* One command settles at most so many jobs, and about so many bytes. */
#define SETTLE_BATCH_MOST       1000
#define SETTLE_BATCH_MOST_BYTES ((size_t)4 << 20)

/* Words before the jobs', and of each job. */
#define SETTLE_HEAD_WORDS 12
#define SETTLE_JOB_WORDS  4

/* Which list the jobs of a batch came from. */
enum settle_list { SETTLE_LIST_DONE, SETTLE_LIST_BACK, SETTLE_LIST_FAILED };

struct settle_batch {
    enum settle_list list;
    enum settle_target target;
    struct list jobs; /* out of the list that they waited in */
    size_t njobs;
    size_t nbytes;
    const struct script *script; /* NULL: an ordinary command */
    size_t nkeys;
    int argc;
    const char *argv[SETTLE_HEAD_WORDS + SETTLE_JOB_WORDS * SETTLE_BATCH_MOST];
    size_t lens[SETTLE_HEAD_WORDS + SETTLE_JOB_WORDS * SETTLE_BATCH_MOST];
    /* What words point to. */
    char attempts[SETTLE_BATCH_MOST][OWNER_ATTEMPT_BYTES];
    char scores[SETTLE_BATCH_MOST][SCORE_BYTES];
    struct coro_buf records[SETTLE_BATCH_MOST];
    size_t nrecords;
    struct dead_limits limits;
    char mark[200];
    struct job *sorted[SETTLE_BATCH_MOST];
    struct retry_decision decisions[SETTLE_BATCH_MOST];
};

/* What a mode does for the tasks that settle. */
struct settle_mode {
    bool tells_done; /* a job that is done is to be settled */
    bool keeps_jobs; /* what is not settled is still in Redis */

    /**
     * Moves jobs of @lane, which has some, into its batch, which is empty, and
     * words the command. Returns 0, -ENOMEM when it could take none, or
     * -EAGAIN when what they go to could not be written to of late.
     */
    int (*gather)(struct settle_lane *lane);

    /** Looks at an answer that is no error. */
    void (*note)(struct settle_lane *lane,
                 const struct coro_redis_reply *reply);
};

/**
 * Sends the batch of @lane until it is answered: ANSWER_OK, ANSWER_QUEUE when
 * its target can't be written to, anything else when we are told to end.
 * Suspends; a cancellation point.
 */
enum answer settle_send(struct settle_lane *lane);

/** Leaves @target alone for a while, and tells why. */
void settle_note_refusal(struct settle *settle, enum settle_target target);

/** Waits until a target may be tried again. 0 or -ECANCELED. Suspends. */
int settle_wait_for_targets(struct settle_lane *lane);

static inline struct job *settle_job_of(struct list *link)
{
    return list_entry(link, struct job, in_flight);
}

static inline void settle_add_word(struct settle_batch *batch, const char *word,
                                   size_t len)
{
    batch->argv[batch->argc] = word;
    batch->lens[batch->argc++] = len;
}

static inline void settle_add_string(struct settle_batch *batch,
                                     const char *word)
{
    settle_add_word(batch, word, SIZE_MAX);
}

static inline void settle_use_script(struct settle_batch *batch,
                                     const struct script *script, size_t nkeys)
{
    batch->script = script;
    batch->nkeys = nkeys;
    batch->argc = SCRIPT_WORDS;
}

static inline bool settle_has_room(const struct settle_batch *batch,
                                   const struct job *job)
{
    return batch->njobs < SETTLE_BATCH_MOST &&
           (batch->njobs == 0 ||
            batch->nbytes + job->payload_len <= SETTLE_BATCH_MOST_BYTES);
}

/* Takes @job out of its list. */
static inline void settle_take_into(struct settle_batch *batch, struct job *job)
{
    list_remove(&job->in_flight);
    list_append(&batch->jobs, &job->in_flight);
    batch->njobs++;
    batch->nbytes += job->payload_len;
}

/** The limits of a dead set as words: oldest, how many, newest. */
void settle_add_dead_limits(struct settle_batch *batch, int64_t now_us,
                            bool is_shared);

/** A record for @job, made anew in @record. Returns 0 or a negative errno. */
int settle_write_record(struct coro_buf *record, const struct job *job,
                        int64_t retry_count, int64_t now_us);

/** The dead set was full: says so, when @nremoved had to go. */
void settle_tell_removed(const char *set, int64_t nremoved);

#endif
