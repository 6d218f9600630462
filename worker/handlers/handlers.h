/*
 * The kinds of handlers there are; one file each. A new kind is declared here
 * and added to the table in handler.c.
 */
#ifndef WORKER_HANDLERS_HANDLERS_H
#define WORKER_HANDLERS_HANDLERS_H

#include "worker/handler.h"

extern const struct handler_kind handler_fail;
extern const struct handler_kind handler_fault;
extern const struct handler_kind handler_noop;
extern const struct handler_kind handler_sleep;

/**
 * The subject of @call, without the quotes of a described job's string, and in
 * @ret_len its length; NULL when there is none.
 */
static inline const char *handler_text(const struct handler_call *call,
                                       size_t *ret_len)
{
    const char *text = call->subject;
    size_t len = call->subject_len;
    bool is_string = text && len >= 2 && text[0] == '"' && text[len - 1] == '"';
    *ret_len = is_string ? len - 2 : len;
    return is_string ? text + 1 : text;
}

#endif
