#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "master/queue/retry.h"

#define SECOND_US ((int64_t)1000000)

/* Some time in 2024, and how often chance is given a chance. */
#define NOW_US (1725490519 * SECOND_US)
#define DRAWS  2000

static const struct retry_policy by_default = {.most = 25};
static struct coro_rng rng;

static int setup(void **state)
{
    (void)state;
    coro_rng_init(&rng, 7);
    return 0;
}

static struct record read_record(const char *payload)
{
    struct record record;
    record_read(payload, strlen(payload), &record);
    return record;
}

static struct retry_decision decide_with(const char *payload,
                                         const struct retry_policy *policy,
                                         struct retry_failure failure)
{
    struct record record = read_record(payload);
    failure.now_us = NOW_US;
    return retry_decide(policy, &record, &failure, &rng);
}

/* What becomes of the job when it fails, as any job does. */
static struct retry_decision decide(const char *payload)
{
    return decide_with(payload, &by_default,
                       (struct retry_failure){.delay_ms = -1});
}

static struct retry_decision decide_permanent(const char *payload)
{
    return decide_with(
        payload, &by_default,
        (struct retry_failure){.is_permanent = true, .delay_ms = -1});
}

/* The least and the most of many waits before retry @count. */
static void draw(const struct retry_policy *policy, int64_t count,
                 int64_t *ret_least_ms, int64_t *ret_most_ms)
{
    *ret_least_ms = INT64_MAX;
    *ret_most_ms = 0;
    for (int i = 0; i < DRAWS; i++) {
        int64_t ms = retry_delay_ms(policy, count, &rng);
        *ret_least_ms = ms < *ret_least_ms ? ms : *ret_least_ms;
        *ret_most_ms = ms > *ret_most_ms ? ms : *ret_most_ms;
    }
}

/* --- the curves ----------------------------------------------------------- */

static void the_default_waits_are_those_of_the_job_format(void **state)
{
    (void)state;
    static const int64_t base_s[] = {15, 16, 31, 96, 271, 640};
    for (int64_t count = 0; count < 6; count++) {
        int64_t least_ms, most_ms;
        draw(&by_default, count, &least_ms, &most_ms);
        int64_t base_ms = base_s[count] * 1000;
        int64_t spread_ms = 10000 * (count + 1);
        assert_in_range(least_ms, base_ms, base_ms + spread_ms / 20);
        assert_in_range(most_ms, base_ms + spread_ms - spread_ms / 20,
                        base_ms + spread_ms - 1);
    }
}

static void the_waits_without_jitter_add_up_to_twenty_days(void **state)
{
    (void)state;
    int64_t sum_ms = 0;
    for (int64_t count = 0; count < by_default.most; count++) {
        /* The jitter is one draw, which the same seed gives again. */
        struct coro_rng same = rng;
        uint64_t spread_ms = 10000 * (uint64_t)(count + 1);
        sum_ms += retry_delay_ms(&by_default, count, &rng);
        sum_ms -= (int64_t)coro_rng_below(&same, spread_ms);
    }
    assert_int_equal(sum_ms, 1763395000);
}

static void a_fixed_wait_is_always_the_same(void **state)
{
    (void)state;
    const struct retry_policy fixed = {
        .curve = RETRY_CURVE_FIXED, .first_ms = 200, .most_ms = 200};
    for (int64_t count = 0; count < 200; count += 33)
        assert_int_equal(retry_delay_ms(&fixed, count, &rng), 200);
}

static void an_exponential_wait_doubles_up_to_its_limit(void **state)
{
    (void)state;
    const struct retry_policy doubling = {
        .curve = RETRY_CURVE_EXPONENTIAL, .first_ms = 1000, .most_ms = 6000};
    static const int64_t waits_ms[] = {1000, 2000, 4000, 6000, 6000, 6000};
    for (int64_t count = 0; count < 6; count++) {
        int64_t least_ms, most_ms;
        draw(&doubling, count, &least_ms, &most_ms);
        int64_t wait_ms = waits_ms[count];
        assert_in_range(least_ms, wait_ms - wait_ms / 4,
                        wait_ms - wait_ms / 4 + wait_ms / 50);
        assert_in_range(most_ms, wait_ms - wait_ms / 50, wait_ms);
    }
}

static void no_count_makes_a_wait_overflow(void **state)
{
    (void)state;
    const struct retry_policy doubling = {.curve = RETRY_CURVE_EXPONENTIAL,
                                          .first_ms = 1,
                                          .most_ms = INT64_MAX / 4000};
    int64_t year_ms = (int64_t)365 * 86400 * 1000;
    int64_t wait_ms = retry_delay_ms(&by_default, INT64_MAX, &rng);
    assert_true(wait_ms > year_ms && wait_ms < 10 * year_ms);
    wait_ms = retry_delay_ms(&doubling, INT64_MAX, &rng);
    assert_true(wait_ms > year_ms && wait_ms <= doubling.most_ms);
}

/* --- limits --------------------------------------------------------------- */

static void the_first_failure_counts_as_zero(void **state)
{
    (void)state;
    struct retry_decision decision = decide("{\"class\":\"A\"}");
    assert_int_equal(decision.verdict, RETRY_VERDICT_AGAIN);
    assert_int_equal(decision.count, 0);
    assert_in_range(decision.at_us, NOW_US + 15 * SECOND_US,
                    NOW_US + 25 * SECOND_US);
}

static void twenty_five_retries_and_no_more(void **state)
{
    (void)state;
    struct retry_decision decision =
        decide("{\"class\":\"A\",\"retry_count\":23}");
    assert_int_equal(decision.verdict, RETRY_VERDICT_AGAIN);
    assert_int_equal(decision.count, 24);
    decision = decide("{\"class\":\"A\",\"retry\":true,\"retry_count\":24}");
    assert_int_equal(decision.verdict, RETRY_VERDICT_DEAD);
    assert_int_equal(decision.count, 25);
}

static void raw_jobs_and_their_envelopes_have_the_same_limit(void **state)
{
    (void)state;
    static const char envelope[] =
        "{\"jid\":\"0123456789abcdef01234567\",\"corq\":{\"key\":\"q\","
        "\"payload\":\"x\"},\"retry_count\":%s}";
    char payload[200];
    assert_int_equal(decide("x").verdict, RETRY_VERDICT_AGAIN);
    snprintf(payload, sizeof payload, envelope, "23");
    assert_int_equal(decide(payload).verdict, RETRY_VERDICT_AGAIN);
    snprintf(payload, sizeof payload, envelope, "24");
    assert_int_equal(decide(payload).verdict, RETRY_VERDICT_DEAD);
}

static void a_number_of_its_own_is_that_many_retries(void **state)
{
    (void)state;
    assert_int_equal(decide("{\"class\":\"A\",\"retry\":2}").verdict,
                     RETRY_VERDICT_AGAIN);
    assert_int_equal(
        decide("{\"class\":\"A\",\"retry\":2,\"retry_count\":0}").verdict,
        RETRY_VERDICT_AGAIN);
    assert_int_equal(
        decide("{\"class\":\"A\",\"retry\":2,\"retry_count\":1}").verdict,
        RETRY_VERDICT_DEAD);
    assert_int_equal(
        decide("{\"class\":\"A\",\"retry\":99,\"retry_count\":97}").verdict,
        RETRY_VERDICT_AGAIN);
}

static void zero_retries_are_dead_at_once(void **state)
{
    (void)state;
    assert_int_equal(decide("{\"class\":\"A\",\"retry\":0}").verdict,
                     RETRY_VERDICT_DEAD);
}

static void the_process_may_have_another_limit(void **state)
{
    (void)state;
    const struct retry_policy none = {.most = 0};
    struct retry_failure failure = {.delay_ms = -1};
    assert_int_equal(decide_with("x", &none, failure).verdict,
                     RETRY_VERDICT_DEAD);
    assert_int_equal(
        decide_with("{\"class\":\"A\",\"retry\":true}", &none, failure).verdict,
        RETRY_VERDICT_DEAD);
    assert_int_equal(
        decide_with("{\"class\":\"A\",\"retry\":1}", &none, failure).verdict,
        RETRY_VERDICT_AGAIN);
}

/* A job that failed first at @first_us and says "retry_for":10. */
static enum retry_verdict decide_retry_for(int64_t first_us, int64_t count)
{
    char payload[200];
    snprintf(payload, sizeof payload,
             "{\"class\":\"A\",\"retry\":3,\"retry_for\":10,"
             "\"retry_count\":%d,\"failed_at\":%lld.%06d}",
             (int)count, (long long)(first_us / SECOND_US),
             (int)(first_us % SECOND_US));
    return decide(payload).verdict;
}

static void retry_for_is_a_time_and_not_a_number(void **state)
{
    (void)state;
    assert_int_equal(decide_retry_for(NOW_US - 9 * SECOND_US, 1000),
                     RETRY_VERDICT_AGAIN);
    assert_int_equal(decide_retry_for(NOW_US - 11 * SECOND_US, 0),
                     RETRY_VERDICT_DEAD);
    assert_int_equal(decide("{\"class\":\"A\",\"retry_for\":0}").verdict,
                     RETRY_VERDICT_AGAIN);
}

static void retry_for_ends_within_the_second(void **state)
{
    (void)state;
    assert_int_equal(decide_retry_for(NOW_US - 10 * SECOND_US, 0),
                     RETRY_VERDICT_AGAIN);
    assert_int_equal(decide_retry_for(NOW_US - 10 * SECOND_US - 500000, 0),
                     RETRY_VERDICT_DEAD);
}

/* --- for good ------------------------------------------------------------- */

static void a_permanent_failure_is_dead_at_once(void **state)
{
    (void)state;
    struct retry_decision decision =
        decide_permanent("{\"class\":\"A\",\"retry\":true,\"retry_count\":3}");
    assert_int_equal(decision.verdict, RETRY_VERDICT_DEAD);
    assert_int_equal(decision.count, 4);
}

static void retry_false_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char payload[] = "{\"class\":\"A\",\"retry\":false}";
    assert_int_equal(decide(payload).verdict, RETRY_VERDICT_DROP);
    assert_int_equal(decide_permanent(payload).verdict, RETRY_VERDICT_DROP);
}

static void dead_false_is_retried_and_then_dropped(void **state)
{
    (void)state;
    assert_int_equal(decide("{\"class\":\"A\",\"dead\":false}").verdict,
                     RETRY_VERDICT_AGAIN);
    assert_int_equal(
        decide("{\"class\":\"A\",\"dead\":false,\"retry_count\":24}").verdict,
        RETRY_VERDICT_DROP);
    assert_int_equal(
        decide_permanent("{\"class\":\"A\",\"dead\":false}").verdict,
        RETRY_VERDICT_DROP);
}

/* --- what the handler asks for -------------------------------------------- */

static void a_delay_of_the_handler_is_kept_to_the_millisecond(void **state)
{
    (void)state;
    static const int64_t delays_ms[] = {0, 1, 86400000};
    for (size_t i = 0; i < 3; i++) {
        struct retry_decision decision = decide_with(
            "x", &by_default, (struct retry_failure){.delay_ms = delays_ms[i]});
        assert_int_equal(decision.verdict, RETRY_VERDICT_AGAIN);
        assert_int_equal(decision.at_us, NOW_US + delays_ms[i] * 1000);
    }
}

static void a_delay_of_the_handler_is_no_more_retries(void **state)
{
    (void)state;
    assert_int_equal(decide_with("{\"class\":\"A\",\"retry_count\":24}",
                                 &by_default,
                                 (struct retry_failure){.delay_ms = 5})
                         .verdict,
                     RETRY_VERDICT_DEAD);
}

int main(void)
{
#define RETRY_TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        RETRY_TEST(the_default_waits_are_those_of_the_job_format),
        RETRY_TEST(the_waits_without_jitter_add_up_to_twenty_days),
        RETRY_TEST(a_fixed_wait_is_always_the_same),
        RETRY_TEST(an_exponential_wait_doubles_up_to_its_limit),
        RETRY_TEST(no_count_makes_a_wait_overflow),
        RETRY_TEST(the_first_failure_counts_as_zero),
        RETRY_TEST(twenty_five_retries_and_no_more),
        RETRY_TEST(raw_jobs_and_their_envelopes_have_the_same_limit),
        RETRY_TEST(a_number_of_its_own_is_that_many_retries),
        RETRY_TEST(zero_retries_are_dead_at_once),
        RETRY_TEST(the_process_may_have_another_limit),
        RETRY_TEST(retry_for_is_a_time_and_not_a_number),
        RETRY_TEST(retry_for_ends_within_the_second),
        RETRY_TEST(a_permanent_failure_is_dead_at_once),
        RETRY_TEST(retry_false_leaves_nothing_behind),
        RETRY_TEST(dead_false_is_retried_and_then_dropped),
        RETRY_TEST(a_delay_of_the_handler_is_kept_to_the_millisecond),
        RETRY_TEST(a_delay_of_the_handler_is_no_more_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
