#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/clock.h"
#include "coro/io/resolve.h"
#include "coro/sched/loop.h"
#include "tests/support/record.h"

#define SOON coro_after(60000)

/* 127.0.0.1, in a form that only the system's resolver reads: it is asked, but
 * has to ask nobody itself. */
static const char by_resolver[] = "127.1";

static void play(coro_task_fn *script)
{
    assert_int_equal(coro_run(script, NULL, NULL), 0);
    assert_as_expected();
}

static int numeric(void *argument)
{
    (void)argument;
    static const char *const hosts[] = {
        "127.0.0.1", "0.0.0.0", "::1",
        "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct coro_addresses addresses;
        /* Not even a deadline that is over is in the way. */
        expect_that(coro_resolve(hosts[i], 0, &addresses) == 0);
        expect_that(addresses.naddresses == 1);
        expect_that(strcmp(addresses.texts[0], hosts[i]) == 0);
    }
    return 0;
}

static void a_number_is_its_own_answer(void **state)
{
    (void)state;
    play(numeric);
}

static int by_name(void *argument)
{
    (void)argument;
    struct coro_addresses addresses;
    expect_that(coro_resolve("localhost", SOON, &addresses) == 0);
    expect_that(addresses.naddresses >= 1);
    expect_that(addresses.naddresses <= CORO_ADDRESSES_MAX);
    for (size_t i = 0; i < addresses.naddresses; i++)
        expect_that(strncmp(addresses.texts[i], "127.", 4) == 0 ||
                    strcmp(addresses.texts[i], "::1") == 0);
    return 0;
}

static void localhost_is_this_machine(void **state)
{
    (void)state;
    play(by_name);
}

static int by_thread(void *argument)
{
    (void)argument;
    struct coro_addresses addresses;
    expect_that(coro_resolve(by_resolver, SOON, &addresses) == 0);
    expect_that(addresses.naddresses == 1);
    expect_that(strcmp(addresses.texts[0], "127.0.0.1") == 0);
    return 0;
}

static void the_systems_resolver_is_asked(void **state)
{
    (void)state;
    play(by_thread);
}

static int no_such_name(void *argument)
{
    (void)argument;
    struct coro_addresses addresses = {.naddresses = 77};
    /* A name with an empty label: no resolver has to be asked. */
    int status = coro_resolve("no..such..name", SOON, &addresses);
    expect_that(status == -ENOENT || status == -EAGAIN);
    expect_that(addresses.naddresses == 77);
    return 0;
}

static void a_name_that_is_not_there_leaves_the_answer_alone(void **state)
{
    (void)state;
    play(no_such_name);
}

static int resolve_localhost(void *argument)
{
    (void)argument;
    struct coro_addresses addresses;
    return coro_resolve(by_resolver, CORO_NEVER, &addresses);
}

static int cancel_lookups(void *argument)
{
    (void)argument;
    for (int nturns = 0; nturns < 10; nturns++) {
        struct coro_task *task;
        int result = 1;
        coro_spawn(coro_loop_current(), resolve_localhost, NULL, NULL, &task);
        for (int i = 0; i < nturns; i++)
            coro_relax();
        coro_task_cancel(task);
        expect_that(coro_task_wait(task, SOON, &result) == 0);
        expect_that(result == -ECANCELED || result == 0);
        coro_task_unref(task);
    }
    return 0;
}

static void a_lookup_can_be_given_up_at_any_time(void **state)
{
    (void)state;
    play(cancel_lookups);
}

static int too_late(void *argument)
{
    (void)argument;
    struct coro_addresses addresses;
    for (int i = 0; i < 10; i++)
        expect_that(coro_resolve(by_resolver, 0, &addresses) == -ETIMEDOUT);
    return 0;
}

static void a_deadline_that_is_over_ends_the_lookup(void **state)
{
    (void)state;
    play(too_late);
}

static int many(void *argument)
{
    (void)argument;
    struct coro_task *tasks[50];
    for (size_t i = 0; i < 50; i++)
        coro_spawn(coro_loop_current(), resolve_localhost, NULL, NULL,
                   &tasks[i]);
    for (size_t i = 0; i < 50; i++) {
        int result = 1;
        expect_that(coro_task_wait(tasks[i], SOON, &result) == 0);
        expect_that(result == 0);
        coro_task_unref(tasks[i]);
    }
    return 0;
}

static void many_names_are_looked_up_at_once(void **state)
{
    (void)state;
    play(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_its_own_answer),
        cmocka_unit_test(localhost_is_this_machine),
        cmocka_unit_test(the_systems_resolver_is_asked),
        cmocka_unit_test(a_name_that_is_not_there_leaves_the_answer_alone),
        cmocka_unit_test(a_lookup_can_be_given_up_at_any_time),
        cmocka_unit_test(a_deadline_that_is_over_ends_the_lookup),
        cmocka_unit_test(many_names_are_looked_up_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
