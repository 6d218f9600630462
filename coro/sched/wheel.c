#include "coro/sched/wheel.h"

#include <string.h>

#include "coro/base/clock.h"

#define SLOT_BITS 8
#define SLOT_MASK (CORO_WHEEL_SLOTS - 1)
#define NWORDS    (CORO_WHEEL_SLOTS / 64)
#define RANGE_MS  ((int64_t)1 << (SLOT_BITS * CORO_WHEEL_LEVELS))

void coro_wheel_init(struct coro_wheel *wheel, int64_t now_ms)
{
    memset(wheel->occupied, 0, sizeof wheel->occupied);
    wheel->now_ms = now_ms;
    for (int level = 0; level < CORO_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < CORO_WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
}

/* Which level a timer belongs to that is due in @delay_ms, at least 1. */
static int level_of(int64_t delay_ms)
{
    int highest_bit = 63 - __builtin_clzll((unsigned long long)delay_ms);
    return highest_bit / SLOT_BITS;
}

static void place(struct coro_wheel *wheel, struct coro_timer *timer)
{
    int64_t due_ms = timer->deadline_ms;
    if (due_ms <= wheel->now_ms)
        due_ms = wheel->now_ms + 1;
    if (due_ms - wheel->now_ms >= RANGE_MS)
        due_ms = wheel->now_ms + RANGE_MS - 1;
    int level = level_of(due_ms - wheel->now_ms);
    unsigned slot = (unsigned)(due_ms >> (SLOT_BITS * level)) & SLOT_MASK;
    list_append(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level][slot / 64] |= (uint64_t)1 << (slot % 64);
}

void coro_wheel_add(struct coro_wheel *wheel, struct coro_timer *timer,
                    int64_t deadline_ms)
{
    if (deadline_ms == CORO_NEVER)
        return;
    timer->deadline_ms = deadline_ms;
    place(wheel, timer);
}

/* How many slots after @slot, 1 to 256, the next occupied one is; 0 for none.
 * A slot whose timers were all stopped is found out here, and marked free. */
static unsigned distance_to_next(struct coro_wheel *wheel, int level,
                                 unsigned slot)
{
    uint64_t *words = wheel->occupied[level];
    for (unsigned distance = 1; distance <= CORO_WHEEL_SLOTS;) {
        unsigned at = (slot + distance) & SLOT_MASK;
        uint64_t rest = words[at / 64] >> (at % 64);
        if (rest == 0) {
            distance += 64 - at % 64;
            continue;
        }
        unsigned skip = (unsigned)__builtin_ctzll(rest);
        at += skip;
        distance += skip;
        if (distance > CORO_WHEEL_SLOTS)
            break;
        if (!list_is_empty(&wheel->slots[level][at]))
            return distance;
        words[at / 64] &= ~((uint64_t)1 << (at % 64));
    }
    return 0;
}

int64_t coro_wheel_next_ms(struct coro_wheel *wheel)
{
    int64_t next_ms = CORO_NEVER;
    for (int level = 0; level < CORO_WHEEL_LEVELS; level++) {
        int shift = SLOT_BITS * level;
        int64_t block = wheel->now_ms >> shift;
        unsigned slot = (unsigned)block & SLOT_MASK;
        unsigned distance = distance_to_next(wheel, level, slot);
        if (distance == 0)
            continue;
        int64_t at_ms = (block + distance) << shift;
        if (at_ms < next_ms)
            next_ms = at_ms;
    }
    return next_ms;
}

/* Empties a slot into @taken. */
static void take_slot(struct coro_wheel *wheel, int level, unsigned slot,
                      struct list *taken)
{
    list_init(taken);
    list_move_all(taken, &wheel->slots[level][slot]);
    wheel->occupied[level][slot / 64] &= ~((uint64_t)1 << (slot % 64));
}

static void fire_or_place(struct coro_wheel *wheel, struct list *taken)
{
    struct list *link;
    while ((link = list_take_first(taken))) {
        struct coro_timer *timer = list_entry(link, struct coro_timer, link);
        if (timer->deadline_ms <= wheel->now_ms)
            timer->fire(timer);
        else
            place(wheel, timer);
    }
}

/* The wheel has just come to now_ms: slots that begin there move down, from the
 * highest level on, and what is due fires. */
static void arrive(struct coro_wheel *wheel)
{
    struct list taken;
    for (int level = CORO_WHEEL_LEVELS - 1; level >= 0; level--) {
        int shift = SLOT_BITS * level;
        if (wheel->now_ms & (((int64_t)1 << shift) - 1))
            continue;
        take_slot(wheel, level, (unsigned)(wheel->now_ms >> shift) & SLOT_MASK,
                  &taken);
        fire_or_place(wheel, &taken);
    }
}

void coro_wheel_advance(struct coro_wheel *wheel, int64_t now_ms)
{
    while (wheel->now_ms < now_ms) {
        int64_t next_ms = coro_wheel_next_ms(wheel);
        if (next_ms > now_ms) {
            wheel->now_ms = now_ms;
            return;
        }
        wheel->now_ms = next_ms;
        arrive(wheel);
    }
}
