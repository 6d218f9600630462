#include "coro/sched/defer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coro/base/ensure.h"
#include "coro/sched/flow.h"
#include "coro/sched/task.h"

/* Blocks grow from the first figure to the second; what does not fit into one
 * gets one of its own. Both with the allocator's own header in mind. */
#define BLOCK_BYTES_FIRST 496
#define BLOCK_BYTES_MOST  8176

#define ALIGNMENT _Alignof(max_align_t)

/* Lies in a block, like all other memory of its flow. */
struct coro_deferred {
    struct coro_deferred *older;
    void (*function)(void *argument);
    void *argument;
};

struct coro_defer_block {
    struct coro_defer_block *older;
    struct coro_deferred *newest; /* of this block and all older ones */
    size_t used_bytes;
    size_t size_bytes;
    max_align_t bytes[];
};

static struct coro_defer_block **flow_place(void)
{
    struct coro_defer_block **place = coro_flow_deferred();
    ensure(place && "only a task or a generator can defer and allocate");
    return place;
}

/* --- memory -------------------------------------------------------------- */

static struct coro_defer_block *add_block(struct coro_defer_block **place,
                                          size_t nbytes)
{
    struct coro_defer_block *older = *place;
    size_t size = BLOCK_BYTES_FIRST - sizeof(struct coro_defer_block);
    if (older)
        size = 2 * older->size_bytes;
    if (size > BLOCK_BYTES_MOST - sizeof(struct coro_defer_block))
        size = BLOCK_BYTES_MOST - sizeof(struct coro_defer_block);
    if (size < nbytes)
        size = nbytes;
    struct coro_defer_block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->older = older;
    block->newest = older ? older->newest : NULL;
    block->used_bytes = 0;
    block->size_bytes = size;
    *place = block;
    return block;
}

static void *take(struct coro_defer_block **place, size_t nbytes)
{
    if (nbytes > SIZE_MAX / 2)
        return NULL;
    nbytes = (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct coro_defer_block *block = *place;
    if (!block || block->size_bytes - block->used_bytes < nbytes)
        block = add_block(place, nbytes);
    if (!block)
        return NULL;
    char *memory = (char *)block->bytes + block->used_bytes;
    block->used_bytes += nbytes;
    return memory;
}

void *coro_alloc(size_t nbytes)
{
    return take(flow_place(), nbytes);
}

char *coro_strndup(const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? coro_alloc(len + 1) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *coro_strdup(const char *string)
{
    return coro_strndup(string, strlen(string));
}

struct format_errand {
    struct coro_defer_block **place;
    const char *format;
    va_list *args;
    char *text;
};

static void format_text(void *argument)
{
    struct format_errand *errand = argument;
    va_list args;
    va_copy(args, *errand->args);
    int len = vsnprintf(NULL, 0, errand->format, args);
    va_end(args);
    if (len < 0)
        return;
    errand->text = take(errand->place, (size_t)len + 1);
    if (errand->text)
        vsnprintf(errand->text, (size_t)len + 1, errand->format, *errand->args);
}

char *coro_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct format_errand errand = {
        .place = flow_place(), .format = format, .args = &args};
    coro_call_on_loop_stack(format_text, &errand);
    va_end(args);
    return errand.text;
}

/* --- deferring ----------------------------------------------------------- */

int coro_defer(void (*function)(void *argument), void *argument)
{
    struct coro_defer_block **place = flow_place();
    struct coro_deferred *deferred = take(place, sizeof *deferred);
    if (!deferred) {
        function(argument);
        return -ENOMEM;
    }
    *deferred = (struct coro_deferred){(*place)->newest, function, argument};
    (*place)->newest = deferred;
    return 0;
}

bool coro_undefer(void (*function)(void *argument), void *argument)
{
    struct coro_defer_block *block = *flow_place();
    struct coro_deferred *deferred = block ? block->newest : NULL;
    while (deferred &&
           (deferred->function != function || deferred->argument != argument))
        deferred = deferred->older;
    if (!deferred)
        return false;
    deferred->function = NULL;
    return true;
}

/* Calls what was deferred after @last. What is called may defer more. */
static void call_down_to(struct coro_defer_block **place,
                         const struct coro_deferred *last)
{
    struct coro_deferred *deferred;
    while ((deferred = (*place)->newest) != last) {
        (*place)->newest = deferred->older;
        if (deferred->function)
            deferred->function(deferred->argument);
    }
}

static void free_down_to(struct coro_defer_block **place,
                         const struct coro_defer_block *last)
{
    while (*place != last) {
        struct coro_defer_block *block = *place;
        *place = block->older;
        free(block);
    }
}

void coro_defer_run_all(struct coro_defer_block **place)
{
    if (!*place)
        return;
    call_down_to(place, NULL);
    free_down_to(place, NULL);
}

/* --- scopes -------------------------------------------------------------- */

void coro_scope_begin(struct coro_scope *scope)
{
    struct coro_defer_block **owner = flow_place();
    struct coro_defer_block *block = *owner;
    *scope = (struct coro_scope){
        .owner = owner,
        .block = block,
        .newest = block ? block->newest : NULL,
        .used_bytes = block ? block->used_bytes : 0,
    };
}

void coro_scope_end(struct coro_scope *scope)
{
    ensure(scope->owner == flow_place() &&
           "a scope ends in the task or generator in which it began");
    if (!*scope->owner)
        return;
    call_down_to(scope->owner, scope->newest);
    free_down_to(scope->owner, scope->block);
    if (!scope->block)
        return;
    scope->block->newest = scope->newest;
    scope->block->used_bytes = scope->used_bytes;
}
