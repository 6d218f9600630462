#include "tests/support/scale.h"

#include <stdlib.h>
#include <string.h>

#include "coro/core/sanitize.h"

static bool variable_is(const char *name, const char *value)
{
    const char *found = getenv(name);
    return found && strcmp(found, value) == 0;
}

bool test_is_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded &&
           (strstr(preloaded, "vgpreload") || strstr(preloaded, "valgrind"));
}

static bool is_reduced(void)
{
#ifdef CORO_TSAN
    return true;
#else
    const char *wrapper = getenv("WRAPPER");
    return (wrapper && *wrapper) || test_is_under_valgrind() ||
           variable_is("CORQ_TEST_SCALE", "reduced");
#endif
}

size_t test_scale(size_t full, size_t reduced)
{
    return is_reduced() ? reduced : full;
}

bool test_scale_is_full(void)
{
    return !is_reduced() && variable_is("CORQ_TEST_SCALE", "full");
}
