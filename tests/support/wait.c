#include "tests/support/wait.h"

#include <poll.h>
#include <stddef.h>

#include "coro/base/clock.h"

bool wait_until(bool (*condition)(void *argument), void *argument,
                int64_t timeout_ms)
{
    int64_t deadline_ms = coro_after(timeout_ms);
    while (!condition(argument)) {
        if (coro_now_ms() >= deadline_ms)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

static bool never(void *argument)
{
    (void)argument;
    return false;
}

void wait_out(int64_t ms)
{
    wait_until(never, NULL, ms);
}
