/*
 * What is undone when a task or a generator ends, however it ends: by
 * returning, by an error, cancelled, or dropped by coro_loop_free().
 *
 *     char *line = malloc(len);
 *     if (!line)
 *         return -ENOMEM;
 *     int status = coro_defer(free, line);
 *     if (status < 0)
 *         return status;
 *
 * and memory that needs no freeing at all:
 *
 *     char *path = coro_format("%s/%d", directory, number);
 *
 * Both belong to the innermost generator that runs, else to the task. What was
 * deferred last is called first; memory is freed after everything that was
 * deferred while it was there has been called. A task that uses none of this
 * pays nothing for it.
 *
 * A task that serves one request after another gives each its own scope:
 *
 *     struct coro_scope scope;
 *     coro_scope_begin(&scope);
 *     serve(request);
 *     coro_scope_end(&scope);
 */
#ifndef CORO_SCHED_DEFER_H
#define CORO_SCHED_DEFER_H

#include <stdbool.h>
#include <stddef.h>

struct coro_defer_block;
struct coro_deferred;

/* Where a scope began. Storage is the caller's. */
struct coro_scope {
    struct coro_defer_block **owner;
    struct coro_defer_block *block;
    struct coro_deferred *newest;
    size_t used_bytes;
};

/**
 * Has @function(@argument) called at the end of the scope, task or generator.
 * It must not suspend or yield.
 *
 * Returns 0, or -ENOMEM; @function has been called already then, so that
 * nothing is left to be undone. Context: inside a task or a generator; does not
 * suspend.
 */
int coro_defer(void (*function)(void *argument), void *argument)
    __attribute__((warn_unused_result, nonnull(1)));

/**
 * Takes back what was last deferred as @function(@argument), because something
 * else is to undo it. Returns false when there is no such thing; what lies
 * outside of the present scope counts. Context: as coro_defer().
 */
bool coro_undefer(void (*function)(void *argument), void *argument);

/**
 * Memory of @nbytes for any type, not initialised; NULL: there is none.
 * Ownership: freed with the scope, task or generator, and not by the caller.
 * Context: as coro_defer().
 */
void *coro_alloc(size_t nbytes);

/** A copy of @string, as coro_alloc(). */
char *coro_strdup(const char *string);

/** A copy of the @len bytes at @text with a zero byte behind, as coro_alloc().
 */
char *coro_strndup(const char *text, size_t len);

/**
 * Formats as printf() does, into memory as by coro_alloc(). The work is done on
 * the loop's stack, so it needs no more of the task's than any call.
 */
char *coro_format(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/** Begins a scope of the running task or generator. Context: inside one. */
void coro_scope_begin(struct coro_scope *scope);

/**
 * Ends @scope, the one begun last: calls what was deferred since and frees
 * what was allocated since. Context: in the task or generator that began it.
 */
void coro_scope_end(struct coro_scope *scope);

#endif
