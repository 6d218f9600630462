/*
 * The kinds of handlers there are; one file each. A new kind is declared here
 * and added to the table in handler.c.
 */
#ifndef WORKER_HANDLERS_HANDLERS_H
#define WORKER_HANDLERS_HANDLERS_H

#include "worker/handler.h"

extern const struct handler_kind handler_fail;
extern const struct handler_kind handler_noop;
extern const struct handler_kind handler_sleep;

#endif
