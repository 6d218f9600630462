/*
 * What the master and worker threads say to each other.
 *
 * Messages go through two submit queues, one in each direction; whoever took a
 * message owns it. A job goes down as MESSAGE_JOB and the same job comes back
 * up as MESSAGE_OUTCOME, always, sooner or later.
 *
 *     master ── job, cancel all, dump, stop ──▶ worker
 *     master ◀── outcome, fewer, stopped ────── worker
 */
#ifndef WORKER_MESSAGE_H
#define WORKER_MESSAGE_H

#include "coro/sched/submit.h"

enum message_kind {
    MESSAGE_JOB,        /* down: run this; in a struct job */
    MESSAGE_CANCEL_ALL, /* down: cancel every job that runs */
    MESSAGE_DUMP,       /* down: log what every coroutine does */
    MESSAGE_STOP,       /* down: end the thread */
    MESSAGE_OUTCOME,    /* up: what became of it; in a struct job */
    MESSAGE_FEWER,      /* up: fewer coroutines than asked for; in the pool */
    MESSAGE_STOPPED,    /* up: the thread is about to end; in the runner */
};

struct message {
    struct coro_submit_node node;
    enum message_kind kind;
};

#endif
