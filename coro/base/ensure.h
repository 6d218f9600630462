/*
 * ensure(): the assertion that stays in release builds.
 *
 * It is for programmer errors only (a broken invariant, a call from the wrong
 * place); whatever the outside world can cause is returned as an error. A
 * failed ensure() prints one line to standard error and aborts.
 */
#ifndef CORO_BASE_ENSURE_H
#define CORO_BASE_ENSURE_H

/** Reports and aborts; see ensure(). Context: any thread. */
_Noreturn void coro_ensure_failed(const char *condition, const char *file,
                                  int line, const char *function);

#define ensure(condition)                                                 \
    do {                                                                  \
        if (__builtin_expect(!(condition), 0))                            \
            coro_ensure_failed(#condition, __FILE__, __LINE__, __func__); \
    } while (0)

#endif
