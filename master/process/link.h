/*
 * What a supervisor and a child say to each other, over a socket between them.
 *
 *     supervisor ── stop, hurry, quiet, dump, recover ──▶ child
 *     supervisor ◀── ready, recovered ───────────────── child
 *
 * When one of the two is gone the other one sees the end of it.
 */
#ifndef MASTER_PROCESS_LINK_H
#define MASTER_PROCESS_LINK_H

#include <stdint.h>

enum link_kind {
    LINK_STOP = 1,  /* down: take no more, end; again does no harm */
    LINK_HURRY,     /* down: do not wait for jobs any longer */
    LINK_QUIET,     /* down: take no more */
    LINK_DUMP,      /* down: log what every coroutine does */
    LINK_RECOVER,   /* down: @place's jobs, of a child that is dead of @cause */
    LINK_READY,     /* up: it takes jobs */
    LINK_RECOVERED, /* up: @place was seen to, with @status */
};

/* Of what a child has died. */
enum link_cause {
    LINK_CAUSE_CRASH,    /* what its vitals tell */
    LINK_CAUSE_KILLED,   /* a signal from outside, or nobody knows what */
    LINK_CAUSE_INNOCENT, /* nothing that has to do with jobs */
};

struct link_message {
    uint32_t kind;  /* enum link_kind */
    uint32_t place; /* in the shared memory */
    uint32_t cause; /* enum link_cause */
    int32_t
        status;  /* up: 0, or a negative errno; down: the signal, if KILLED */
    int32_t pid; /* whose @place it was: it may be another's by now */
};

/** Makes both ends. Returns 0 or a negative errno. */
int link_open(int ends[2]);

/**
 * Sends @message. Returns 0, -EPIPE when the other one is gone, -EAGAIN when it
 * does not listen. Context: any; does not suspend or block.
 */
int link_send(int fd, const struct link_message *message);

/**
 * Waits for a message. Returns 1, 0 when the other one is gone, or -ECANCELED
 * or another negative errno. Context: coroutine on the loop thread. Suspends; a
 * cancellation point.
 */
int link_receive(int fd, struct link_message *ret_message);

#endif
