/*
 * Scores of the sorted sets: seconds since 1970, as text.
 */
#ifndef MASTER_QUEUE_SCORE_H
#define MASTER_QUEUE_SCORE_H

#include <stdint.h>
#include <stdio.h>

#define SCORE_BYTES 32

/** Writes the score for the wall time @us, not before 1970. Returns @score. */
static inline const char *score_format(char score[SCORE_BYTES], int64_t us)
{
    snprintf(score, SCORE_BYTES, "%lld.%06d", (long long)(us / 1000000),
             (int)(us % 1000000));
    return score;
}

#endif
