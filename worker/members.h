/*
 * Walks the top-level members of a JSON object, strictly and in one pass,
 * without allocating and without recursion. scan.h says what strict means.
 *
 *     struct members members;
 *     struct member member;
 *     if (!members_begin(&members, bytes, len))
 *         return; (no object)
 *     while ((status = members_next(&members, &member)) == 1)
 *         if (member_is_named(&member, "class"))
 *             …
 *     if (status < 0)
 *         forget it all: the text turned out to be no JSON
 *
 * Context: any thread, does not suspend.
 */
#ifndef WORKER_MEMBERS_H
#define WORKER_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/scan.h"

/*
 * How far the walk has come. The whole text is known to be valid UTF-8. One
 * bit for each open container says whether that is an object.
 */
struct members {
    const char *at;
    const char *end;
    bool is_first;
    unsigned depth;
    uint64_t is_object[SCAN_MAX_DEPTH / 64];
};

struct member {
    /* From behind the brace or comma before it up to the one after it: with
     * the white space on both sides. */
    struct scan_range whole;
    struct scan_range key; /* as it was written, with its quotes */
    struct scan_range value;
};

/**
 * Begins a walk of the object at @bytes, which are borrowed until its end.
 *
 * Returns false when they are no JSON object. That they are one is only known
 * when members_next() has returned 0.
 */
bool members_begin(struct members *members, const char *bytes, size_t len);

/**
 * The next member.
 *
 * Returns 1; 0 after the last one, and then `at` is behind the closing brace,
 * with nothing but white space to follow; or -1 when the text is no JSON. Not
 * to be called again after the last two.
 */
int members_next(struct members *members, struct member *ret);

/** Whether the key of @member, its escapes resolved, is the text @name. */
bool member_is_named(const struct member *member, const char *name);

/** The first element of a range that was found to be an array; `at` is NULL
 *  where there is none, or where @range is no array. */
struct scan_range members_first_element(struct scan_range range);

#endif
