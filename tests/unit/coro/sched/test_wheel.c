#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/base/random.h"
#include "coro/sched/wheel.h"
#include "tests/support/scale.h"

#define DAY_MS  ((int64_t)24 * 3600 * 1000)
#define NTIMERS 300

/* A timer and what became of it. */
struct probe {
    struct coro_timer timer;
    struct coro_wheel *wheel;
    struct probe *victim;   /* to be stopped when this one fires */
    struct probe *follower; /* to be armed when this one fires … */
    int64_t follow_ms;      /* … for so long after it */
    int nfired;
    int64_t fired_at_ms;
    bool was_armed_when_fired;
};

static void on_fire(struct coro_timer *timer)
{
    struct probe *probe = list_entry(timer, struct probe, timer);
    probe->nfired++;
    probe->fired_at_ms = probe->wheel->now_ms;
    probe->was_armed_when_fired = coro_timer_is_armed(timer);
    if (probe->victim)
        coro_timer_stop(&probe->victim->timer);
    if (probe->follower)
        coro_wheel_add(probe->wheel, &probe->follower->timer,
                       probe->wheel->now_ms + probe->follow_ms);
}

static void probe_init(struct probe *probe, struct coro_wheel *wheel)
{
    *probe = (struct probe){.wheel = wheel};
    coro_timer_init(&probe->timer, on_fire);
}

static int set_up(void **state)
{
    struct coro_wheel *wheel = malloc(sizeof *wheel);
    if (!wheel)
        return -1;
    coro_wheel_init(wheel, 1000);
    *state = wheel;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* --- one timer ----------------------------------------------------------- */

/* Moves the wheel from stop to stop, as a loop does, up to @until_ms. */
static void advance_by_stops(struct coro_wheel *wheel, int64_t until_ms)
{
    while (wheel->now_ms < until_ms) {
        int64_t next_ms = coro_wheel_next_ms(wheel);
        coro_wheel_advance(wheel, next_ms < until_ms ? next_ms : until_ms);
    }
}

static void check_one(struct coro_wheel *wheel, int64_t start_ms,
                      int64_t delay_ms)
{
    struct probe probe;
    coro_wheel_init(wheel, start_ms);
    probe_init(&probe, wheel);
    coro_wheel_add(wheel, &probe.timer, start_ms + delay_ms);
    assert_true(coro_timer_is_armed(&probe.timer));
    assert_true(coro_wheel_next_ms(wheel) <= start_ms + delay_ms);
    advance_by_stops(wheel, start_ms + delay_ms - 1);
    assert_int_equal(probe.nfired, 0);
    coro_wheel_advance(wheel, start_ms + delay_ms);
    assert_int_equal(probe.nfired, 1);
    assert_true(probe.fired_at_ms == start_ms + delay_ms);
    assert_false(probe.was_armed_when_fired);
    assert_false(coro_timer_is_armed(&probe.timer));
    assert_true(coro_wheel_next_ms(wheel) == CORO_NEVER);
}

static void a_timer_of_each_level_fires_at_its_millisecond(void **state)
{
    const int64_t starts[] = {
        0, 1, 255, 256, 65535, 16777215, 16777216, 4294967295, 123456789012};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (int bits = 0; bits <= 34; bits++) {
            int64_t delay_ms = (int64_t)1 << bits;
            check_one(*state, starts[i], delay_ms);
            check_one(*state, starts[i], delay_ms + 1);
            if (delay_ms > 1)
                check_one(*state, starts[i], delay_ms - 1);
        }
}

static void a_deadline_beyond_the_range_of_the_wheel_is_kept(void **state)
{
    check_one(*state, 1000, 50 * DAY_MS);
    check_one(*state, 1000, 100 * DAY_MS);
    check_one(*state, 987654321, 1000 * DAY_MS);
}

static void a_deadline_that_never_comes_is_not_armed(void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe probe;
    probe_init(&probe, wheel);
    coro_wheel_add(wheel, &probe.timer, CORO_NEVER);
    assert_false(coro_timer_is_armed(&probe.timer));
    assert_true(coro_wheel_next_ms(wheel) == CORO_NEVER);
}

static void the_last_deadline_before_never_is_armed(void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe probe;
    probe_init(&probe, wheel);
    coro_wheel_add(wheel, &probe.timer, CORO_NEVER - 1);
    assert_true(coro_wheel_next_ms(wheel) < CORO_NEVER);
    coro_wheel_advance(wheel, 1000 + 200 * DAY_MS);
    assert_int_equal(probe.nfired, 0);
    assert_true(coro_timer_is_armed(&probe.timer));
}

static void a_deadline_that_has_passed_fires_at_the_next_tick(void **state)
{
    struct coro_wheel *wheel = *state;
    const int64_t past[] = {1000, 999, 0, -5, INT64_MIN};
    for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
        struct probe probe;
        probe_init(&probe, wheel);
        coro_wheel_add(wheel, &probe.timer, past[i]);
        assert_int_equal(probe.nfired, 0);
        assert_true(coro_wheel_next_ms(wheel) == wheel->now_ms + 1);
        coro_wheel_advance(wheel, wheel->now_ms + 1);
        assert_int_equal(probe.nfired, 1);
    }
}

/* --- stopping ------------------------------------------------------------ */

static void a_stopped_timer_does_not_fire(void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe probe;
    probe_init(&probe, wheel);
    coro_wheel_add(wheel, &probe.timer, 2000);
    coro_timer_stop(&probe.timer);
    assert_false(coro_timer_is_armed(&probe.timer));
    assert_true(coro_wheel_next_ms(wheel) == CORO_NEVER);
    coro_wheel_advance(wheel, 3000);
    assert_int_equal(probe.nfired, 0);
}

static void a_timer_that_is_not_armed_can_be_stopped(void **state)
{
    struct probe probe;
    probe_init(&probe, *state);
    coro_timer_stop(&probe.timer);
    coro_timer_stop(&probe.timer);
    assert_false(coro_timer_is_armed(&probe.timer));
}

static void a_timer_can_be_armed_anew_for_an_earlier_time(void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe probe;
    probe_init(&probe, wheel);
    coro_wheel_add(wheel, &probe.timer, 90000);
    coro_timer_stop(&probe.timer);
    coro_wheel_add(wheel, &probe.timer, 1005);
    coro_wheel_advance(wheel, 1005);
    assert_int_equal(probe.nfired, 1);
    coro_wheel_advance(wheel, 100000);
    assert_int_equal(probe.nfired, 1);
}

/* --- while firing -------------------------------------------------------- */

static void a_firing_timer_can_stop_another_of_the_same_millisecond(
    void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe first, second, third;
    probe_init(&first, wheel);
    probe_init(&second, wheel);
    probe_init(&third, wheel);
    first.victim = &second;
    coro_wheel_add(wheel, &first.timer, 1010);
    coro_wheel_add(wheel, &second.timer, 1010);
    coro_wheel_add(wheel, &third.timer, 1010);
    coro_wheel_advance(wheel, 2000);
    assert_int_equal(first.nfired, 1);
    assert_int_equal(second.nfired, 0);
    assert_int_equal(third.nfired, 1);
}

static void a_firing_timer_can_arm_itself_again(void **state)
{
    struct coro_wheel *wheel = *state;
    struct probe probe;
    probe_init(&probe, wheel);
    probe.follower = &probe;
    probe.follow_ms = 256;
    coro_wheel_add(wheel, &probe.timer, 1256);
    coro_wheel_advance(wheel, 1000 + 256 * 10 + 255);
    assert_int_equal(probe.nfired, 10);
    assert_true(probe.fired_at_ms == 1000 + 256 * 10);
    assert_true(coro_timer_is_armed(&probe.timer));
}

static void a_firing_timer_can_arm_another_that_is_due_in_the_same_jump(
    void **state)
{
    struct coro_wheel *wheel = *state;
    const int64_t delays[] = {-1, 0, 1, 255, 256, 65536};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct probe first, second;
        coro_wheel_init(wheel, 1000);
        probe_init(&first, wheel);
        probe_init(&second, wheel);
        first.follower = &second;
        first.follow_ms = delays[i];
        coro_wheel_add(wheel, &first.timer, 1024);
        coro_wheel_advance(wheel, 200000);
        assert_int_equal(second.nfired, 1);
        assert_true(second.fired_at_ms ==
                    1024 + (delays[i] < 1 ? 1 : delays[i]));
    }
}

/* --- against a model ----------------------------------------------------- */

struct model {
    struct coro_wheel *wheel;
    struct coro_rng rng;
    struct probe probes[NTIMERS];
    int nexpected[NTIMERS]; /* how often each should have fired */
};

static int64_t random_delay(struct coro_rng *rng)
{
    uint64_t bits = 1 + coro_rng_below(rng, 33);
    return 1 + (int64_t)coro_rng_below(rng, (uint64_t)1 << bits);
}

static int64_t first_due(const struct model *model)
{
    int64_t first_ms = CORO_NEVER;
    for (int i = 0; i < NTIMERS; i++) {
        const struct coro_timer *timer = &model->probes[i].timer;
        if (coro_timer_is_armed(timer) && timer->deadline_ms < first_ms)
            first_ms = timer->deadline_ms;
    }
    return first_ms;
}

static void model_advance(struct model *model)
{
    struct coro_wheel *wheel = model->wheel;
    int64_t now_ms = wheel->now_ms + random_delay(&model->rng);
    if (coro_rng_below(&model->rng, 2) == 0 &&
        coro_wheel_next_ms(wheel) != CORO_NEVER)
        now_ms = coro_wheel_next_ms(wheel);
    for (int i = 0; i < NTIMERS; i++) {
        struct coro_timer *timer = &model->probes[i].timer;
        if (coro_timer_is_armed(timer) && timer->deadline_ms <= now_ms)
            model->nexpected[i]++;
    }
    coro_wheel_advance(wheel, now_ms);
    assert_true(wheel->now_ms == now_ms);
}

static void model_check(const struct model *model)
{
    for (int i = 0; i < NTIMERS; i++) {
        const struct probe *probe = &model->probes[i];
        assert_int_equal(probe->nfired, model->nexpected[i]);
        if (probe->nfired > 0 && !coro_timer_is_armed(&probe->timer))
            assert_true(probe->fired_at_ms <= model->wheel->now_ms);
    }
    assert_true(coro_wheel_next_ms(model->wheel) <= first_due(model));
}

static void on_fire_of_model(struct coro_timer *timer)
{
    struct probe *probe = list_entry(timer, struct probe, timer);
    probe->nfired++;
    /* A wrong time of firing is counted as firing too often. */
    if (probe->wheel->now_ms != timer->deadline_ms)
        probe->nfired++;
}

static void random_timers_do_as_a_plain_model_says(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->wheel = *state;
    coro_rng_init(&model->rng, 20240607);
    for (int i = 0; i < NTIMERS; i++) {
        probe_init(&model->probes[i], model->wheel);
        model->probes[i].timer.fire = on_fire_of_model;
    }
    size_t nsteps = test_scale(20000, 2000);
    for (size_t step = 0; step < nsteps; step++) {
        size_t which = (size_t)coro_rng_below(&model->rng, NTIMERS);
        struct coro_timer *timer = &model->probes[which].timer;
        if (coro_rng_below(&model->rng, 10) == 0)
            model_advance(model);
        else if (coro_timer_is_armed(timer))
            coro_timer_stop(timer);
        else
            coro_wheel_add(model->wheel, timer,
                           model->wheel->now_ms + random_delay(&model->rng));
        if (step % 8 == 0)
            model_check(model);
    }
    free(model);
}

/* What fired, in order. */
struct record {
    struct coro_timer timer;
    int64_t *last_ms;
    size_t *nfired;
    size_t *nout_of_order;
};

static void on_fire_of_record(struct coro_timer *timer)
{
    struct record *record = list_entry(timer, struct record, timer);
    *record->nout_of_order += timer->deadline_ms < *record->last_ms;
    *record->last_ms = timer->deadline_ms;
    ++*record->nfired;
}

static void one_jump_fires_all_that_is_due_in_order_of_deadlines(void **state)
{
    struct coro_wheel *wheel = *state;
    size_t nrecords = 10000;
    struct record *records = calloc(nrecords, sizeof *records);
    assert_non_null(records);
    struct coro_rng rng;
    coro_rng_init(&rng, 7);
    int64_t last_ms = 0;
    size_t nfired = 0;
    size_t nout_of_order = 0;
    for (size_t i = 0; i < nrecords; i++) {
        records[i] = (struct record){.last_ms = &last_ms,
                                     .nfired = &nfired,
                                     .nout_of_order = &nout_of_order};
        coro_timer_init(&records[i].timer, on_fire_of_record);
        coro_wheel_add(wheel, &records[i].timer, 1000 + random_delay(&rng));
    }
    coro_wheel_advance(wheel, 1000 + ((int64_t)1 << 33));
    free(records);
    assert_int_equal(nfired, nrecords);
    assert_int_equal(nout_of_order, 0);
    assert_true(coro_wheel_next_ms(wheel) == CORO_NEVER);
}

static void an_empty_wheel_jumps(void **state)
{
    struct coro_wheel *wheel = *state;
    assert_true(coro_wheel_next_ms(wheel) == CORO_NEVER);
    coro_wheel_advance(wheel, 1000000 * DAY_MS);
    assert_true(wheel->now_ms == 1000000 * DAY_MS);
}

static void a_wheel_does_not_go_back(void **state)
{
    struct coro_wheel *wheel = *state;
    coro_wheel_advance(wheel, 500);
    assert_true(wheel->now_ms == 1000);
}

#define wheel_test(function) \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        wheel_test(a_timer_of_each_level_fires_at_its_millisecond),
        wheel_test(a_deadline_beyond_the_range_of_the_wheel_is_kept),
        wheel_test(a_deadline_that_never_comes_is_not_armed),
        wheel_test(the_last_deadline_before_never_is_armed),
        wheel_test(a_deadline_that_has_passed_fires_at_the_next_tick),
        wheel_test(a_stopped_timer_does_not_fire),
        wheel_test(a_timer_that_is_not_armed_can_be_stopped),
        wheel_test(a_timer_can_be_armed_anew_for_an_earlier_time),
        wheel_test(a_firing_timer_can_stop_another_of_the_same_millisecond),
        wheel_test(a_firing_timer_can_arm_itself_again),
        wheel_test(a_firing_timer_can_arm_another_that_is_due_in_the_same_jump),
        wheel_test(random_timers_do_as_a_plain_model_says),
        wheel_test(one_jump_fires_all_that_is_due_in_order_of_deadlines),
        wheel_test(an_empty_wheel_jumps),
        wheel_test(a_wheel_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
