#include "coro/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

void coro_ensure_failed(const char *condition, const char *file, int line,
                        const char *function)
{
    fprintf(stderr, "%s:%d: %s: broken invariant: %s\n", file, line, function,
            condition);
    abort();
}
