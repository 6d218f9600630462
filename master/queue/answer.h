/*
 * What an answer of Redis means for whoever asked: go on, try again, connect
 * anew, or leave one queue alone for a while.
 *
 * Source of the list: Redis' own error texts, and what the connection is worth
 * after each (tried against 5.0 to 7.2).
 */
#ifndef MASTER_QUEUE_ANSWER_H
#define MASTER_QUEUE_ANSWER_H

#include "coro/io/redis.h"

enum answer {
    ANSWER_OK,
    ANSWER_AGAIN,     /* nothing is wrong: ask again at once */
    ANSWER_LATER,     /* the server can't just now: ask again after a wait */
    ANSWER_QUEUE,     /* only this key can't be used */
    ANSWER_RECONNECT, /* another server may do, or another log-in */
    ANSWER_UNKNOWN,   /* the command, or a part of it, is not known there */
};

/** Sorts a reply. Context: any. */
enum answer answer_of(const struct coro_redis_reply *reply);

#endif
