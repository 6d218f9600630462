#include "coro/core/context.h"

const char *coro_context_name(void)
{
    return CORO_CONTEXT_NAME;
}
