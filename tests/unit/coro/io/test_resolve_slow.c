/*
 * Names that take their time: the system's resolver is given one here that
 * stands still until it is told to go on, or fails as it is told.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
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

static sem_t has_begun, may_go_on, has_ended;

static const struct {
    const char *host;
    int error;
} failures[] = {
    {"memory.fails", EAI_MEMORY},
    {"again.fails", EAI_AGAIN},
    {"system.fails", EAI_SYSTEM},
    {"name.fails", EAI_NONAME},
};

/* In place of the C library's, for this program. */
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
    (void)service;
    (void)hints;
    (void)res;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (strcmp(node, failures[i].host) == 0)
            return failures[i].error;
    sem_post(&has_begun);
    sem_wait(&may_go_on);
    sem_post(&has_ended);
    return EAI_NONAME;
}

static int begin(void **state)
{
    (void)state;
    sem_init(&has_begun, 0, 0);
    sem_init(&may_go_on, 0, 0);
    sem_init(&has_ended, 0, 0);
    return 0;
}

/* Lets a look-up that has begun come to its end. */
static void let_go_on(void)
{
    sem_post(&may_go_on);
    sem_wait(&has_ended);
}

static void play(coro_task_fn *script)
{
    assert_int_equal(coro_run(script, NULL, NULL), 0);
    assert_as_expected();
}

static int resolve_slow(void *deadline_ms)
{
    struct coro_addresses addresses;
    return coro_resolve("slow", *(int64_t *)deadline_ms, &addresses);
}

static int other_work(void *argument)
{
    (void)argument;
    struct coro_task *task;
    int64_t deadline_ms = CORO_NEVER;
    int result = 1;
    coro_spawn(coro_loop_current(), resolve_slow, &deadline_ms, NULL, &task);
    coro_relax();
    sem_wait(&has_begun);
    /* The loop is here and not there. */
    expect_that(coro_sleep(1) == 0);
    expect_that(!coro_task_is_done(task));
    let_go_on();
    expect_that(coro_task_wait(task, SOON, &result) == 0);
    expect_that(result == -ENOENT);
    coro_task_unref(task);
    return 0;
}

static void a_slow_name_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    play(other_work);
}

static int give_up(void *argument)
{
    (void)argument;
    int64_t deadline_ms = coro_after(20);
    expect_that(resolve_slow(&deadline_ms) == -ETIMEDOUT);
    struct coro_task *task;
    int result = 1;
    deadline_ms = CORO_NEVER;
    coro_spawn(coro_loop_current(), resolve_slow, &deadline_ms, NULL, &task);
    coro_relax();
    coro_task_cancel(task);
    expect_that(coro_task_wait(task, SOON, &result) == 0);
    expect_that(result == -ECANCELED);
    coro_task_unref(task);
    /* Their answers come to a loop in which nobody waits for them. */
    for (int i = 0; i < 2; i++) {
        sem_wait(&has_begun);
        let_go_on();
    }
    expect_that(coro_sleep(20) == 0);
    return 0;
}

static void a_slow_name_can_be_given_up(void **state)
{
    (void)state;
    play(give_up);
}

static int leave(void *argument)
{
    coro_spawn(coro_loop_current(), resolve_slow, argument, NULL, NULL);
    coro_relax();
    sem_wait(&has_begun);
    return 0;
}

static void a_slow_name_does_not_hold_up_the_end_of_the_loop(void **state)
{
    (void)state;
    int64_t never = CORO_NEVER;
    /* It would stand still here for ever if the look-up were waited for. */
    assert_int_equal(coro_run(leave, &never, NULL), 0);
    let_go_on();
}

static int fail_each_way(void *argument)
{
    (void)argument;
    static const int expected[] = {-ENOMEM, -EAGAIN, -EAGAIN, -ENOENT};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct coro_addresses addresses;
        expect_that(coro_resolve(failures[i].host, SOON, &addresses) ==
                    expected[i]);
    }
    return 0;
}

static void why_a_name_was_not_found_is_told_apart(void **state)
{
    (void)state;
    play(fail_each_way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_name_does_not_hold_up_the_loop),
        cmocka_unit_test(a_slow_name_can_be_given_up),
        cmocka_unit_test(a_slow_name_does_not_hold_up_the_end_of_the_loop),
        cmocka_unit_test(why_a_name_was_not_found_is_told_apart),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
