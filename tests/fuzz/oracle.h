/*
 * What Jansson says of some bytes, and where it is known to differ from us:
 *
 * - It can't read numbers that an int64_t or a double can't hold. It is then
 *   asked about the same text with every number made a 0 of the same length.
 * - It allows objects that are nested four times as deep.
 * - It overlooks a zero byte in some places; there is none in valid JSON.
 *
 * In everything else both have to agree.
 */
#ifndef TESTS_FUZZ_ORACLE_H
#define TESTS_FUZZ_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "worker/scan.h"

struct oracle {
    const char *bytes;
    size_t len;
    char *text;   /* what Jansson was asked: the same, maybe without numbers */
    json_t *root; /* NULL: not an object */
};

/* The checks that make up codec_check(). They borrow what they get, and @seed
 * decides what is left open. */
const char *check_scan(const struct oracle *oracle);
const char *check_splice(const struct oracle *oracle, uint64_t seed);
const char *check_record(const struct oracle *oracle, uint64_t seed);

/** Asks about @bytes, which stay borrowed. oracle_release(). */
void oracle_init(struct oracle *oracle, const char *bytes, size_t len);

void oracle_release(struct oracle *oracle);

/** How deep containers are nested in @oracle's bytes, if those are JSON. */
size_t oracle_depth(const struct oracle *oracle);

/** Whether @range of @oracle's bytes is what Jansson took for @value; both may
 *  be absent. */
bool oracle_agrees(const struct oracle *oracle, struct scan_range range,
                   const json_t *value);

#endif
