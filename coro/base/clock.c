#include "coro/base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t coro_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t coro_now_ms(void)
{
    return coro_now_ns() / 1000000;
}

int64_t coro_after(int64_t delay_ms)
{
    int64_t now_ms = (coro_now_ns() + 999999) / 1000000;
    if (delay_ms <= 0)
        return now_ms;
    if (delay_ms >= CORO_NEVER - now_ms)
        return CORO_NEVER;
    return now_ms + delay_ms;
}

int64_t coro_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}
