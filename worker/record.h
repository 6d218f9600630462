/*
 * Jobs as they are remembered: in the sets of those to be retried, those to be
 * run later, and the dead.
 *
 *     queue ──taken──▶ payload ──record_write_failure──▶ retry, dead
 *       ▲                                                    │
 *       └──────────────── record_write_due ◀── due ──────────┘
 *                               ▲
 *     record_write_scheduled ───┘ (or, by any program, a described job)
 *
 * A described job is remembered as its own bytes with a few members changed,
 * in the way that other programs of the format read and write; a raw one in an
 * envelope (envelope.h). However often a job goes round, what corq does not
 * own in it, and a raw job's payload, stay the same byte for byte.
 *
 * Context of every function: any thread, does not suspend.
 */
#ifndef WORKER_RECORD_H
#define WORKER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coro_buf;

enum record_kind {
    RECORD_RAW,
    RECORD_DESCRIBED,
    RECORD_ENVELOPE,
};

/* `retry` is absent, true or of a kind that means nothing. */
#define RECORD_RETRY_DEFAULT (-1)

/* `retry` is false: not retried, and not kept among the dead either. */
#define RECORD_RETRY_NEVER (-2)

/* What a payload says of itself. */
struct record {
    enum record_kind kind;
    int64_t retry;        /* how often at most, or one of the two above */
    int64_t retry_count;  /* of failures so far, the first one being 0; -1:
                             never failed, or does not say it as a number */
    int64_t failed_at_us; /* of the first failure; -1 unknown */
    int64_t retry_for_s;  /* how long after that; -1 for any time */
    bool keep_dead;       /* `dead` is not false */
    bool has_jid;         /* a string, not empty */
};

/**
 * Reads a payload as it came from a queue or from a set. What is no object is
 * raw and says nothing of itself; and so is an envelope that envelope_read()
 * refuses. A `retry` below 0 is read as 0.
 */
void record_read(const char *payload, size_t len, struct record *ret);

/**
 * True for the key of a queue that is shared with other programs: "queue:" and
 * a name, which is text, as it stands in the job. Described jobs of such a
 * queue are remembered where those programs look for them.
 */
bool record_is_shared_key(const char *key, size_t len);

/** True for such a job, taken from the queue @key. */
bool record_is_shared(const struct record *record, const char *key, size_t len);

/* An id for a job that has none: hex digits, and a zero byte. */
#define RECORD_JID_BYTES 25

/** Makes a new one. Returns 0 or a negative errno. */
int record_make_jid(char jid[RECORD_JID_BYTES]);

/* A failure to be remembered. Everything is borrowed for the call. */
struct record_failure {
    const char *key; /* of the queue that the job was taken from */
    size_t key_len;
    const char *jid;     /* 24 hex digits, used where it has none */
    int64_t retry;       /* put into a raw job's envelope; -1 for none */
    int64_t retry_count; /* the new one: 0 on the first failure; -1 leaves
                            what the payload says as it is */
    int64_t now_us;
    const char *error_class;   /* any bytes; cut to ENVELOPE_MAX_CLASS and */
    const char *error_message; /* ENVELOPE_MAX_MESSAGE characters */
};

/**
 * Appends to @out what is to be remembered of a job that failed.
 *
 * - Of a raw one: an envelope.
 * - Of an envelope: the same with retry_count, the time and the error set.
 * - Of a described job: its own bytes, with these set: `jid`, where it has
 *   none; error_class, error_message; retry_count; `failed_at` on the first
 *   failure, `retried_at` on later ones. When @key begins with "queue:", also
 *   `queue`: to the member `retry_queue`, otherwise to the rest of @key; then
 *   `corq` is removed. When it does not, or the rest is no text: `corq`, an
 *   object with the key.
 *
 * Returns 0 or -ENOMEM, also when @out has no room; @out is then as it was.
 */
int record_write_failure(const char *payload, size_t len,
                         const struct record_failure *failure,
                         struct coro_buf *out);

/**
 * Of a member of a set whose time has come: appends to @key the key of the
 * queue that it goes to, and to @out the payload to push there.
 *
 * - A described job: to the key in `corq`, unchanged; without one to "queue:"
 *   and its member `queue`, or "default". In a key that begins with "queue:"
 *   its `enqueued_at` is set to @now_us.
 * - An envelope: to its key; unchanged when it has a retry_count or a `retry`,
 *   for the worker to open; otherwise its payload alone.
 *
 * Returns 0, or
 *   -EINVAL    a raw payload: nobody knows where it is to go;
 *   -ENOMEM    or -EMSGSIZE: a buffer could not take it.
 *   After a failure both buffers hold what they held before.
 */
int record_write_due(const char *bytes, size_t len, int64_t now_us,
                     struct coro_buf *key, struct coro_buf *out);

/**
 * Appends to @out an envelope of a raw payload that did not fail yet: it is to
 * be run later, or is to be retried in a way of its own.
 *
 * @retry  how often at most; -1 to leave it out.
 *
 * Returns 0 or -ENOMEM, also when @out has no room; @out is then as it was.
 */
int record_write_scheduled(const char *payload, size_t len, const char *key,
                           size_t key_len, const char *jid, int64_t retry,
                           struct coro_buf *out);

#endif
