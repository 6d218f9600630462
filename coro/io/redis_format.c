/*
 * Wording a command as the server reads it. hiredis can do that, too, but it
 * appends piece by piece to a string of its own, which for a command of hundreds
 * of short words costs more than all else that sending it does.
 */
#include <stdlib.h>
#include <string.h>

#include "coro/io/redis_internal.h"

/* "$", the digits of a length, and two ends of line. */
#define WORD_MORE_BYTES (1 + 20 + 2 + 2)

static size_t len_of(const struct coro_redis_command *command, int i)
{
    bool is_string = !command->lens || command->lens[i] == SIZE_MAX;
    return is_string ? strlen(command->argv[i]) : command->lens[i];
}

static char *put_end(char *to)
{
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* @mark, @number, and the end of the line. */
static char *put_number(char *to, char mark, size_t number)
{
    char digits[20];
    size_t ndigits = 0;
    do
        digits[ndigits++] = (char)('0' + number % 10);
    while (number /= 10);
    *to++ = mark;
    while (ndigits > 0)
        *to++ = digits[--ndigits];
    return put_end(to);
}

char *coro_redis_format(const struct coro_redis_command *command,
                        size_t *ret_len)
{
    size_t room = WORD_MORE_BYTES;
    for (int i = 0; i < command->argc; i++)
        room += WORD_MORE_BYTES + len_of(command, i);
    char *formatted = malloc(room);
    if (!formatted)
        return NULL;
    char *end = put_number(formatted, '*', (size_t)command->argc);
    for (int i = 0; i < command->argc; i++) {
        size_t len = len_of(command, i);
        end = put_number(end, '$', len);
        memcpy(end, command->argv[i], len);
        end = put_end(end + len);
    }
    *ret_len = (size_t)(end - formatted);
    return formatted;
}
