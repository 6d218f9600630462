#include "tests/support/oom.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More allocations than any scenario makes: a sweep ends. */
#define SWEEP_MOST 100000

/* The linker sends our code's calls of malloc() to __wrap_malloc(), and calls
 * of __real_malloc() to malloc(), with --wrap=malloc. In other programs those
 * names are not there, so they are weak here. */
void *__real_malloc(size_t size) __attribute__((weak));
void *__real_calloc(size_t nitems, size_t size) __attribute__((weak));
void *__real_realloc(void *memory, size_t size) __attribute__((weak));
void *__real_aligned_alloc(size_t alignment, size_t size) __attribute__((weak));
char *__real_strdup(const char *string) __attribute__((weak));
char *__real_strndup(const char *string, size_t len) __attribute__((weak));
void *__real_reallocarray(void *memory, size_t nitems, size_t size)
    __attribute__((weak));
int __real_vasprintf(char **ret, const char *format, va_list arguments)
    __attribute__((weak));
int __real___vasprintf_chk(char **ret, int flag, const char *format,
                           va_list arguments) __attribute__((weak));
void *__real_hi_malloc(size_t size) __attribute__((weak));
void *__real_hi_calloc(size_t nitems, size_t size) __attribute__((weak));
void __real_free(void *memory) __attribute__((weak));
void __real_freeReplyObject(void *reply) __attribute__((weak));

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nitems, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *string);
char *__wrap_strndup(const char *string, size_t len);
void *__wrap_reallocarray(void *memory, size_t nitems, size_t size);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments);
int __wrap___vasprintf_chk(char **ret, int flag, const char *format,
                           va_list arguments);
void *__wrap_hi_malloc(size_t size);
void *__wrap_hi_calloc(size_t nitems, size_t size);
void __wrap_free(void *memory);
void __wrap_freeReplyObject(void *reply);

static struct {
    bool is_on;
    enum oom_kind kind;
    size_t ndone;   /* allocations of this run */
    size_t fail_at; /* which of them fails, counted from 1 */
    bool has_failed;
    int64_t nheld; /* what the run allocated and did not free */
} oom;

static bool must_fail(void)
{
    if (!oom.is_on)
        return false;
    oom.ndone++;
    bool fails = oom.ndone == oom.fail_at ||
                 (oom.kind == OOM_REST && oom.ndone > oom.fail_at);
    oom.has_failed |= fails;
    return fails;
}

static void *note(void *memory)
{
    if (oom.is_on && memory)
        oom.nheld++;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t nitems, size_t size)
{
    return must_fail() ? NULL : note(__real_calloc(nitems, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (must_fail())
        return NULL;
    void *moved = __real_realloc(memory, size);
    if (!memory)
        note(moved);
    return moved;
}

void *__wrap_reallocarray(void *memory, size_t nitems, size_t size)
{
    if (must_fail())
        return NULL;
    void *moved = __real_reallocarray(memory, nitems, size);
    if (!memory)
        note(moved);
    return moved;
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
    if (must_fail())
        return -1;
    int len = __real_vasprintf(ret, format, arguments);
    if (len >= 0)
        note(*ret);
    return len;
}

/* What vasprintf() becomes where the C library is told to check. */
int __wrap___vasprintf_chk(char **ret, int flag, const char *format,
                           va_list arguments)
{
    if (must_fail())
        return -1;
    int len = __real___vasprintf_chk(ret, flag, format, arguments);
    if (len >= 0)
        note(*ret);
    return len;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : note(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *string)
{
    return must_fail() ? NULL : note(__real_strdup(string));
}

char *__wrap_strndup(const char *string, size_t len)
{
    return must_fail() ? NULL : note(__real_strndup(string, len));
}

/* hiredis 0.14 ends the process when it has no memory, so these don't fail; but
 * its adapter, which is compiled into our code, frees with free(). */
void *__wrap_hi_malloc(size_t size)
{
    return note(__real_hi_malloc(size));
}

void *__wrap_hi_calloc(size_t nitems, size_t size)
{
    return note(__real_hi_calloc(nitems, size));
}

void __wrap_free(void *memory)
{
    if (oom.is_on && memory)
        oom.nheld--;
    __real_free(memory);
}

/* The outermost part of a reply is ours, see coro_redis_reply_take(), and freed
 * inside of the library. */
void __wrap_freeReplyObject(void *reply)
{
    if (oom.is_on && reply)
        oom.nheld--;
    __real_freeReplyObject(reply);
}

static int run_once(int (*scenario)(void *argument), void *argument,
                    enum oom_kind kind, size_t fail_at)
{
    oom.kind = kind;
    oom.ndone = 0;
    oom.fail_at = fail_at;
    oom.has_failed = false;
    oom.nheld = 0;
    oom.is_on = true;
    int status = scenario(argument);
    oom.is_on = false;
    return status;
}

static void check(int status, size_t fail_at)
{
    bool is_right = status == 0 || (oom.has_failed && status == -ENOMEM);
    if (!is_right)
        print_error("allocation %zu failed: status %d\n", fail_at, status);
    if (oom.nheld != 0)
        print_error("allocation %zu failed: %lld left behind\n", fail_at,
                    (long long)oom.nheld);
    assert_true(is_right);
    assert_int_equal(oom.nheld, 0);
}

size_t oom_sweep(int (*scenario)(void *argument), void *argument,
                 enum oom_kind kind)
{
    size_t fail_at = 1;
    while (fail_at < SWEEP_MOST) {
        int status = run_once(scenario, argument, kind, fail_at);
        check(status, fail_at);
        if (!oom.has_failed)
            break;
        fail_at++;
    }
    assert_true(fail_at < SWEEP_MOST);
    /* A scenario that allocates nothing tries nothing. */
    assert_true(oom.ndone > 0);
    return oom.ndone;
}
