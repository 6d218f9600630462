/*
 * What a dead set keeps, as the words that the scripts which add to one want:
 * see scripts/dead.lua.
 */
#ifndef MASTER_QUEUE_DEAD_LIMITS_H
#define MASTER_QUEUE_DEAD_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "master/queue/score.h"

/* How many entries it keeps, and for how long; and how long each is kept
 * however many there are. */
#define DEAD_MOST    "10000"
#define DEAD_DAYS    180
#define DEAD_GRACE_S 3600

struct dead_limits {
    char oldest[SCORE_BYTES]; /* what is older goes */
    char newest[SCORE_BYTES]; /* what is newer stays beyond DEAD_MOST */
};

/**
 * Sets the limits at the wall time @now_us. What other programs trim as well
 * has their rule: by number alone. Context: any.
 */
static inline void dead_limits_set(struct dead_limits *limits, int64_t now_us,
                                   bool is_shared)
{
    score_format(limits->oldest, now_us - (int64_t)DEAD_DAYS * 86400 * 1000000);
    if (is_shared)
        strcpy(limits->newest, "+inf");
    else
        score_format(limits->newest, now_us - (int64_t)DEAD_GRACE_S * 1000000);
}

#endif
