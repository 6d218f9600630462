#include "coro/base/nearest.h"

#include <string.h>

/* Longer words are not typed by hand, and so not mistyped. */
#define LETTERS_MAX 64

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Whether the last two of the first @i letters of @a and @j of @b are swapped
 * neighbours. */
static int is_swapped(const char *a, size_t i, const char *b, size_t j)
{
    return i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
           lower(a[i - 2]) == lower(b[j - 1]);
}

/*
 * The edit distance with swaps. Row i holds the distances between the first i
 * letters of @a and every beginning of @b; three rows are enough, for nothing
 * looks further back than a swap does.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LETTERS_MAX + 1];
    size_t na = strlen(a);
    size_t nb = strlen(b);
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t differs = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = smaller(above[j], row[j - 1]) + 1;
            row[j] = smaller(row[j], above[j - 1] + differs);
            if (is_swapped(a, i, b, j))
                row[j] = smaller(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *coro_nearest(const char *word, const char *const *words,
                         size_t nwords)
{
    size_t len = strlen(word);
    if (len < 2 || len > LETTERS_MAX)
        return NULL;
    size_t limit = len < 6 ? 1 : len / 3;
    const char *nearest = NULL;
    for (size_t i = 0; i < nwords; i++) {
        if (strlen(words[i]) > LETTERS_MAX)
            continue;
        size_t steps = distance(word, words[i]);
        if (steps > limit)
            continue;
        nearest = words[i];
        if (steps == 0)
            break;
        limit = steps - 1;
    }
    return nearest;
}
