/*
 * What a backslash begins in a JSON string.
 *
 * Context: any thread, does not suspend.
 */
#ifndef WORKER_JSON_ESCAPE_H
#define WORKER_JSON_ESCAPE_H

#include <stdint.h>

/**
 * Reads the escape whose backslash has been read: from *@at on, and never up
 * to @end or beyond it. *@at is moved behind what was read.
 *
 * Returns the character that it stands for (a surrogate pair is one), or -1
 * when it is no escape; half a pair is none.
 */
int32_t json_take_escape(const char **at, const char *end);

#endif
