/*
 * "Did you mean ...?": the known word that a mistyped one resembles most.
 */
#ifndef CORO_BASE_NEAREST_H
#define CORO_BASE_NEAREST_H

#include <stddef.h>

/**
 * The one of the @nwords texts in @words that is fewest steps from @word,
 * where a step inserts, drops or replaces a letter or swaps two neighbours,
 * and case does not count. The first of several equally near ones wins.
 *
 * Returns one of @words, or NULL when none is near: a third of the letters
 * may be wrong, and at least one.
 *
 * Context: any thread.
 */
const char *coro_nearest(const char *word, const char *const *words,
                         size_t nwords);

#endif
